"""What must be right before a proxy can serve its models, checked at its start or by hand (`python -m custom_handler check`)."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from litellm.types.utils import LlmProviders

from ..call import agent_id, is_native
from ..errors import ConfigurationError
from ..replies import PROVIDER
from ..settings import Settings
from .config import Deployment, deployments
from .keys import missing_key
from .pings import Authenticate, ping, pinged

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about a model: `fault` says what is wrong and what to do, and is None where nothing is."""

    model: str
    provider: str
    state: str
    fault: str | None = None


class StartUpFault(RuntimeError):
    """The proxy is not to start; the message has a line for each fault."""


async def check_models(config: Mapping[str, Any], settings: Settings, authenticate: Authenticate) -> list[Finding]:
    """Check each model of a configuration, all at once; a provider is asked once for each key."""
    try:
        models = deployments(config)
    except ConfigurationError as error:
        return [Finding("model_list", "", "unreadable", error.message)]
    if not models:
        fault = "config.yaml has no models: give it a model_list, as README.md shows."
        return [Finding("model_list", "", "empty", fault)]
    providers = _known_providers(config)
    asked: dict[object, asyncio.Task[str | None]] = {}

    def ask(deployment: Deployment) -> Awaitable[str | None]:
        key = deployment.provider, deployment.params.get("api_key"), deployment.params.get("api_base")
        if key not in asked:
            asked[key] = asyncio.ensure_future(ping(deployment, authenticate))
        return asked[key]

    return await asyncio.gather(*(_check(deployment, providers, settings, ask) for deployment in models))


async def _check(
    deployment: Deployment, providers: set[str], settings: Settings, ask: Callable[[Deployment], Awaitable[str | None]]
) -> Finding:
    name, provider = deployment.name, deployment.provider
    if fault := _misconfigured(deployment, providers, settings):
        return Finding(name, provider, "misconfigured", fault)
    if missing := await asyncio.to_thread(missing_key, provider, deployment.params):
        return Finding(name, provider, "no key", f"{name} has no key: set {missing} in .env.")
    if fault := await ask(deployment):
        return Finding(name, provider, "fault", f"{name}: {fault}")
    return Finding(name, provider, pinged(provider))


def _misconfigured(deployment: Deployment, providers: set[str], settings: Settings) -> str | None:
    if not deployment.name:
        return "A model of config.yaml has no model_name: clients ask for it by that."
    if not deployment.model:
        return f"{deployment.name} has no model: set the variable that config.yaml names, as .env.example does."
    if deployment.provider not in providers:
        return f"{deployment.name} names a provider that LiteLLM does not know, {deployment.provider!r}: correct config.yaml."
    if deployment.provider == PROVIDER:
        try:
            agent_id(deployment.model, {"model_info": deployment.info}, settings)
            is_native(deployment.info)
        except ConfigurationError as error:
            return f"{deployment.name}: {error.message}"
    return None


def _known_providers(config: Mapping[str, Any]) -> set[str]:
    """Name LiteLLM's providers, and those that the configuration adds."""
    own = (config.get("litellm_settings") or {}).get("custom_provider_map") or ()
    return {provider.value for provider in LlmProviders} | {str(entry.get("provider")) for entry in own}


def check_at_start(mode: str, check: Callable[[], Coroutine[Any, Any, Sequence[Finding]]]) -> None:
    """Check as `STARTUP_CHECK` says: not at all; with warnings, beside the start; or strictly, which raises StartUpFault."""
    if mode == "warn":
        threading.Thread(target=_warn, args=(check,), name="start-up-check", daemon=True).start()
    elif mode == "strict":
        with ThreadPoolExecutor(1) as thread:  # the proxy's own loop runs in this one
            found = thread.submit(lambda: asyncio.run(check())).result()
        if faults := faults_of(found):
            told = "".join(f"\n- {fault}" for fault in faults)
            raise StartUpFault(f"The proxy does not start, because STARTUP_CHECK is strict and it found:{told}")


def faults_of(found: Sequence[Finding]) -> list[str]:
    """List the faults, each once."""
    return list(dict.fromkeys(finding.fault for finding in found if finding.fault))


def _warn(check: Callable[[], Coroutine[Any, Any, Sequence[Finding]]]) -> None:
    found = asyncio.run(check())
    for fault in faults_of(found):
        logger.warning("Start-up check: %s", fault)
    logger.info("Start-up check: %d of %d models are ready", sum(not finding.fault for finding in found), len(found))
