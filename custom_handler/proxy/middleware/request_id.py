"""`x-request-id`: the id of a request in its response, in the logs and in the telemetry."""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from ...request.context import request_id

HEADER = "x-request-id"

_VALID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


def assign(scope: Scope) -> str:
    """Return the caller's id of a request, or a new UUID; the scope then has it as a header."""
    given = Headers(scope=scope).get(HEADER)
    name = given if given is not None and _VALID.fullmatch(given) else str(uuid.uuid4())
    scope["headers"] = list(scope["headers"])
    MutableHeaders(scope=scope)[HEADER] = name
    return name


class RequestIdFilter(logging.Filter):
    """Gives each log record the field `request_id`, for the log's format; `-` outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        if not hasattr(record, "request_id"):  # the line of a call has its own
            record.request_id = request_id() or "-"
        return True
