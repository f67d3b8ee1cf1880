"""Carries an HTTP request to an application of the same process, and its answer back as it comes.

httpx has such a transport, which hands an answer over when all of it is there: no stream, and no way to end one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Scope

from ..request.context import current_request

logger = logging.getLogger(__name__)

INTERNAL_CALL = "stackspot.inside"
"""The key of an ASGI scope that marks a service's own call, which a count of clients' requests leaves out."""

ASKED = "stackspot.asked"
"""The key of the scope of a service's request that made a call inside the proxy."""

SERVICE_ROUTE = "stackspot.service_route"
"""The key of the scope of such a call with the template of the service's route; also an extension of httpx requests."""

CANCEL_DELAY = 0.5
"""Seconds in which the application may end a call that was left; then it is cancelled."""

_LEASE = "litellm.admission_lease"  # the proxy admits a request once, whatever that asks for inside


class ASGIStreamTransport(httpx.AsyncBaseTransport):
    """Each request is a task of the application's; to close its answer early is to leave as a client does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer once it has begun."""
        call = _Call(await request.aread())
        call.task = asyncio.create_task(call.run(self._app, _scope(request)))
        self._tasks.add(call.task)
        call.task.add_done_callback(self._tasks.discard)
        try:
            start = await call.next()
        except BaseException:
            await call.aclose()
            raise
        if start is None:
            raise httpx.RemoteProtocolError("The proxy gave no answer.", request=request)
        return httpx.Response(start["status"], headers=start["headers"], stream=call)


class _Call(httpx.AsyncByteStream):
    """One request in flight, and the body of its answer; the application waits until each piece is taken."""

    task: asyncio.Task[None]

    def __init__(self, body: bytes) -> None:
        self._request: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(1)
        self._answered = False
        self._left = asyncio.Event()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  the proxy has answered it
            logger.error("A call inside the proxy ended with %s", type(error).__name__)
        if not self._left.is_set():
            await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._request:
            return self._request.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._left.is_set():
            await self._messages.put(message)

    async def next(self) -> Message | None:
        """Return what the application sends next; None when it has ended."""
        message = await self._messages.get()
        self._answered = message is None or (
            message["type"] == "http.response.body" and not message.get("more_body", False)
        )
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._answered and (message := await self.next()) is not None:
            yield message.get("body", b"")

    async def aclose(self) -> None:
        """End the call, unless it is answered: then what the application does after its answer goes on.

        The application is told as a server tells it, by `http.disconnect`, upon which the proxy hangs up on the model; were it
        cancelled at once, LiteLLM would leave tasks of its own behind, and they the connection.
        """
        if self._answered:
            return
        self._left.set()
        if not self._messages.empty():
            self._messages.get_nowait()  # lets go of who waits to send more
        overdue = asyncio.get_running_loop().call_later(CANCEL_DELAY, self.task.cancel)
        self.task.add_done_callback(lambda _: overdue.cancel())
        await asyncio.wait({self.task})


def _scope(request: httpx.Request) -> Scope:
    """Describe the request as coming from the client of the one that is being served."""
    current = current_request()
    outer: MutableMapping[str, Any] = {} if current is None else current.scope
    outer[ASKED] = True
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": outer.get("client"),
        "server": outer.get("server"),
        "state": {},
        INTERNAL_CALL: True,
        SERVICE_ROUTE: request.extensions.get(SERVICE_ROUTE) or (current.service_route if current else None),
        **{key: outer[key] for key in (_LEASE,) if key in outer},
    }
