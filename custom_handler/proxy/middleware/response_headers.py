"""What the plugin does around a request: headers that the proxy drops on some routes, and an end for whatever is left open."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...provider.started_stream import close_abandoned_streams

_headers: ContextVar[dict[str, str]] = ContextVar("stackspot_response_headers")


def add_header(name: str, value: str) -> None:
    """Add a header to the answer to the current request, unless it has one of that name."""
    _headers.get({})[name] = value


class ResponseHeadersMiddleware:
    """ASGI middleware that carries out `add_header`, and `close_abandoned_streams`; the dictionary is shared by all tasks of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers: dict[str, str] = {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and headers:
                present = MutableHeaders(scope=message)
                for name, value in headers.items():
                    present.setdefault(name, value)
            await send(message)

        reset = _headers.set(headers)
        try:
            with close_abandoned_streams():
                await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
        finally:
            _headers.reset(reset)
