"""Skip what LiteLLM and FastAPI compute anew in each request.

FastAPI 0.165 builds the keys under which it keeps the results of a route's dependencies, which
never change. LiteLLM 1.108.7 validates all parameters of a call to find the base URL of an agent,
which has none, and a whole API key to see that the key sets no limit for a model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import litellm
from fastapi.dependencies.models import Dependant

from ..provider import PROVIDER

MAX_DEPENDANTS = 1024

_BASE_URL_PARAMETERS = ("api_base", "base_url", "vertex_location")
_TOKEN_LIMIT = "model_tpm_limit"


def kept_cache_keys(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `_get_cache_key` of FastAPI that keeps the key of each dependency of a route."""
    # By id, which no other object has as long as the dependency is kept, too.
    kept: dict[int, tuple[Dependant, Any]] = {}

    @functools.wraps(original)
    def _get_cache_key(*, dependant: Dependant, uses_scopes_cache: Any = None) -> Any:
        entry = kept.get(id(dependant))
        if entry is None or entry[1][0] is not dependant.call:
            if len(kept) >= MAX_DEPENDANTS:
                kept.clear()
            key = original(dependant=dependant, uses_scopes_cache=uses_scopes_cache)
            entry = kept[id(dependant)] = dependant, key
        return entry[1]

    return _get_cache_key


def without_api_base(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """Return a `get_api_base` that returns None for an agent, without validating parameters."""

    @functools.wraps(original)
    def get_api_base(model: str, optional_params: Any) -> str | None:
        if (
            type(optional_params) is not dict
            or not isinstance(model, str)
            or model.startswith("azure/")  # LiteLLM finds another provider for some of these
            or (optional_params.get("custom_llm_provider") or model.partition("/")[0]) != PROVIDER
            or any(optional_params.get(name) is not None for name in _BASE_URL_PARAMETERS)
            or litellm.model_alias_map
            or litellm.LiteLLMProxyChatConfig.should_use_litellm_proxy_by_default()
        ):
            return original(model=model, optional_params=optional_params)
        return None

    return get_api_base


def without_limit_lookup(original: Callable[..., bool]) -> Callable[..., bool]:
    """Return a `_key_owns_model_tpm_limit_from_request_metadata` for a key without limits."""

    @functools.wraps(original)
    def owns_limit(self: Any, request_metadata: Mapping[str, Any], model: Any) -> bool:
        metadata = request_metadata.get("user_api_key_metadata") or {}
        budgets = request_metadata.get("user_api_key_model_max_budget")
        if budgets or type(metadata) is not dict or _TOKEN_LIMIT in metadata:
            return original(self, request_metadata, model)
        return False

    return owns_limit
