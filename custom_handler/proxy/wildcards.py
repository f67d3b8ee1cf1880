"""Keep callers from agents that the operator did not list: wildcards of model_list, and names.

LiteLLM sends `stackspot/<anything>` to the entry `stackspot/*`, and to a catch-all `*`. An agent
is never taken from such a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from litellm.proxy._types import ProxyException
from litellm.proxy.auth.auth_utils import iter_request_fallback_targets

from ..errors import ModelUnknown
from ..provider import PROVIDER
from ..provider.litellm_call import FIXED_AGENT
from .config import Deployment
from .deployments import deployment_provider


class ModelNotFound(ProxyException):  # type: ignore[misc]
    """A request for a StackSpot model that is not listed: HTTP 404, code `model_not_found`."""

    def __init__(self, model: str) -> None:
        error = ModelUnknown(model)
        super().__init__(message=error.message, type="invalid_request_error", param="model", code=404)

    def to_dict(self) -> dict[str, Any]:
        """Return OpenAI's error object; LiteLLM's class supports no code other than the status."""
        return {**super().to_dict(), "code": "model_not_found"}


def is_open(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of `model_list` takes the agent from the name that a caller asks for.

    >>> is_open({"model_name": "stackspot/*", "litellm_params": {"model": "stackspot/*"}})
    True
    >>> is_open({"model_name": "claude-*", "litellm_params": {"model": "stackspot/chat"}})
    False
    """
    deployment = Deployment.of(entry)
    return deployment.provider == PROVIDER and "*" in deployment.model


def with_fixed_agent(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `model_info` of an entry; one for all names of a wildcard says that it is meant.

    >>> with_fixed_agent({"model_name": "claude-*", "litellm_params": {"model": "stackspot/chat"}})
    {'stackspot_fixed_agent': True}
    """
    info = dict(entry.get("model_info") or {})
    deployment = Deployment.of(entry)
    fixed = deployment.provider == PROVIDER and "*" in deployment.name and "*" not in deployment.model
    return info | {FIXED_AGENT: True} if fixed else info


def require_listed(body: Mapping[str, Any], router: Any, wildcards: Iterable[str] = ()) -> None:
    """Raise ModelNotFound if a body asks for a StackSpot model that the router does not have.

    This concerns its model and its fallbacks. `wildcards` are names of entries that the router
    does not have, such as `agents/*`.
    """
    for model in asked_models(body):
        if router is not None and not _is_listed(model, router, wildcards):
            raise ModelNotFound(model)


def asked_models(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the model of a body, and those of its fallbacks."""
    for target in ({"model": body.get("model")}, *iter_request_fallback_targets(body)):
        model = target.get("model") if isinstance(target, Mapping) else target
        if isinstance(model, str):
            yield model


def is_match(wildcard: str, model: str) -> bool:
    """Return whether LiteLLM's pattern for a name with wildcards matches a model."""
    return re.match(re.escape(wildcard).replace(r"\*", ".*"), model) is not None


def _is_listed(model: str, router: Any, wildcards: Iterable[str]) -> bool:
    if router.is_recognized_model(model) or model in router.team_public_model_names:
        return True
    ours = max((name for name in wildcards if is_match(name, model)), key=len, default="")
    if routed := router.pattern_router.get_pattern(model):  # of several wildcards LiteLLM takes the longest
        return len(ours) < len(routed[0]["model_name"]) and not any(map(_is_caller_chosen, routed))
    return not ours and (model in router.deployment_names or not model.startswith(f"{PROVIDER}/"))


def _is_caller_chosen(deployment: Mapping[str, Any]) -> bool:
    info = deployment.get("model_info") or {}
    is_ours = deployment_provider(deployment.get("litellm_params") or {}) == PROVIDER
    return is_ours and not info.get("agent_id") and not info.get(FIXED_AGENT)
