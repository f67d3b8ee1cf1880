"""An httpx transport that calls an ASGI application of the same process and streams its response.

httpx's own ASGITransport returns a response only once it is complete, so it supports neither
streams nor cancellation.
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

INTERNAL_CALL = "stackspot.internal_call"
"""Key in the ASGI scope of a service's call to the proxy; request metrics ignore such calls."""

HAS_INTERNAL_CALL = "stackspot.has_internal_call"
"""Key in the ASGI scope of a service's request that has called the proxy."""

SERVICE_ROUTE = "stackspot.service_route"
"""Key of the service's route template, in the scope of an internal call and in httpx extensions."""

CANCEL_DELAY = 0.5
"""Seconds between the disconnect of an internal call and its cancellation."""

_LEASE = "litellm.admission_lease"  # LiteLLM admits a request once, including its internal calls


class ASGIStreamTransport(httpx.AsyncBaseTransport):
    """Runs each request as a task; closing a response early looks like a client's disconnect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response once it has started; raises httpx.RemoteProtocolError without one."""
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
    """A running request and its response body; the application waits until each message is read."""

    task: asyncio.Task[None]

    def __init__(self, body: bytes) -> None:
        self._request: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(1)
        self._complete = False
        self._disconnected = asyncio.Event()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  the proxy has responded to it
            logger.error("A call inside the proxy failed: %s", type(error).__name__)
        if not self._disconnected.is_set():
            await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._request:
            return self._request.pop()
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._disconnected.is_set():
            await self._messages.put(message)

    async def next(self) -> Message | None:
        """Return the application's next message; None after the last one."""
        message = await self._messages.get()
        self._complete = message is None or (
            message["type"] == "http.response.body" and not message.get("more_body", False)
        )
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._complete and (message := await self.next()) is not None:
            yield message.get("body", b"")

    async def aclose(self) -> None:
        """Disconnect an incomplete response; after a complete one, background tasks continue.

        The application receives `http.disconnect`, as from a server, and the proxy then closes its
        upstream connection. Immediate cancellation would leave it open in tasks of LiteLLM.
        """
        if self._complete:
            return
        self._disconnected.set()
        if not self._messages.empty():
            self._messages.get_nowait()  # releases a pending `put`
        timer = asyncio.get_running_loop().call_later(CANCEL_DELAY, self.task.cancel)
        self.task.add_done_callback(lambda _: timer.cancel())
        await asyncio.wait({self.task})


def _scope(request: httpx.Request) -> Scope:
    """Return an ASGI scope with the client of the current request."""
    current = current_request()
    outer: MutableMapping[str, Any] = {} if current is None else current.scope
    outer[HAS_INTERNAL_CALL] = True
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
