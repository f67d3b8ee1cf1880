"""The `model_info` of the plugin's models: limits, capabilities and prices.

LiteLLM knows no agent and no Quick Command, so `/model_group/info`, `/v1/model/info` and clients
that read them would find neither limits nor capabilities. `model_info` of config.yaml overrides
each value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.types.utils import LlmProviders
from litellm.utils import ProviderConfigManager

from ..chat.agent_reply import CHARACTERS_PER_TOKEN
from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.quick_command_options import quick_command_of
from ..provider.request_price import REQUEST_PRICE
from ..settings import Settings

_TOKEN_PRICES = ("input_cost_per_token", "output_cost_per_token")
_OF_CONVERSATIONS = (
    "supports_function_calling",
    "supports_parallel_function_calling",
    "supports_tool_choice",
    "supports_response_schema",
)
# LiteLLM lists all of these for a custom provider.
_PARAMS_OF = {
    "supports_function_calling": ("tools", "functions", "function_call", "web_search_options"),
    "supports_parallel_function_calling": ("parallel_tool_calls",),
    "supports_tool_choice": ("tool_choice",),
    "supports_response_schema": ("response_format",),
}


def model_defaults(settings: Settings) -> dict[str, Any]:
    """Return the `model_info` of an agent's model, in the fields of LiteLLM's price list.

    `max_input_tokens` is the longest prompt that the plugin sends (STACKSPOT_MAX_PROMPT_CHARS), at
    four characters a token; the limit of the agent's own model is not known.
    """
    return {
        "mode": "chat",
        "max_input_tokens": settings.requests.max_prompt_chars // CHARACTERS_PER_TOKEN,
        "supports_function_calling": True,
        "supports_parallel_function_calling": True,
        "supports_tool_choice": True,
        "supports_response_schema": True,
        "supports_system_messages": True,
        "supports_vision": settings.uploads.enabled,
        "supports_pdf_input": settings.uploads.enabled,
    }


def with_defaults(info: Mapping[str, Any], params: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's `model_info`, completed from its `litellm_params` and the defaults."""
    completed = {**defaults, **_missing_capabilities(params, info), **info}
    if REQUEST_PRICE in params:  # where `RequestCharge` finds it
        completed.setdefault(REQUEST_PRICE, params[REQUEST_PRICE])
    if completed.get(REQUEST_PRICE):  # LiteLLM checks no budget of a virtual key where both token prices are 0
        completed = {name: value for name, value in completed.items() if name not in _TOKEN_PRICES or value != 0}
    if any(source.get(name) is not None for source in (params, info) for name in _TOKEN_PRICES):
        completed.setdefault("cache_read_input_token_cost", 0)  # else LiteLLM warns that it has none
    if missing := {param for name, params in _PARAMS_OF.items() if completed.get(name) is False for param in params}:
        completed.setdefault("supported_openai_params", [name for name in _all_params() if name not in missing])
    return completed


def _all_params() -> list[str]:
    config = ProviderConfigManager.get_provider_chat_config(model="", provider=LlmProviders.CUSTOM)
    return config.get_supported_openai_params(model="") if config is not None else []


def _missing_capabilities(params: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a Quick Command cannot do because its input has no place for it."""
    try:
        command = quick_command_of(str(params.get("model")).removeprefix(f"{PROVIDER}/"), info)
    except ConfigurationError:
        command = None  # each request to the model names the fault
    if command is None:
        return {}
    missing = () if command.reads_conversation else _OF_CONVERSATIONS
    return dict.fromkeys(missing if command.reads_system else (*missing, "supports_system_messages"), False)


def has_price(params: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Return whether `litellm_params` or `model_info` has a price, which may be 0.

    >>> has_price({"model": "stackspot/chat"}, {"input_cost_per_query": 0.02})
    True
    """
    return any(source.get(name) is not None for source in (params, info) for name in (*_TOKEN_PRICES, REQUEST_PRICE))
