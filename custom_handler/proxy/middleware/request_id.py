"""`x-request-id`: the id of a request in its response, in the logs and in the telemetry."""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope

from ...request.context import request_id

HEADER = "x-request-id"

# Without blanks, brackets and quotes, so that an id cannot imitate the rest of a log line.
_VALID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+=@~-]{0,127}")


def assign_request_id(scope: Scope) -> str:
    """Return the caller's valid id, or a new UUID; set it as a header of the scope."""
    sent = Headers(scope=scope).get(HEADER)
    assigned = sent if sent is not None and _VALID.fullmatch(sent) else str(uuid.uuid4())
    scope["headers"] = list(scope["headers"])
    MutableHeaders(scope=scope)[HEADER] = assigned
    return assigned


def set_request_id(message: Message, assigned: str) -> None:
    """Set the id as a header of a response that starts."""
    message["headers"] = list(message.get("headers") or ())
    MutableHeaders(scope=message)[HEADER] = assigned


class RequestIdFilter(logging.Filter):
    """Set `request_id` of each log record, `-` outside of a request; the log's format needs it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        if not hasattr(record, "request_id"):  # the call log sets its own
            record.request_id = request_id() or "-"
        return True
