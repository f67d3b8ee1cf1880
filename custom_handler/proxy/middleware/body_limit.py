"""Bounds a request's size and depth, and its JSON to an object.

The proxy reads a body to its end before it asks for a key, whatever its length.
"""

from __future__ import annotations

import json
from typing import Any

from litellm.proxy._types import ProxyException
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 32 * 1024 * 1024  # as Anthropic's own API
DEEPEST_LEVEL = 100

_TOO_LARGE = f"The request is larger than {LARGEST_BODY // 1024**2} MiB: shorten it."
_NO_OBJECT = "The request's body must be a JSON object."
# How such JSON begins; what is no JSON at all the proxy refuses well.
_OTHER_JSON = tuple(begin.encode() for begin in '["-0123456789tfn')


class BodyLimitMiddleware:
    """ASGI middleware that answers 413 to a body above the limit, and 400 to JSON that is no object.

    The proxy would stumble at such JSON while it looks for the caller's key. Uploads, which go to disk, are let through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(raw=scope.get("headers", []))
        if scope["type"] != "http" or headers.get("content-type", "").startswith("multipart/"):
            await self._app(scope, receive, send)
            return
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            await _refuse(send, 413, _TOO_LARGE)
            return
        first = await receive()
        is_json = headers.get("content-type", "application/json").startswith("application/json")
        if is_json and first.get("body", b"").lstrip().startswith(_OTHER_JSON):
            await _refuse(send, 400, _NO_OBJECT)
            return
        exchange = _Exchange(first, receive, send)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """A request that is read up to the limit, and whose answer is a 413 if that was passed; its length was not told before."""

    def __init__(self, first: Message, receive: Receive, send: Send) -> None:
        self._first: Message | None = first
        self._receive = receive
        self._send = send
        self._left = LARGEST_BODY

    async def receive(self) -> Message:
        message, self._first = self._first or await self._receive(), None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, _TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        if self._left >= 0:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await _refuse(self._send, 413, _TOO_LARGE)


async def _refuse(send: Send, status: int, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": str(status)}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


def reject_deep_nesting(body: Any) -> None:
    """Raise the proxy's error (400) for a body that is nested too deep to be written out again."""
    level = [body]
    for _ in range(DEEPEST_LEVEL + 1):
        level = [item for value in level for item in _inside(value)]
        if not level:
            return
    raise ProxyException(
        message=f"The request is nested deeper than {DEEPEST_LEVEL} levels: flatten it.",
        type="invalid_request_error",
        param=None,
        code=400,
    )


def _inside(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict | list)]
