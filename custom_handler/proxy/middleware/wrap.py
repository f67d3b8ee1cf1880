"""The ASGI wrapper around a proxy that already runs, where Starlette's `add_middleware` fails.

    client ──▶ WebSocket key, request id ──▶ observers ──▶ size of the body ──▶ proxy
           ◀── request id, added headers ◀── observers ◀── rewritten error bodies ◀──

One wrapper calls plain functions, because every layer costs one call per message of a stream.
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
from .error_bodies import is_health_report, rewrite
from .rate_limit_headers import set_rate_limit_headers
from .request_id import HEADER, assign_request_id
from .websocket_key import move_key

CLIENT_DISCONNECTED = 499


@dataclass(slots=True)
class Outcome:
    """The end of a request: its status (499: no response was sent), and its duration."""

    status: int = CLIENT_DISCONNECTED
    disconnected: bool = False
    seconds: float = 0.0


class Observer(Protocol):
    """Receives the start and the end of every HTTP request, in the request's context."""

    def request_started(self, scope: Scope) -> None:
        """Handle a request before the proxy receives it."""

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Handle the end of a request."""


class ProxyWrapper:
    """The ASGI application; `socket_paths` are WebSockets that accept a key in the query.

    The first observer is the outermost: it is called first at the start, and last at the end.
    """

    def __init__(self, app: ASGIApp, observers: Sequence[Observer] = (), socket_paths: Sequence[str] = ()) -> None:
        self._app = app
        self._observers = tuple(observers)
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
        request = RequestContext(scope, assign_request_id(scope), scope.get(SERVICE_ROUTE))
        exchange = _Exchange(request, receive, send)
        started = time.perf_counter()
        with request.served():
            for observer in self._observers:
                observer.request_started(scope)
            try:
                if (rejection := await exchange.body.reject()) is not None:
                    await exchange.send_error(*rejection)
                else:
                    await self._app(scope, exchange.body.receive, exchange.send)
            except Exception:
                exchange.outcome.status = 500
                raise
            finally:
                close_abandoned_streams(request)
                exchange.outcome.seconds = time.perf_counter() - started
                for observer in reversed(self._observers):
                    observer.request_ended(scope, exchange.outcome)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(self._socket_paths):
            move_key(scope)
        request = RequestContext(scope, assign_request_id(scope))

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"websocket.accept", "websocket.http.response.start"}:
                _set_request_id(message, request.request_id)
            await send(message)

        with request.served():
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                close_abandoned_streams(request)


class _Exchange:
    """The messages of one HTTP request; an error response is held until its body is complete."""

    def __init__(self, request: RequestContext, receive: Receive, send: Send) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._path = request.scope.get("path", "")
        self._held: Message | None = None
        self._held_body = b""
        self._responded = False
        self.body = LimitedBody(Headers(scope=request.scope), self._watched_receive)
        self.outcome = Outcome()

    async def _watched_receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._responded:
            self.outcome.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and (message["status"] >= 400 or is_health_report(self._path)):
            self._held = message
        elif self._held is None or kind != "http.response.body":
            await self._forward(message)
        else:
            self._held_body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_held(self._held)

    async def send_error(self, status: int, message: str) -> None:
        """Send an error of the wrapper itself, and close the connection."""
        body = json.dumps(error_body(message, status, param=None)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers.append((b"connection", b"close"))
        await self._send_start({"type": "http.response.start", "status": status, "headers": headers})
        self._responded = True
        await self._send({"type": "http.response.body", "body": body})

    async def _send_held(self, start: Message) -> None:
        headers, body = MutableHeaders(scope=start), self._held_body
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        start["status"], rewritten = rewrite(start["status"], plain, self._path)
        if rewritten != plain:
            body = rewritten
            del headers["content-encoding"]
            headers["content-length"] = str(len(rewritten))
        await self._forward(start)
        await self._forward({"type": "http.response.body", "body": body})

    async def _forward(self, message: Message) -> None:
        """Send a message of the proxy, or the 413 if the request body exceeded the limit."""
        if message["type"] == "http.response.start":
            if self.body.exceeded:
                await self.send_error(413, TOO_LARGE)
            else:
                await self._send_start(message)
        elif not self.body.exceeded:
            if message["type"] == "http.response.body":
                self._responded = not message.get("more_body", False)
            await self._send(message)

    async def _send_start(self, message: Message) -> None:
        if added := self._request.response_headers:
            present = MutableHeaders(scope=message)
            for name, value in added.items():
                present.setdefault(name, value)
        if (allowance := self._request.allowance) is not None:
            headers = MutableHeaders(scope=message)
            set_rate_limit_headers(headers, message["status"], allowance, self._path)
        _set_request_id(message, self._request.request_id)
        self.outcome.status = message["status"]
        await self._send(message)


def _set_request_id(message: Message, request_id: str) -> None:
    message["headers"] = list(message.get("headers") or ())
    MutableHeaders(scope=message)[HEADER] = request_id


def wrap(app: Any, observers: Sequence[Observer] = (), socket_paths: Sequence[str] = ()) -> None:
    """Wrap a running FastAPI application; an application that has not started is unchanged."""
    if (inner := getattr(app, "middleware_stack", None)) is not None:
        app.middleware_stack = ProxyWrapper(inner, observers, socket_paths)
