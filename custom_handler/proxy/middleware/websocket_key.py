"""Takes the key out of a socket's address before anybody can write that into a log.

A browser cannot set headers on a WebSocket. `?api_key=` becomes the header that the proxy knows; the server's access log, which
reads the same scope later, and all that comes after see an address without it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

NAME = "api_key"
HEADER = "x-litellm-api-key"


class WebSocketKeyMiddleware:
    """ASGI middleware for the sockets below a path; a key in a header goes before one in the address."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "websocket" and scope["path"].endswith(self._path):
            _move_key(scope)
        await self._app(scope, receive, send)


def _move_key(scope: Scope) -> None:
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    keys = [value for name, value in query if name == NAME and value and value.isascii() and value.isprintable()]
    scope["query_string"] = urlencode([pair for pair in query if pair[0] != NAME]).encode()
    scope["headers"] = list(scope["headers"])
    headers = MutableHeaders(scope=scope)
    if keys and not any(name in headers for name in ("authorization", "x-api-key", "api-key", HEADER)):
        headers[HEADER] = keys[0]
