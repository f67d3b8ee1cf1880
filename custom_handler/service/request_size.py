"""Bounds a request's size and depth; the proxy reads a body to its end before it asks for a key, whatever its length."""

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


class BodyLimit:
    """ASGI middleware that answers 413 to a body above the limit; uploads, which go to disk, are let through."""

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
            await _refuse(send)
        else:
            exchange = _Exchange(receive, send)
            await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """A request that is read up to the limit, and whose answer is a 413 if that was passed; its length was not told before."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._left = LARGEST_BODY

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, _TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        if self._left >= 0:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await _refuse(self._send)


async def _refuse(send: Send) -> None:
    error = {"message": _TOO_LARGE, "type": "invalid_request_error", "param": None, "code": "413"}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


def refuse_depth(body: Any) -> None:
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
