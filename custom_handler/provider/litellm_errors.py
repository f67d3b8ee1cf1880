"""Converts the plugin's errors into LiteLLM's."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import litellm
import openai

from ..errors import ContentFiltered, PromptTooLong, RequestError, StackspotError
from . import PROVIDER

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def litellm_errors(model: str) -> Iterator[None]:
    """Raise LiteLLM's errors for ours.

    Any other error is logged, and replaced by an InternalServerError without its details.
    """
    try:
        yield
    except StackspotError as error:
        raise litellm_error(error, model) from None
    except (StopAsyncIteration, openai.OpenAIError):
        raise
    except Exception:
        logger.exception("Unexpected error")
        message = "Internal error of the proxy: its log has the details."
        raise litellm.InternalServerError(message=message, model=model, llm_provider=PROVIDER) from None


def litellm_error(error: StackspotError, model: str) -> Exception:
    """Return LiteLLM's error with the same status and message.

    LiteLLM's router retries and falls back by these classes; their `headers` reach the client.
    """
    classes: Mapping[int, Any] = {
        400: litellm.BadRequestError,
        402: litellm.exceptions.PaymentRequiredError,
        403: litellm.PermissionDeniedError,
        404: litellm.NotFoundError,
        409: functools.partial(litellm.APIError, 409),
        429: litellm.RateLimitError,
        500: litellm.InternalServerError,
        502: litellm.BadGatewayError,
        503: litellm.ServiceUnavailableError,
        504: litellm.Timeout,
    }
    kind: Any = classes[error.status_code]
    if isinstance(error, PromptTooLong):
        kind = litellm.ContextWindowExceededError
    elif isinstance(error, ContentFiltered):
        kind = litellm.ContentPolicyViolationError
    arguments: dict[str, Any] = {}
    if error.status_code == 403:
        arguments["response"] = httpx.Response(403, request=httpx.Request("POST", "https://stackspot.invalid"))
    if error.status_code == 504:
        arguments["exception_status_code"] = 504
    translated: Any = kind(message=error.message, model=model, llm_provider=PROVIDER, **arguments)
    translated.num_retries = 0  # of the router: the provider has retried already
    translated.detail = error.message  # what LiteLLM shows where a keepalive has opened the stream
    if isinstance(error, RequestError):
        translated.param = error.param
    if error.code is not None:
        translated.code = error.code
    headers = {} if error.retry_after is None else {"retry-after": str(max(1, round(error.retry_after)))}
    if not error.resend:  # the SDKs of OpenAI and Anthropic heed this header
        headers["x-should-retry"] = "false"
    if headers:
        translated.headers = headers
    return translated  # type: ignore[no-any-return]
