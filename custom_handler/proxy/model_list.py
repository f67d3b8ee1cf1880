"""Prepare `model_list` for the router: resolve variables, drop disabled models, qualify names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litellm.proxy._types import ProxyException
from litellm.proxy.auth.auth_checks import can_key_call_model, can_object_call_model
from litellm.router_utils.common_utils import resolve_model_group_alias

from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.choice_options import CHOICE_OPTIONS
from .agent_catalog import AgentCatalog
from .availability import disabled_models, missing_variable
from .config import read_config, resolved
from .deployments import deployment_provider
from .model_defaults import with_defaults
from .wildcards import is_open, require_listed, with_fixed_agent

_IN_PARAMS = ("account", *CHOICE_OPTIONS)  # of model_info: two entries of one name may differ in these alone

logger = logging.getLogger(__name__)


class ModelDisabled(ProxyException):  # type: ignore[misc]
    """A request for a disabled model: HTTP 503 with the error code `model_disabled`."""

    def __init__(self, model: str, variable: str) -> None:
        message = (
            f"The model {model} is disabled, because {variable} is not set: set it in the proxy's .env and restart it."
        )
        super().__init__(message=message, type="service_unavailable_error", param="model", code=503)

    def to_dict(self) -> dict[str, Any]:
        """Return OpenAI's error object; LiteLLM's class supports no code other than the status."""
        return {**super().to_dict(), "code": "model_disabled"}


def written_config(proxy: Any) -> dict[str, Any]:
    """Return the running proxy's configuration, with unresolved references where possible.

    LiteLLM resolves `os.environ/` references when it reads config.yaml, before this package loads
    `.env`; so `model_list` and `general_settings` are read from the file again.
    """
    config = dict(proxy.proxy_config.get_config_state())
    try:
        content = read_config(Path(getattr(proxy, "user_config_file_path", None) or ""))
    except ConfigurationError:
        return config
    entries, general_settings = content.get("model_list"), content.get("general_settings")
    if isinstance(entries, list) and len(entries) == len(config.get("model_list") or ()):
        config["model_list"] = entries
    if isinstance(general_settings, Mapping):
        config["general_settings"] = general_settings
    return config


class ModelList:
    """The models of a proxy; `disabled` maps each disabled one to the variable that is not set."""

    def __init__(
        self,
        written: Sequence[Mapping[str, Any]],
        aliases: object = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the entries of config.yaml, and `model_group_alias` of its `router_settings`.

        `defaults` are the `model_info` of the agents' models, where an entry has no other value.
        """
        self._written = written
        self._aliases = aliases
        self._defaults = defaults or {}
        self.disabled = disabled_models(written)
        if self.disabled:
            listed = ", ".join(f"{name} ({variable} is not set)" for name, variable in self.disabled.items())
            logger.info("Disabled models: %s", listed)
        self._wildcards = [str(entry.get("model_name") or "") for entry in written if is_open(entry)]

    def prepare(self, entries: list[dict[str, Any]]) -> None:
        """Remove the router's disabled entries, and those that let callers choose an agent.

        The others are resolved and completed, in place.
        """
        pairs = list(zip(entries, self._written, strict=False)) if len(entries) == len(self._written) else []
        for entry, written in pairs:
            if missing_variable(written) is not None:
                entries.remove(entry)
            else:
                entry.update(self._completed({**entry, "litellm_params": written.get("litellm_params") or {}}))
        entries[:] = [entry for entry in entries if not is_open(entry)]

    def agents(self) -> AgentCatalog:
        """Return the models that the wildcards stand for, which never take the name of another."""
        aliases = self._aliases if isinstance(self._aliases, Mapping) else {}
        names = {str(entry.get("model_name") or "") for entry in self._written if not is_open(entry)}
        return AgentCatalog(self._written, self._completed, names | set(aliases))

    def _completed(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of config.yaml as the router needs it."""
        params = qualified(resolved(entry.get("litellm_params") or {}))
        completed = {**entry, "litellm_params": params}
        if deployment_provider(params) == PROVIDER:
            params.pop("custom_llm_provider", None)  # beside the prefix, LiteLLM does not find its model_info
            completed["model_info"] = with_defaults(entry.get("model_info") or {}, params, self._defaults)
        if info := with_fixed_agent(completed):
            completed["model_info"] = info
        given = completed.get("model_info") or {}
        if chosen := {name: given[name] for name in _IN_PARAMS if given.get(name) is not None}:
            # LiteLLM's health checks get only these, and its ids are made from them
            params["model_info"] = chosen
        return completed

    def require_listed(self, body: Mapping[str, Any], router: Any) -> None:
        """Raise ModelNotFound for a StackSpot model or fallback that the operator did not list."""
        require_listed(body, router, self._wildcards)

    def require_enabled(self, model: object) -> None:
        """Raise ModelDisabled for a disabled model, or an alias of one."""
        if not isinstance(model, str):
            return
        if variable := self.disabled.get(resolve_model_group_alias(self._aliases, model) or model):
            raise ModelDisabled(model, variable)

    async def unlisted_entry(self, model: str, caller: Any, router: Any) -> Mapping[str, Any] | None:
        """Return the entry that answers a caller's requests for a name that is not listed, or None.

        LiteLLM matches such a name with wildcards, or else with the `model` of an entry. None also
        stands for a name that this API key, or its team, may not call, and for an entry such as
        `groq/*`: only the provider knows whether it has a model of that name.
        """
        if router is None or (entry := _unlisted(model, router)) is None or "*" in entry["litellm_params"]["model"]:
            return None
        try:
            self.require_enabled(model)
            self.require_listed({"model": model}, router)
            await can_key_call_model(model=model, llm_model_list=None, valid_token=caller, llm_router=router)
            can_object_call_model(
                model=model,
                llm_router=router,
                models=caller.team_models,
                team_model_aliases=caller.team_model_aliases,
                team_id=caller.team_id,
                object_type="team",
            )
        except ProxyException:
            return None
        return entry


def _unlisted(model: str, router: Any) -> Mapping[str, Any] | None:
    if found := router.pattern_router.get_pattern(model):  # with the name in place of the entry's own `*`
        entry_id = found[0]["model_info"]["id"]
        return next((entry for entry in router.model_list if entry["model_info"]["id"] == entry_id), None)
    return next((entry for entry in router.model_list if entry["litellm_params"]["model"] == model), None)


def qualified(params: dict[str, Any]) -> dict[str, Any]:
    """Return `litellm_params` whose `model` has its provider as a prefix.

    LiteLLM's `GET /v1/models/{id}` ignores `custom_llm_provider`, so it fails without the prefix.

    >>> qualified({"model": "chat", "custom_llm_provider": "stackspot"})["model"]
    'stackspot/chat'
    """
    provider, model = params.get("custom_llm_provider"), params.get("model")
    if not provider or not isinstance(model, str) or model.startswith(f"{provider}/"):
        return params
    return {**params, "model": f"{provider}/{model}"}
