"""Reads config.yaml where no proxy does it: its models, and who serves them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigurationError

FROM_ENVIRONMENT = "os.environ/"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of `model_list`; `model` is empty where it should come from the environment and is not there."""

    name: str
    provider: str
    model: str
    params: Mapping[str, Any] = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Deployment:
        """Read an entry as config.yaml has it, or as the proxy has resolved it."""
        params = resolved(entry.get("litellm_params") or {})
        model = str(params.get("model") or "")
        provider = str(params.get("custom_llm_provider") or "")
        if not provider and "/" in model:
            provider, _, model = model.partition("/")
        name, info = str(entry.get("model_name") or ""), entry.get("model_info") or {}
        return cls(name, provider or "openai", model.removeprefix(f"{provider}/"), params, info)

    def described(self) -> dict[str, str]:
        """Say what it is, and nothing of its keys."""
        return {"name": self.name, "provider": self.provider, "model": self.model}


def read_config(path: Path) -> dict[str, Any]:
    """Return what the file says; raises ConfigurationError where it cannot be read or is no configuration."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): name the file by --config.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigurationError(f"{path}{line} is not YAML: correct it, mind the indentation.") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{path} holds no configuration: it needs a model_list, as README.md shows.")
    return config


def deployments(config: Mapping[str, Any]) -> tuple[Deployment, ...]:
    """Return the entries of `model_list`; raises ConfigurationError where it is none."""
    entries = config.get("model_list") or ()
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigurationError("model_list of config.yaml is no list of models: see README.md for the form.")
    for entry in entries:
        for part in ("litellm_params", "model_info"):
            if not isinstance(entry.get(part) or {}, Mapping):
                name = entry.get("model_name")
                raise ConfigurationError(
                    f"{part} of {name!r} in config.yaml is no mapping: write it as names and values."
                )
    return tuple(Deployment.of(entry) for entry in entries)


def callbacks(config: Mapping[str, Any]) -> list[str]:
    """Name the callbacks that the configuration switches on, of whatever kind."""
    told = config.get("litellm_settings") or {}
    lists = (told.get(name) or () for name in ("callbacks", "success_callback", "failure_callback"))
    return [str(entry) for entries in lists for entry in (entries if isinstance(entries, list) else [entries])]


def resolved(value: Any) -> Any:
    """Put the environment's values where the configuration names them; None for those that are not set or blank."""
    if isinstance(value, str) and value.startswith(FROM_ENVIRONMENT):
        found = os.environ.get(value.removeprefix(FROM_ENVIRONMENT)) or ""
        return found if found.strip() else None
    if isinstance(value, Mapping):
        return {key: resolved(item) for key, item in value.items()}
    return [resolved(item) for item in value] if isinstance(value, list) else value


def variables(value: Any) -> Iterator[str]:
    """Name the variables of the environment that a configuration asks for."""
    if isinstance(value, str) and value.startswith(FROM_ENVIRONMENT):
        yield value.removeprefix(FROM_ENVIRONMENT)
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from variables(item)
