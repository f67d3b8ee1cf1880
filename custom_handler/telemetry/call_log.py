"""Logs one line for each call that ended, on the logger `custom_handler.calls`.

    call request_id=… correlation_id=… key=… model=… status=… seconds=… first_token=… tokens=in/out tool_calls=… repairs=… upstream=…

LiteLLM reports each attempt of a call, and reports a success after the answer. The middleware knows when the request ended and
with which status, also for a request that LiteLLM reports nothing about. The line is logged when both are known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..instrumentation import Measurement, Repaired
from ..provider.litellm_call import CORRELATION_HEADERS
from ..proxy.asgi_transport import ASKED
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..proxy.middleware.request_id import served
from .call_record import Details, Line

GRACE = 2.0
"""Seconds after the end of a request in which LiteLLM's report of it is waited for."""

LEFT = 499

_PATHS = ("/completions", "/messages", "/responses", "/embeddings", ":generateContent", ":streamGenerateContent")
_SERVICE = "/chat"
_RECORD = "stackspot.call"
_PLAIN = "/:@.,+*!$&|;?~"

logger = logging.getLogger("custom_handler.calls")


@dataclass(slots=True)
class _Call:
    """One request, and what is known about it so far."""

    scope: Scope
    started: float
    status: int = LEFT
    left: bool = False
    ended: float | None = None
    line: Line | None = None
    details: Details = field(default_factory=Details)
    repairs: int = 0
    logged: bool = False

    @property
    def is_call(self) -> bool:
        """Tell a call from other requests; a service's call is logged as the call that it makes inside the proxy."""
        path = self.scope["path"]
        return self.line is not None or path.endswith(_PATHS) or (path == _SERVICE and ASKED not in self.scope)

    @property
    def is_settled(self) -> bool:
        """Tell whether LiteLLM's last report agrees with the answer: an attempt that failed may be followed by another."""
        return self.line is not None and (self.line["status"] < 400) == (self.status < 400)

    def final_status(self) -> int:
        """Return the status of the answer, or that of a stream which failed after a 200."""
        if self.left:
            return LEFT
        return int(self.line["status"]) if self.line is not None and self.status < 400 else self.status


class Calls:
    """Logs the line of each call of a proxy (`around`), or of a program that uses LiteLLM as a library."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[_Call, asyncio.TimerHandle]] = {}

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its calls logged."""
        return _Logged(app, self)

    def __call__(self, measure: Measurement) -> None:
        """Count the repair rounds of the call that is being served."""
        if isinstance(measure, Repaired) and (call := (served() or {}).get(_RECORD)) is not None:
            call.repairs += 1

    def note(self, line: Line, details: Details) -> None:
        """Take LiteLLM's report of an attempt."""
        scope = served()
        if scope is None:
            _log(_fields(line, details, line["status"], line["latency_ms"] / 1000, 0))
        elif (call := scope.get(_RECORD)) is not None and not call.logged:
            call.line, call.details = line, details
            if call.ended is not None and call.is_settled:
                self._finish(call)

    def ended(self, call: _Call) -> None:
        """Log a call whose request ended, or wait for LiteLLM's report of it."""
        call.ended = time.perf_counter()
        if call.is_settled:
            self._finish(call)
        elif call.is_call:
            timer = asyncio.get_running_loop().call_later(GRACE, self._finish, call)
            self._pending[id(call)] = (call, timer)

    def flush(self) -> None:
        """Log the calls that wait for a report."""
        for call, _ in list(self._pending.values()):
            self._finish(call)

    def _finish(self, call: _Call) -> None:
        if (pending := self._pending.pop(id(call), None)) is not None:
            pending[1].cancel()
        call.logged = True
        seconds = (call.ended or time.perf_counter()) - call.started
        line = call.line or _unreported(call.scope)
        _log(_fields(line, call.details, call.final_status(), seconds, call.repairs))


class _Logged:
    """ASGI middleware that reports each POST request to `Calls`."""

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        call = scope[_RECORD] = _Call(scope, time.perf_counter())
        answered = False

        async def receive_seen() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not answered:
                call.left = True
            return message

        async def send_seen(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                call.status = message["status"]
            elif message["type"] == "http.response.body":
                answered = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive_seen, send_seen)
        except Exception:
            call.status = 500
            raise
        finally:
            self._calls.ended(call)


def _unreported(scope: Scope) -> Line:
    """Describe a request that LiteLLM reported nothing about."""
    headers = Headers(scope=scope)
    correlation = next((headers[name] for name in CORRELATION_HEADERS if name in headers), None)
    return {"request_id": headers.get(REQUEST_ID), "correlation_id": correlation}


def _fields(line: Line, details: Details, status: int, seconds: float, repairs: int) -> dict[str, Any]:
    first, usage = line.get("time_to_first_token_ms"), line.get("usage") or {}
    return {
        "request_id": line["request_id"],
        "correlation_id": line["correlation_id"],
        "key": details.key,
        "model": line.get("model"),
        "status": status,
        "seconds": round(seconds, 3),
        "first_token": None if first is None else round(first / 1000, 3),
        "tokens": f"{usage.get('prompt_tokens', 0)}/{usage.get('completion_tokens', 0)}",
        "tool_calls": details.tool_calls,
        "repairs": repairs,
        "upstream": details.upstream,
    }


def _log(fields: dict[str, Any]) -> None:
    level = logging.WARNING if fields["status"] >= 400 else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(
            level, "call %s", " ".join(f"{name}={_shown(value)}" for name, value in fields.items()), extra=fields
        )


def _shown(value: object) -> str:
    """Write a value without blanks, line ends, brackets, quotes and `=`, which are percent-encoded."""
    return "-" if value is None or value == "" else quote(str(value)[:200], safe=_PLAIN, errors="replace")
