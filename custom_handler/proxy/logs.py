"""Set up the package's log, and remove tracebacks of expected errors from LiteLLM's log."""

from __future__ import annotations

import logging

from litellm import _logging as litellm_logging

from .middleware.request_id import RequestIdFilter

_FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"
_LITELLM_LOGGERS = (
    litellm_logging.verbose_proxy_logger,
    litellm_logging.verbose_router_logger,
    litellm_logging.verbose_logger,
)
# LiteLLM raises a bare Exception for no key and a ValueError for a refused field: a 401 and a 400.
_REFUSALS = ("No api key passed in", "Rejected Request: ")
# LiteLLM cannot log the translated answer of a Gemini route; it has logged the chat completion.
_LOGGED_TWICE = "Google GenAI Generate Content: httpx_response is None"
_TRACEBACK = "\nTraceback (most recent call last)"


class ExpectedErrors(logging.Filter):
    """Remove the traceback from records about a 4xx or a provider's error, except at DEBUG.

    Records about a call that LiteLLM has logged already are removed.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is kept."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None or self._logger.isEnabledFor(logging.DEBUG):
            return True
        if str(error).endswith(_LOGGED_TWICE):
            return False
        if _is_expected(error):
            record.exc_info = record.exc_text = None
            record.msg, record.args = record.getMessage().partition(_TRACEBACK)[0], None
        return True


def _is_expected(error: BaseException) -> bool:
    """Return whether an error is a client's or a provider's, not one of the proxy itself."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    client_error = str(status).isdecimal() and 400 <= int(str(status)) < 500
    return client_error or bool(getattr(error, "llm_provider", None)) or str(error).startswith(_REFUSALS)


def show_log(level: str) -> None:
    """Log to stderr, as text or as JSON (JSON_LOGS), unless the operator has set up a handler."""
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
    for logger in _LITELLM_LOGGERS:
        if not any(isinstance(present, ExpectedErrors) for present in logger.filters):
            logger.addFilter(ExpectedErrors(logger))
