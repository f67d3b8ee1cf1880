"""The ASGI wrapper around a proxy that already runs, where Starlette's `add_middleware` fails.

    client ──▶ WebSocket key, request id ──▶ observers ──▶ turn ──▶ size of the body ──▶ proxy
           ◀── request id, added headers, CORS ◀── observers ◀── rewritten error bodies ◀──

One wrapper calls plain functions, because every layer costs one call per message of a stream.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...request.context import RequestContext
from ..asgi_transport import SERVICE_ROUTE
from ..error_links import ErrorLinks
from .exchange import Exchange, Outcome
from .langfuse_key import encode_key
from .request_id import assign_request_id, set_request_id
from .stored_response import Keep
from .turns import Turns
from .websocket_key import move_key


class Observer(Protocol):
    """Receives the start and the end of every HTTP request, in the request's context."""

    def request_started(self, scope: Scope) -> None:
        """Handle a request before the proxy receives it."""

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Handle the end of a request."""


class ProxyWrapper:
    """The ASGI application; `socket_paths` are WebSockets that accept a key in the query.

    The first observer is the outermost: it is called first at the start, and last at the end.
    `cors` adds its headers to errors that the application's own CORS middleware has not seen.
    `keep` stores the responses of /v1/responses, and `links` are those to the errors page.
    """

    def __init__(
        self,
        app: ASGIApp,
        observers: Sequence[Observer] = (),
        socket_paths: Sequence[str] = (),
        cors: CORSMiddleware | None = None,
        keep: Keep | None = None,
        *,
        links: ErrorLinks | None = None,
    ) -> None:
        self._app = app
        self._links = links
        self._cors = cors
        self._keep = keep
        self._observers = tuple(observers)
        self._socket_paths = tuple(socket_paths)
        self._turns = Turns()

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
        encode_key(scope)
        exchange = Exchange(request, receive, send, cors=self._cors, keep=self._keep, links=self._links)
        started = time.perf_counter()
        with request.served():
            for observer in self._observers:
                observer.request_started(scope)
            try:
                await self._turns.wait(scope)
                if (rejection := await exchange.body.reject()) is not None:
                    await exchange.send_error(*rejection)
                else:
                    await self._app(scope, exchange.body.receive, exchange.send)
            except Exception as error:
                if not await exchange.end_failed(error):
                    raise
            finally:
                request.abandon_unfinished()
                self._turns.note(scope)
                exchange.outcome.seconds = time.perf_counter() - started
                for observer in reversed(self._observers):
                    observer.request_ended(scope, exchange.outcome)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(self._socket_paths):
            move_key(scope)
        request = RequestContext(scope, assign_request_id(scope))

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"websocket.accept", "websocket.http.response.start"}:
                set_request_id(message, request.request_id)
            await send(message)

        with request.served():
            try:
                await self._turns.wait(scope)
                await self._app(scope, receive, send_with_id)
            finally:
                request.abandon_unfinished()


def wrap(
    app: Any,
    observers: Sequence[Observer] = (),
    socket_paths: Sequence[str] = (),
    keep: Keep | None = None,
    *,
    links: ErrorLinks | None = None,
) -> None:
    """Wrap a running FastAPI application; an application that has not started is unchanged."""
    if (inner := getattr(app, "middleware_stack", None)) is not None:
        added = next((item for item in getattr(app, "user_middleware", ()) if item.cls is CORSMiddleware), None)
        cors = CORSMiddleware(inner, *added.args, **added.kwargs) if added is not None else None
        app.middleware_stack = ProxyWrapper(inner, observers, socket_paths, cors, keep, links=links)
