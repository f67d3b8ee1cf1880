"""Check the models of a configuration, at startup and for `python -m custom_handler check`."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from litellm.types.utils import LlmProviders

from ..data_class import data_class
from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.cache_options import cache_scope
from ..provider.choice_options import choice_of
from ..provider.knowledge_options import knowledge_of
from ..provider.litellm_call import SWITCHES, agent_id, switch, uses_native_conversation
from ..provider.quick_command_options import PREFIX as QUICK_COMMAND_PREFIX
from ..provider.quick_command_options import quick_command_of
from ..provider.web_search import chosen_entry
from ..proxy.agent_catalog import AllowList
from ..proxy.availability import missing_variable
from ..proxy.config import Deployment, deployments
from ..settings import Settings
from ..stackspot.accounts_file import choose_account, read_accounts
from .probe import Authenticate, probe, probed_state

logger = logging.getLogger(__name__)

DISABLED, QUICK_COMMAND = "disabled", "quick command"


@data_class
class Finding:
    """The result of checking one model.

    `fault` says what is wrong and what to do, None if nothing is; `variable` is the one that a
    disabled model lacks. `kind` is "quick command" for a model that is one, else None.
    """

    model: str
    provider: str
    state: str
    fault: str | None = None
    variable: str | None = None
    kind: str | None = None


class StartupCheckError(RuntimeError):
    """The proxy must not start; the message has a line for each fault."""


async def check_models(config: Mapping[str, Any], settings: Settings, authenticate: Authenticate) -> list[Finding]:
    """Check each model, and probe each provider once per key; disabled models are not probed."""
    asked: dict[object, asyncio.Task[str | None]] = {}

    async def ask(deployment: Deployment, finding: Finding) -> Finding:
        if finding.fault or finding.state == DISABLED:
            return finding
        params = deployment.params
        key = deployment.provider, params.get("api_key"), params.get("api_base"), deployment.info.get("account")
        if key not in asked:
            asked[key] = asyncio.ensure_future(probe(deployment, authenticate))
        if fault := await asked[key]:
            return replace(finding, state="fault", fault=f"{deployment.name}: {fault}")
        return replace(finding, state=probed_state(deployment.provider))

    found = await asyncio.to_thread(check_configuration, config, settings)
    try:
        models = deployments(config)
    except ConfigurationError:
        return found
    return await asyncio.gather(*map(ask, models, found)) if models else found


def check_configuration(config: Mapping[str, Any], settings: Settings) -> list[Finding]:
    """Check the models without the network; return a finding per entry of `model_list`."""
    try:
        models = deployments(config)
    except ConfigurationError as error:
        return [Finding("model_list", "", "unreadable", error.message)]
    if not models:
        fault = "config.yaml has no models: give it a model_list, as docs/models.md shows."
        return [Finding("model_list", "", "empty", fault)]
    providers = _known_providers(config)
    try:
        accounts = read_accounts(settings)
    except ConfigurationError as error:
        return [Finding("STACKSPOT_ACCOUNTS_FILE", PROVIDER, "unreadable", error.message)]
    search_tools = config.get("search_tools") or ()
    pairs = zip(models, config["model_list"], strict=True)
    return [_check(*pair, providers, accounts, search_tools) for pair in pairs]


def _check(
    deployment: Deployment,
    entry: Mapping[str, Any],
    providers: set[str],
    accounts: Mapping[str, Settings],
    search_tools: Sequence[Any],
) -> Finding:
    name, provider = deployment.name, deployment.provider
    is_command = provider == PROVIDER and deployment.model.startswith(QUICK_COMMAND_PREFIX)
    kind = QUICK_COMMAND if is_command else None
    if name and (missing := missing_variable(entry)):
        return Finding(name, provider, DISABLED, variable=missing, kind=kind)
    if fault := _misconfigured(deployment, entry, providers, accounts, search_tools):
        return Finding(name, provider, "misconfigured", fault, kind=kind)
    return Finding(name, provider, "not asked", kind=kind)


def _misconfigured(
    deployment: Deployment,
    entry: Mapping[str, Any],
    providers: set[str],
    accounts: Mapping[str, Settings],
    search_tools: Sequence[Any],
) -> str | None:
    if not deployment.name:
        return "A model of config.yaml has no model_name: clients ask for it by that."
    if not deployment.model:
        return f"{deployment.name} has no model: give it litellm_params.model in config.yaml."
    if deployment.provider not in providers:
        return f"{deployment.name} names a provider that LiteLLM does not know, {deployment.provider!r}: correct config.yaml."
    if deployment.provider == PROVIDER:
        try:
            settings = accounts[choose_account(deployment.info, accounts)]
            settings.account.require_credentials()
            if "*" in deployment.model:
                AllowList.of(entry)
            elif quick_command_of(deployment.model, deployment.info) is None:
                agent_id(deployment.model, {"model_info": deployment.info}, settings)
            uses_native_conversation(deployment.info)
            knowledge_of(deployment.info)
            cache_scope(deployment.info)
            chosen_entry(deployment.info, search_tools)
            for name in SWITCHES:
                switch(deployment.info, name)
            choice_of(deployment.info)
        except ConfigurationError as error:
            return f"{deployment.name}: {error.message}"
    return None


def _known_providers(config: Mapping[str, Any]) -> set[str]:
    """Return the names of LiteLLM's providers and of those that the configuration adds."""
    own = (config.get("litellm_settings") or {}).get("custom_provider_map") or ()
    return {provider.value for provider in LlmProviders} | {str(entry.get("provider")) for entry in own}


def check_at_start(mode: str, config: Mapping[str, Any], settings: Settings, authenticate: Authenticate) -> None:
    """Run the startup check; `mode` is STARTUP_CHECK: off, warn or strict.

    In mode strict, a fault of the configuration raises StartupCheckError. Providers are probed on a
    thread, and their faults are only logged: a provider may recover before the first request.
    """
    if mode == "off":
        return
    if mode == "strict" and (found := faults(check_configuration(config, settings))):
        listed = "".join(f"\n- {fault}" for fault in found)
        message = f"The proxy does not start, because STARTUP_CHECK is strict and it found:{listed}"
        atexit.register(print, f"\n{message}", file=sys.stderr)  # printed after the server's traceback
        raise StartupCheckError(message)
    threading.Thread(target=_warn, args=(config, settings, authenticate), name="start-up-check", daemon=True).start()


def faults(found: Sequence[Finding]) -> list[str]:
    """Return each fault once."""
    return list(dict.fromkeys(finding.fault for finding in found if finding.fault))


def _warn(config: Mapping[str, Any], settings: Settings, authenticate: Authenticate) -> None:
    found = asyncio.run(check_models(config, settings, authenticate))
    for fault in faults(found):
        logger.warning("Start-up check: %s", fault)
    enabled = [finding for finding in found if finding.state != DISABLED]
    logger.info("Start-up check: %d of %d models are ready", sum(not one.fault for one in enabled), len(enabled))
