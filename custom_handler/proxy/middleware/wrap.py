"""The ASGI wrapper around a proxy that already runs, whose `add_middleware` would fail.

    client ──▶ key of a WebSocket, request id ──▶ observers ──▶ size of the body ──▶ proxy
           ◀── request id, added headers ◀── observers ◀── error bodies without internals ◀──

One wrapper calls plain functions: each further layer would cost every message of a stream.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...provider.started_stream import close_abandoned_streams
from ...request.context import RequestContext
from ..asgi_transport import SERVICE_ROUTE
from ..error_body import error_body
from .body_limit import TOO_LARGE, LimitedBody
from .error_bodies import is_report, rewritten
from .request_id import HEADER, assign
from .websocket_key import move_key

CLIENT_DISCONNECTED = 499


@dataclass(slots=True)
class Outcome:
    """How a request ended: its status (499: the client disconnected before the response)."""

    status: int = CLIENT_DISCONNECTED
    disconnected: bool = False
    seconds: float = 0.0


class Observer(Protocol):
    """Is called at the start and at the end of every HTTP request, in the request's context."""

    def request_started(self, scope: Scope) -> None:
        """Note a request, before the proxy receives it."""

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Note the end of a request."""


class ProxyWrapper:
    """The wrapper's ASGI application; `socket_paths` are WebSockets whose address may have a key."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer] = (), socket_paths: Sequence[str] = ()) -> None:
        self._app = app
        self._observers = observers
        self._socket_paths = tuple(socket_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = RequestContext(scope, assign(scope), scope.get(SERVICE_ROUTE))
        body = LimitedBody(Headers(scope=scope), receive)
        exchange = _Exchange(request, body, send)
        started = time.perf_counter()
        with request.served():
            for observer in self._observers:
                observer.request_started(scope)
            try:
                if (refusal := await body.reject()) is not None:
                    await exchange.refuse(*refusal)
                else:
                    await self._app(scope, exchange.receive, exchange.send)
            except Exception:
                exchange.outcome.status = 500
                raise
            finally:
                close_abandoned_streams(request)
                exchange.outcome.seconds = time.perf_counter() - started
                for observer in self._observers:
                    observer.request_ended(scope, exchange.outcome)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(self._socket_paths):
            move_key(scope)
        request = RequestContext(scope, assign(scope))

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"websocket.accept", "websocket.http.response.start"}:
                _set_header(message, request.request_id)
            await send(message)

        with request.served():
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                close_abandoned_streams(request)


class _Exchange:
    """The messages of one HTTP request; the body of an error is held until it is complete."""

    def __init__(self, request: RequestContext, body: LimitedBody, send: Send) -> None:
        self._request = request
        self._body = body
        self._send = send
        self._path = request.scope.get("path", "")
        self._held: Message | None = None
        self._held_body = b""
        self._responded = False
        self.outcome = Outcome()

    async def receive(self) -> Message:
        message = await self._body.receive()
        if message["type"] == "http.disconnect" and not self._responded:
            self.outcome.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._body.exceeded:
                await self.refuse(413, TOO_LARGE)
            elif message["status"] >= 400 or is_report(self._path):
                self._held = message
            else:
                await self._start(message)
        elif self._body.exceeded:
            pass  # the 413 is the response
        elif self._held is not None and message["type"] == "http.response.body":
            self._held_body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_held(self._held)
        else:
            self._responded = message["type"] == "http.response.body" and not message.get("more_body", False)
            await self._send(message)

    async def refuse(self, status: int, message: str) -> None:
        """Send an error of the wrapper's own, and close the connection."""
        body = json.dumps(error_body(message, status, param=None)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers.append((b"connection", b"close"))
        await self._start({"type": "http.response.start", "status": status, "headers": headers})
        self._responded = True
        await self._send({"type": "http.response.body", "body": body})

    async def _send_held(self, start: Message) -> None:
        headers, body = MutableHeaders(scope=start), self._held_body
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        if (shown := rewritten(start["status"], plain, self._path)) != plain:
            body = shown
            del headers["content-encoding"]
            headers["content-length"] = str(len(shown))
        await self._start(start)
        self._responded = True
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, message: Message) -> None:
        _set_header(message, self._request.request_id)
        present = MutableHeaders(scope=message)
        for name, value in self._request.response_headers.items():
            present.setdefault(name, value)
        self.outcome.status = message["status"]
        await self._send(message)


def _set_header(message: Message, request_id: str) -> None:
    message["headers"] = list(message.get("headers") or ())
    MutableHeaders(scope=message)[HEADER] = request_id


def wrap(app: Any, observers: Sequence[Observer] = (), socket_paths: Sequence[str] = ()) -> None:
    """Put the wrapper around a FastAPI application that runs; one that does not run stays as it is."""
    if (inner := getattr(app, "middleware_stack", None)) is not None:
        app.middleware_stack = ProxyWrapper(inner, observers, socket_paths)
