"""Collect what `check` reports: the models, the faults and the settings. Raises nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import litellm

from ..data_class import data_class
from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.handler import StackspotLLM
from ..provider.litellm_call import agent_id
from ..provider.quick_command_options import PREFIX as QUICK_COMMAND
from ..proxy.config import Deployment, deployments, read_config, resolved, variables
from ..setting_fields import PREFIX
from ..settings import Settings
from ..stackspot.http.tls import tls_context
from .accounts import AccountRow, accounts_file_faults, check_accounts
from .config import callback_faults, drop_malformed_sections, import_faults, reference_faults
from .environment import PROXIES, Fault, agent_fault, environment_faults, folder_faults, master_key_fault, unknown_names
from .models import DISABLED, Finding, check_models
from .probe import Authenticate
from .reachability import unreachable
from .settings import SettingRow, list_settings

MASTER_KEY = "LITELLM_MASTER_KEY"
ASK_TIMEOUT = 60.0

# A fault in one of these could direct a call to a wrong host, so no call is made.
_CONNECTION_SETTINGS = frozenset(
    {"CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE", "REALM", "STACKSPOT_ACCOUNTS_FILE"}
    | {"STACKSPOT_IDM_URL", "STACKSPOT_INFERENCE_URL"}
    | {"STACKSPOT_FILES_URL", "STACKSPOT_AGENTS_URL", "STACKSPOT_CA_BUNDLE", "SSL_CERT_FILE", *PROXIES}
)
_LITELLM_PREFIX = re.compile(r"^litellm\.\w+: ")


@data_class
class Diagnosis:
    """All findings; the configuration is valid if there are no faults."""

    models: Sequence[Finding]
    faults: Sequence[Fault]
    settings: Sequence[SettingRow]
    accounts: Sequence[AccountRow] = ()


def diagnose(
    path: Path, environ: Mapping[str, str], dotenv: Mapping[str, str | None], *, ask: bool = False
) -> Diagnosis:
    """Check a configuration; with `ask`, send each agent a question (one request of quota each).

    `environ` is the environment before `dotenv` was loaded into it; os.environ must contain both.
    """
    config, faults = _read(path)
    rows = list_settings(environ, dotenv, config)
    faults += [Fault(row.name, row.fault) for row in rows if row.fault]
    faults += environment_faults(os.environ)
    faults += unknown_names(environ, dotenv, variables(config))
    faults += _master_key(config, {row.name for row in rows})
    faults += import_faults(config, path.parent)
    faults += callback_faults(config, litellm._known_custom_logger_compatible_callbacks)
    settings = _valid_settings(environ, dotenv, {fault.where for fault in faults})
    faults += reference_faults(config, settings.services.default_model if settings.services.enabled else None)
    faults += folder_faults(settings)
    faults += accounts_file_faults(settings)
    found, accounts = asyncio.run(_probe(config, settings, faults, ask=ask))
    return Diagnosis(found, _merge(faults, found), rows, accounts)


def _read(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    try:
        return drop_malformed_sections(read_config(path))
    except ConfigurationError as error:
        return {}, [Fault(str(path), error.message)]


def _master_key(config: Mapping[str, Any], named: set[str]) -> list[Fault]:
    """Check the master key unless it is a variable of config.yaml, which has a row already."""
    if MASTER_KEY in named or not config:
        return []
    given = resolved((config.get("general_settings") or {}).get("master_key"))
    name, key = ("general_settings.master_key", given) if given else (MASTER_KEY, os.environ.get(MASTER_KEY, ""))
    message = master_key_fault(name, str(key)) if key else f"{MASTER_KEY} is not set: set it in .env."
    return [Fault(name, message)] if message else []


def _valid_settings(environ: Mapping[str, str], dotenv: Mapping[str, str | None], faulty: set[str]) -> Settings:
    """Read the settings, except those that have a fault."""
    without = faulty | {PREFIX + name for name in faulty}
    sources = [{name: value for name, value in source.items() if name not in without} for source in (environ, dotenv)]
    return Settings.from_mapping(*sources)


async def _probe(
    config: Mapping[str, Any], settings: Settings, faults: list[Fault], *, ask: bool
) -> tuple[list[Finding], list[AccountRow]]:
    """Probe providers, accounts and hosts; append the faults of accounts and hosts to `faults`."""
    if not config:
        return [], []
    blocked = next((fault.message for fault in faults if fault.where in _CONNECTION_SETTINGS), None)
    try:
        models = {model.name: model for model in deployments(config) if model.provider == PROVIDER}
        tls = None if blocked else tls_context(settings.account.ca_bundle)
    except ConfigurationError:  # check_models reports it
        models, tls = {}, None
    authenticate = _refusing(blocked) if blocked else StackspotLLM(settings).authenticate
    found, accounts, more = await asyncio.gather(
        check_models(config, settings, authenticate),
        _no_accounts() if blocked else check_accounts(settings, authenticate),
        unreachable(settings, tls, agents=bool(models)),
    )
    faults += [Fault(f"account {one.name}", one.fault) for one in accounts if one.fault]
    faults += more
    if blocked:
        found = [
            replace(item, state="not asked") if item.fault == f"{item.model}: {blocked}" else item for item in found
        ]
    found = [_check_agent_id(item, models.get(item.model), settings) for item in found]
    return (await _ask_agents(found, models, settings) if ask else found), accounts


async def _no_accounts() -> list[AccountRow]:
    return []


def _check_agent_id(item: Finding, model: Deployment | None, settings: Settings) -> Finding:
    """Check the form of the agent's id, which the startup check does not."""
    if model is None or item.fault or "*" in model.model or model.model.startswith(QUICK_COMMAND):
        return item
    chosen = agent_id(model.model, {"model_info": model.info}, settings)
    fault = agent_fault(chosen, model.model)
    return replace(item, state="misconfigured", fault=f"{item.model}: {fault}") if fault else item


