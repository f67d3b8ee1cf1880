"""The simulator on the network: reads requests for the stand-in and performs the steps it answers with.

Besides the stand-in's own routes there are those for tests and demos, in JSON and without authorization:

    POST   /control/script      {"plays": [play, …]}     queue plays
    GET    /control/requests    ?at=chat&match=text      the recorded requests
    DELETE /control/requests                             forget them
    GET    /control/state                                counters
    POST   /control/revoke                               revoke every token
    GET    /control/uploads                              the files that were taken, without their bytes
    DELETE /control/uploads                              lose them, as when they expire
    GET    /control/settings
    POST   /control/settings    {"cadence": 0, …}        change some settings
    DELETE /control                                      reset all but the issued tokens
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from .app import SimulatorApp
from .control import Control
from .errors import InvalidRequestError
from .http_messages import Request, Response
from .settings import SimulatorSettings
from .steps import Break, Open, Pause, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from .request_log import Record
    from .steps import Step

LARGEST_BODY = 64 * 1024 * 1024
# Streams are cancelled before the server is stopped, so little is left to wait for.
STOP_PATIENCE = 0.2
# A stream without pauses lets the others speak after so many writes.
WRITES_IN_A_ROW = 32
KEEPALIVE = 300
NO_LINGER = struct.pack("ii", 1, 0)


Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


class Simulator:
    """A running stand-in for StackSpot's identity and inference hosts, both at `url`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, settings: SimulatorSettings | None = None) -> None:
        self.host = host
        self.port = port
        self._stand_in = SimulatorApp(settings or SimulatorSettings(), time.time)
        self.control = Control(self._stand_in)
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    @property
    def url(self) -> str:
        """The base URL to set as STACKSPOT_IDM_URL, STACKSPOT_INFERENCE_URL and STACKSPOT_FILES_URL."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; port 0 becomes a free one. Raises OSError when the address is taken."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.add_routes(self._routes())
        # A handler is cancelled the moment its client leaves.
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=STOP_PATIENCE,
            keepalive_timeout=KEEPALIVE,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, backlog=1024).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Break off the open streams and stop listening."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _routes(self) -> list[web.RouteDef]:
        stand_in, control = self._stand_in, self.control
        return [
            web.post("/{realm}/oidc/oauth/token", self._answering(stand_in.token)),
            web.post("/v1/agent/{agent_id}/chat", self._answering(stand_in.chat)),
            web.post("/v1/chat/completions", self._answering(stand_in.completion)),
            web.post("/v2/file-upload/form", self._answering(stand_in.upload_form)),
            web.post("/upload/{upload_id}", self._answering(stand_in.upload)),
            web.get("/v1/agents", self._answering(stand_in.agents)),
            web.post("/control/script", _controlling(lambda body: control.script(body.get("plays")))),
            web.get(
                "/control/requests",
                _controlling(lambda query: control.requests(query.get("at"), query.get("match"))),
            ),
            web.delete("/control/requests", _controlling(lambda _: control.forget_requests())),
            web.get("/control/conversations", _controlling(lambda _: control.conversations())),
            web.delete("/control/conversations", _controlling(lambda _: control.forget_conversations())),
            web.get("/control/state", _controlling(lambda _: control.state())),
            web.post("/control/revoke", _controlling(lambda _: control.revoke())),
            web.get("/control/uploads", _controlling(lambda _: control.uploads())),
            web.delete("/control/uploads", _controlling(lambda _: control.lose_uploads())),
            web.get("/control/settings", _controlling(lambda _: control.settings())),
            web.post("/control/settings", _controlling(control.configure)),
            web.delete("/control", _controlling(lambda _: control.reset())),
        ]

    def _answering(self, answer: Callable[[Request], Response]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            reply = answer(await _read_call(request))
            try:
                if reply.record is None:
                    return await _Performance(request).play(reply.steps)
                return await self._watched(request, reply.steps, reply.record)
            except ConnectionError:  # the client has left; aiohttp would take it for a failure of ours
                raise asyncio.CancelledError from None

        return handle

    async def _watched(self, request: web.Request, steps: Iterator[Step], record: Record) -> web.StreamResponse:
        task, recorder = asyncio.current_task(), self._stand_in.recorder
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        recorder.opened(record)
        try:
            response = await _Performance(request, record).play(steps)
            record.finished = True
        except (asyncio.CancelledError, ConnectionError):
            record.disconnected = record.broken is None and not self._stopping
            raise
        finally:
            record.ended = time.time()
            recorder.ended(record)
        return response


class _Performance:
    """Sends the steps of one answer, and notes in `record` how far it came."""

    def __init__(self, request: web.Request, record: Record | None = None) -> None:
        self._request = request
        self._record = record
        self._response = web.StreamResponse()

    async def play(self, steps: Iterator[Step]) -> web.StreamResponse:
        """Send all the steps; a broken answer never returns, it is cancelled when its connection is gone."""
        in_a_row = 0
        for step in steps:
            if isinstance(step, Write):
                in_a_row += 1
                await self._write(step)
                if in_a_row % WRITES_IN_A_ROW == 0:
                    await asyncio.sleep(0)
            elif isinstance(step, Pause):
                in_a_row = 0
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Open):
                await self._open(step)
            else:
                await self._break(step)
        await self._response.write_eof()
        return self._response

    async def _open(self, step: Open) -> None:
        self._response.set_status(step.status)
        for name, value in step.headers:
            self._response.headers.add(name, value)
        if self._record is not None:
            self._record.status = step.status
        await self._response.prepare(self._request)

    async def _write(self, step: Write) -> None:
        await self._response.write(step.data)
        if self._record is not None:
            self._record.frames_sent += step.frames

    async def _break(self, step: Break) -> None:
        transport = self._request.transport
        if transport is not None and step.how != "hang":
            if self._record is not None:
                self._record.broken = step.how
            if step.how == "reset":
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                transport.abort()
            else:
                transport.close()
        await asyncio.Event().wait()


async def _read_call(request: web.Request) -> Request:
    body = await request.read()
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.path, request.match_info, headers, body, f"{request.scheme}://{request.host}")


def _controlling(answer: Callable[[dict[str, Any]], Any]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            values = _read_values(await request.read()) if request.method == "POST" else dict(request.query)
            return web.json_response(answer(values))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    return handle


def _read_values(body: bytes) -> dict[str, Any]:
    values = json.loads(body or b"{}")
    if not isinstance(values, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return values


async def serve(host: str = "127.0.0.1", port: int = 0, settings: SimulatorSettings | None = None) -> Simulator:
    """Start a simulator in the running loop; the caller stops it."""
    simulator = Simulator(host, port, settings)
    await simulator.start()
    return simulator
