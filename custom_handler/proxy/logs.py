"""Sets up the package's log, and keeps tracebacks of expected errors out of LiteLLM's."""

from __future__ import annotations

import logging

from litellm import _logging as litellm_logging

from .middleware.request_id import RequestIdFilter

_FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"
_LITELLMS = (
    litellm_logging.verbose_proxy_logger,
    litellm_logging.verbose_router_logger,
    litellm_logging.verbose_logger,
)
_NO_KEY = "No api key passed in"  # a bare Exception of LiteLLM, which it answers with 401
_STATEMENT = "\nTraceback (most recent call last)"


class ExpectedErrors(logging.Filter):
    """Takes the traceback from a record about a 4xx, or about a provider's error; at DEBUG nothing is taken."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None and _is_expected(error) and not self._logger.isEnabledFor(logging.DEBUG):
            record.exc_info = record.exc_text = None
            record.msg, record.args = record.getMessage().partition(_STATEMENT)[0], None
        return True


def _is_expected(error: BaseException) -> bool:
    """Tell a refusal, and a failure of a provider, from a fault of the proxy itself."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    refused = str(status).isdecimal() and 400 <= int(str(status)) < 500
    return refused or bool(getattr(error, "llm_provider", None)) or str(error).startswith(_NO_KEY)


def show_log(level: str) -> None:
    """Write the package's log to stderr, unless the operator has set up a handler for it; JSON_LOGS chooses its form."""
    package = logging.getLogger("custom_handler")
    if package.level == logging.NOTSET:
        package.setLevel(level.upper())
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(RequestIdFilter())
        json_logs = litellm_logging.json_logs
        handler.setFormatter(litellm_logging.JsonFormatter() if json_logs else logging.Formatter(_FORMAT))
        package.addHandler(handler)
        package.propagate = False
    for logger in _LITELLMS:
        if not any(isinstance(known, ExpectedErrors) for known in logger.filters):
            logger.addFilter(ExpectedErrors(logger))
