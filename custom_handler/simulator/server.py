"""The simulator's HTTP server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web

from .app import SimulatorApp
from .control import Control, control_routes
from .exchange import Exchange
from .request_log import record_of
from .settings import SimulatorSettings
from .wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .app import Replies

LARGEST_BODY = 64 * 1024 * 1024
# `stop` waits so long for responses before it cancels them.
STOP_TIMEOUT = 0.1
KEEPALIVE = 300
QUICK_COMMANDS = "/v1/quick-commands"


class Simulator:
    """A server that simulates StackSpot's identity and inference hosts, both at `url`.

    ::

        async with Simulator() as simulator:
            print(simulator.url)
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: SimulatorSettings | None = None,
        replies: Replies | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._app = SimulatorApp(settings or SimulatorSettings(), time.time, replies)
        self.control = Control(self._app)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The value for STACKSPOT_IDM_URL, and for the URLs of agents, files and inference."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; port 0 takes a free one. Raises OSError if the address is in use."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.add_routes([*self._routes(), *control_routes(self.control)])
        # A client that disconnects cancels its handler.
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=STOP_TIMEOUT,
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
        """Stop listening and cancel the open streams."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _routes(self) -> list[web.RouteDef]:
        app = self._app
        return [
            web.post("/{realm}/oidc/oauth/token", self._recorded("token", app.token)),
            web.post("/v1/agent/{agent_id}/chat", self._recorded("chat", app.chat)),
            web.post("/v1/chat/completions", self._recorded("chat", app.completion)),
            web.get("/v1/agents", self._recorded("agents", app.agents)),
            web.get("/v4/agents", self._recorded("agents", app.agents)),
            web.post(f"{QUICK_COMMANDS}/create-execution/{{slug}}", self._recorded("execution", app.create_execution)),
            web.get(f"{QUICK_COMMANDS}/callback/{{execution_id}}", self._recorded("callback", app.poll_execution)),
            web.post("/v2/file-upload/form", self._recorded("upload", app.upload_form)),
            web.post("/upload/{upload_id}", self._recorded("storage", app.upload)),
        ]

    def _recorded(
        self, at: str, endpoint: Callable[[Exchange], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            await (request.post() if at == "storage" else request.read())
            record, recorder = record_of(at, request), self._app.recorder
            exchange = Exchange(request, record)
            recorder.start(record)
            try:
                try:
                    await endpoint(exchange)
                except RefusedError as refused:
                    await exchange.send(refused.status, refused.body)
                response = await exchange.finish()
                record.finished = True
            except (asyncio.CancelledError, ConnectionError):
                record.disconnected = record.broken is None
                # aiohttp would log a ConnectionError as a failure of the handler.
                raise asyncio.CancelledError from None
            finally:
                recorder.end(record)
            return response

        return handle
