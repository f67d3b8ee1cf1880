"""Find faults that prevent a start, within a second and without LiteLLM; each is one line."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data_class import data_class
from ...errors import ConfigurationError
from ...provider import PROVIDER
from ...provider.litellm_call import agent_id
from ...proxy.config import Deployment, deployments, read_config
from ...proxy.key_entries import read_entries
from ...settings import Settings
from ...stackspot.accounts_file import choose_account, read_accounts


@data_class
class Startable:
    """The configuration and the settings of a proxy that can start."""

    config: Mapping[str, Any]
    models: tuple[Deployment, ...]
    settings: Settings

    def missing(self) -> tuple[str, ...]:
        """Return the names of the settings that the configuration's StackSpot models lack."""
        ours = self._models_of_default_account()
        if not ours:
            return ()
        lacks_agent = not self.settings.account.agent_id and not all(self._names_agent(model) for model in ours)
        return (*self.settings.account.missing(), *(("GENAI_AGENT_ID",) if lacks_agent else ()))

    def _models_of_default_account(self) -> list[Deployment]:
        return [model for model in self.models if model.provider == PROVIDER and not model.info.get("account")]

    def _names_agent(self, model: Deployment) -> bool:
        if "*" in model.model:  # which the default agent never serves
            return True
        try:
            agent_id(model.model, {"model_info": model.info}, self.settings)
        except ConfigurationError:
            return False
        return True


def require_startable(host: str, port: int, config: Path) -> Startable:
    """Check what a start needs; raise ConfigurationError for the first fault."""
    if not config.exists():
        raise ConfigurationError(f"There is no {config}: `stackspot-litellm init` writes one, or name it by --config.")
    content = read_config(config)
    models = _models(config, content)
    settings = Settings.load()
    if settings.proxy.keys_file:
        read_entries(Path(settings.proxy.keys_file))
    startable = Startable(content, models, settings)
    _require_accounts(startable)
    _require_free_port(host, port)
    return startable


def _require_accounts(startable: Startable) -> None:
    """Check the file of accounts, and that no simulator would answer beside its accounts."""
    accounts = read_accounts(startable.settings)
    for model in startable.models:
        if model.provider == PROVIDER:
            try:
                choose_account(model.info, accounts)
            except ConfigurationError as error:
                raise ConfigurationError(f"{model.name}: {error.message}") from None
    if len(accounts) > 1 and (missing := startable.missing()):
        raise ConfigurationError(
            f"Some StackSpot models of config.yaml name no model_info.account, and {', '.join(missing)} is not set: "
            "set it in .env, or name an account of STACKSPOT_ACCOUNTS_FILE."
        )


def _models(config: Path, content: Mapping[str, Any]) -> tuple[Deployment, ...]:
    for name in ("litellm_settings", "general_settings", "router_settings"):
        if not isinstance(content.get(name) or {}, Mapping):
            raise ConfigurationError(f"{name} of {config} is not a mapping: see docs/models.md for the form.")
    entries = content.get("model_list")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping) and not isinstance(entry.get("litellm_params"), Mapping):
            raise ConfigurationError(
                f"{config}, model_list[{number}] has no litellm_params: see docs/models.md for the form."
            )
    found = deployments(content)
    from_elsewhere = content.get("include") or (content.get("general_settings") or {}).get("store_model_in_db")
    if not found and not from_elsewhere:
        raise ConfigurationError(f"{config} has no models: give it a model_list, as docs/models.md shows.")
    return found


def _require_free_port(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if os.name == "posix":  # as the server does, to reuse a port just closed; Windows would share a used one
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except (OSError, OverflowError) as error:
        raise ConfigurationError(_port_fault(host, port, error)) from None


def _port_fault(host: str, port: int, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine ({reason}): give 127.0.0.1 or 0.0.0.0 as --host."
    other = min(port, 65000) + 1
    return (
        f"Port {port} of {host} cannot be used ({reason}): "
        f"stop what uses it, or choose another one, such as PORT={other} make run or --port {other}."
    )
