"""The package's log on stderr, and what LiteLLM's log is kept from showing."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

import litellm

from .request_id import RequestIdFilter

_TEXT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"
_LITELLM = ("LiteLLM Proxy", "LiteLLM Router", "LiteLLM")


def show_log(level: str) -> None:
    """Write the package's log to stderr, as JSON with LiteLLM's JSON_LOGS, unless the operator has set up a handler for it."""
    package = logging.getLogger("custom_handler")
    if package.level == logging.NOTSET:
        package.setLevel(level.upper())
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(JsonFormatter() if litellm.json_logs else logging.Formatter(_TEXT))
        package.addHandler(handler)
        package.propagate = False


def hide_expected_tracebacks() -> None:
    """Keep the tracebacks out of LiteLLM's log that it writes for each request with an expected error."""
    for name in _LITELLM:
        logger = logging.getLogger(name)
        if not any(isinstance(known, ExpectedErrors) for known in logger.filters):
            logger.addFilter(ExpectedErrors())


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON, with the fields of a call beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
            **getattr(record, "call", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ExpectedErrors(logging.Filter):
    """Drops records about errors with a status below 500; the call log has a line about each of them.

    With the level DEBUG everything is shown.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be shown."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        status = str(getattr(error, "status_code", None) or getattr(error, "code", None) or "")
        return not (status.isdecimal() and 400 <= int(status) < 500)