def _refusing(reason: str) -> Authenticate:
    def refuse(_: float, __: str) -> None:
        raise ConfigurationError(reason)

    return refuse


async def _ask_agents(found: list[Finding], models: Mapping[str, Deployment], settings: Settings) -> list[Finding]:
    """Ask each agent one question, except those of models that have a fault."""
    agents = {
        item.model: (agent_id(model.model, {"model_info": model.info}, settings), model.info.get("account"))
        for item in found
        if (model := models.get(item.model)) and "*" not in model.model and not item.fault and item.state != DISABLED
        if not model.model.startswith(QUICK_COMMAND)  # an execution would be paid for
    }
    asked = {agent: models[name] for name, agent in agents.items()}
    answers = await asyncio.gather(*(asyncio.to_thread(_ask_agent, model, settings) for model in asked.values()))
    fault_of = dict(zip(asked, answers, strict=True))
    return [_with_answer(item, fault_of[agents[item.model]]) if item.model in agents else item for item in found]


def _with_answer(item: Finding, fault: str | None) -> Finding:
    state = "fault" if fault else "the agent answered"
    return replace(item, state=state, fault=f"{item.model}: {fault}" if fault else None)


def _ask_agent(model: Deployment, settings: Settings) -> str | None:
    """Ask an agent once; return what is wrong and what to do, or None."""
    limited = settings.changed(
        limits={"max_retries": 0, "timeout": min(settings.limits.timeout, ASK_TIMEOUT)},
        requests={"repair": False},
        redis={"url": ""},
    )
    question = [{"role": "user", "content": "Answer with the word ok."}]
    try:
        StackspotLLM(limited).completion(model.model, question, litellm_params={"model_info": dict(model.info)})
    except Exception as error:  # noqa: BLE001  LiteLLM's errors have no common base
        return _LITELLM_PREFIX.sub("", str(getattr(error, "message", error)).partition("\n")[0])
    return None


def _merge(faults: Sequence[Fault], found: Sequence[Finding]) -> list[Fault]:
    """List each fault once: group those of models by message, without those of settings."""
    known = list(dict.fromkeys(faults))
    by_message: dict[str, list[str]] = {}
    for item in found:
        message = (item.fault or "").removeprefix(f"{item.model}: ")
        if message and all(message != fault.message for fault in known):
            by_message.setdefault(message, []).append(item.model)
    return [*known, *(Fault(", ".join(dict.fromkeys(models)), message) for message, models in by_message.items())]
