"""Log one line for each finished call, on the logger `custom_handler.calls`.

    call request_id=… correlation_id=… key=… model=… status=… seconds=… first_token=… tokens=in/out
    tool_calls=… repairs=… upstream=…

LiteLLM reports each attempt of a call, a success after the response. The middleware knows when a
request ended and its status, even if LiteLLM reports nothing. The line is logged once both are
known.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import Scope

from ..instrumentation import Measurement, Repaired
from ..proxy.asgi_transport import HAS_INTERNAL_CALL
from ..proxy.middleware.exchange import CLIENT_DISCONNECTED, Outcome
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..request.context import current_request
from ..request.correlation_id import correlation_id
from .call_record import Line

REPORT_TIMEOUT = 2.0
"""Seconds to wait for LiteLLM's report after the end of a request."""

_PATHS = ("/completions", "/messages", "/responses", "/embeddings", ":generateContent", ":streamGenerateContent")
_SERVICE = "/chat"
_PARTS = frozenset({"call_mcp_tool", "list_mcp_tools", "asearch"})
_SCOPE_KEY = "stackspot.call"
_SAFE_CHARACTERS = "/:@.,+*!$&|;?~"
_SAFE = re.compile(rf"[\w{re.escape(_SAFE_CHARACTERS)}-]{{1,200}}", re.ASCII)  # most values: to quote them is slow

logger = logging.getLogger("custom_handler.calls")


@dataclass(slots=True)
class _Call:
    """One request and the reports about it so far."""

    scope: Scope
    started: float
    outcome: Outcome | None = None
    line: Line | None = None
    upstream: str | None = None
    repairs: int = 0

    @property
    def is_call(self) -> bool:
        """Return whether this is a model call; /chat is logged as its call inside the proxy."""
        path = self.scope["path"]
        return (
            self.line is not None or path.endswith(_PATHS) or (path == _SERVICE and HAS_INTERNAL_CALL not in self.scope)
        )

    @property
    def is_complete(self) -> bool:
        """Return whether the last report fits the response: a failed attempt may be retried."""
        if self.line is None or self.outcome is None:
            return False
        return bool((self.line["status"] < 400) == (self.outcome.status < 400))

    def final_status(self) -> int:
        """Return the status of the response, or that of a stream that failed after a 200."""
        if self.outcome is None or self.outcome.disconnected:
            return CLIENT_DISCONNECTED
        status = self.outcome.status
        return int(self.line["status"]) if self.line is not None and status < 400 else status


class CallLog:
    """Logs the calls of a proxy (an Observer), or of a program that uses LiteLLM as a library."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[_Call, asyncio.TimerHandle]] = {}

    def request_started(self, scope: Scope) -> None:
        """Begin the record of a POST request."""
        if scope["method"] == "POST":
            scope[_SCOPE_KEY] = _Call(scope, time.perf_counter())

    def __call__(self, measurement: Measurement) -> None:
        """Count the repair rounds of the current call."""
        if isinstance(measurement, Repaired) and (call := _current_call()) is not None:
            call.repairs += 1

    def add_report(self, line: Line, upstream: str | None) -> None:
        """Add LiteLLM's report of an attempt, by `upstream`, to the current call."""
        if line["call_type"] in _PARTS:  # part of the request: the agent's answer is its report
            return
        if current_request() is None:
            _log(_fields(line, upstream, line["status"], line["latency_ms"] / 1000, 0))
        elif (call := _current_call()) is not None:
            call.line, call.upstream = line, upstream
            if call.is_complete:
                self._finish(call)

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Log the call, or wait for LiteLLM's report if there is none yet."""
        call: _Call | None = scope.get(_SCOPE_KEY)
        if call is None:
            return
        call.outcome = outcome
        if call.is_complete:
            self._finish(call)
        elif call.is_call:
            timer = asyncio.get_running_loop().call_later(REPORT_TIMEOUT, self._finish, call)
            self._pending[id(call)] = (call, timer)
        else:  # LiteLLM may still report a call on a path of its own
            asyncio.get_running_loop().call_later(REPORT_TIMEOUT, _forget, call)

    def flush(self) -> None:
        """Log the calls that still wait for a report."""
        for call, _ in list(self._pending.values()):
            self._finish(call)

    def _finish(self, call: _Call) -> None:
        if (pending := self._pending.pop(id(call), None)) is not None:
            pending[1].cancel()
        _forget(call)
        seconds = call.outcome.seconds if call.outcome is not None else time.perf_counter() - call.started
        line = call.line or _line_without_report(call.scope)
        _log(_fields(line, call.upstream, call.final_status(), seconds, call.repairs))


def _forget(call: _Call) -> None:
    """Ignore later reports, and let the scope and the call, which keep each other, be freed."""
    call.scope.pop(_SCOPE_KEY, None)


def _current_call() -> _Call | None:
    request = current_request()
    return None if request is None else request.scope.get(_SCOPE_KEY)


def _line_without_report(scope: Scope) -> Line:
    """Return the ids of a request that LiteLLM did not report."""
    headers = Headers(scope=scope)
    return {"request_id": headers.get(REQUEST_ID), "correlation_id": correlation_id(headers)}


def _fields(line: Line, upstream: str | None, status: int, seconds: float, repairs: int) -> dict[str, Any]:
    first, usage = line.get("time_to_first_token_ms"), line.get("usage") or {}
    return {
        "request_id": line["request_id"],
        "correlation_id": line["correlation_id"],
        "key": line.get("key"),
        "model": line.get("model"),
        "status": status,
        "seconds": round(seconds, 3),
        "first_token": None if first is None else round(first / 1000, 3),
        "tokens": f"{usage.get('prompt_tokens', 0)}/{usage.get('completion_tokens', 0)}",
        "tool_calls": line.get("tool_calls", 0),
        "repairs": repairs,
        "upstream": upstream,
    }


def _log(fields: dict[str, Any]) -> None:
    level = logging.WARNING if fields["status"] >= 400 else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(
            level, "call %s", " ".join(f"{name}={_encode(value)}" for name, value in fields.items()), extra=fields
        )


def _encode(value: object) -> str:
    """Percent-encode blanks, line ends, brackets, quotes and `=`: no value may forge a field."""
    if value is None or value == "":
        return "-"
    text = str(value)[:200]
    return text if _SAFE.fullmatch(text) else quote(text, safe=_SAFE_CHARACTERS, errors="replace")
