"""Continue kept responses on /v1/responses, for models whose providers keep none themselves.

OpenAI and some others keep responses; LiteLLM translates calls to all other providers, StackSpot's
among them, into chat completions. Its own way for these needs a database, is written late, and
shows a conversation to other keys; so a kept response comes first where this package keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS
from litellm.proxy._types import ProxyException
from litellm.proxy.hooks.responses_id_security import decrypted_response_id
from litellm.responses.utils import ResponsesAPIRequestUtils
from litellm.types.utils import LlmProviders
from litellm.utils import ProviderConfigManager

from ..errors import StackspotError
from ..history.history import ResponseHistory
from ..request.context import add_response_header, current_request
from .deployments import deployment_provider
from .error_body import invalid_request

_RETRY_SECONDS = "5"


class ResponseError(ProxyException):  # type: ignore[misc]
    """The proxy's exception for an error about a kept response, with its OpenAI code if any."""

    def __init__(self, error: StackspotError) -> None:
        kind = "invalid_request_error" if error.status_code < 500 else "service_unavailable_error"
        super().__init__(message=error.message, type=kind, param=getattr(error, "param", None), code=error.status_code)
        self._code = error.code

    def to_dict(self) -> dict[str, Any]:
        """Return OpenAI's error object; LiteLLM's class supports no code other than the status."""
        return {**super().to_dict(), **({"code": self._code} if self._code else {})}


def owner_of(caller: Any) -> str:
    """Return the owner of the responses of an authenticated key: a hash of its id in the proxy."""
    name = getattr(caller, "api_key", None) or getattr(caller, "user_id", None) or LITELLM_PROXY_MASTER_KEY_ALIAS
    return hashlib.sha256(str(name).encode()).hexdigest()


async def continue_response(
    history: ResponseHistory, data: dict[str, Any], sent: Mapping[str, Any], caller: Any, router: Any
) -> None:
    """Put the conversation that a request continues into its `input`, and note it for its response.

    `data` is the request as LiteLLM goes on with it, `sent` as the client sent it. Raises the
    proxy's error: 404 for an id that is unknown, or belongs to another key.
    """
    if (request := current_request()) is None:
        return
    try:
        turn = await history.resolve(owner_of(caller), sent)
    except StackspotError as error:
        if keeps_itself(sent.get("model"), router):
            return  # the id may be one of the provider's own
        raise as_proxy_error(error) from None
    request.response_turn = turn
    if turn.previous is not None or _refers(sent.get("input"), turn.items):
        data["input"] = list(turn.items)
        data.pop("previous_response_id", None)


def as_proxy_error(error: StackspotError) -> ResponseError:
    """Return the proxy's exception for an error about a kept response."""
    if error.retryable:
        add_response_header("retry-after", _RETRY_SECONDS)
    return ResponseError(error)


def refuse_compaction(model: object, router: Any) -> None:
    """Raise the proxy's error (400) for a model whose provider cannot compact a conversation."""
    if not keeps_itself(model, router):
        raise invalid_request(
            "This model cannot compact a conversation: send a shorter one, or let the client summarize it.", "model"
        )


def note_provider(params: Mapping[str, Any], provider: str) -> None:
    """Note for the current request whether its response is kept here, or by its provider."""
    request = current_request()
    if request is not None and request.response_turn is not None:
        request.response_turn.bridged = not has_responses(provider, str(params.get("model") or ""))


def keeps_itself(model: object, router: Any) -> bool:
    """Return whether a model has a deployment whose provider keeps responses itself."""
    served = router.get_model_list(model_name=model) if router is not None and isinstance(model, str) else None
    deployments = [one.get("litellm_params") or {} for one in served or ()]
    return any(has_responses(deployment_provider(params), str(params.get("model"))) for params in deployments)


def has_responses(provider: str | None, model: str = "") -> bool:
    """Return whether a provider has a Responses API of its own, as LiteLLM knows it.

    >>> has_responses("openai"), has_responses("groq"), has_responses("stackspot")
    (True, False, False)
    """
    try:
        known = LlmProviders(provider)
    except ValueError:
        return False
    name = model.partition("/")[2] or model or None
    return ProviderConfigManager.get_provider_responses_api_config(provider=known, model=name) is not None


def is_provider_id(response_id: str) -> bool:
    """Return whether LiteLLM finds an id: of a provider that keeps responses, or polled."""
    if response_id.startswith("litellm_poll_"):
        return True
    decoded = ResponsesAPIRequestUtils.decode_responses_api_response_id(decrypted_response_id(response_id))
    return has_responses(decoded.get("custom_llm_provider"))


def _refers(sent: object, items: list[Any]) -> bool:
    """Return whether an input of items has references, which `items` do not have."""
    return isinstance(sent, list) and (
        len(sent) != len(items) or any(one is not other for one, other in zip(sent, items, strict=True))
    )
