"""`x-request-id`: what a request is called in its answer, in the logs and in the telemetry.

The caller's own name is kept where it is sane, else a UUID is made. The proxy and its callbacks see the same header.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"

_SANE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")
_ANSWERS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
_served: ContextVar[Scope | None] = ContextVar("stackspot_served", default=None)


def served() -> Scope | None:
    """Return the ASGI scope of the request that is being served, or None outside of one."""
    return _served.get()


def request_id() -> str:
    """Name the request that is being served; empty outside of one."""
    scope = served()
    return "" if scope is None else Headers(scope=scope).get(HEADER, "")


class RequestIdMiddleware:
    """ASGI middleware that names each request, and says so in its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        name = _sane(Headers(scope=scope).get(HEADER))
        scope["headers"] = list(scope["headers"])
        MutableHeaders(scope=scope)[HEADER] = name

        async def send_named(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message["headers"] = list(message.get("headers") or ())
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        reset = _served.set(scope)
        try:
            await self._app(scope, receive, send_named)
        finally:
            _served.reset(reset)


class RequestIdFilter(logging.Filter):
    """Gives each log record the field `request_id`, for the log's format; `-` outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        if not hasattr(record, "request_id"):  # a call's line names its own
            record.request_id = request_id() or "-"
        return True


def _sane(given: str | None) -> str:
    return given if given is not None and _SANE.fullmatch(given) else str(uuid.uuid4())
