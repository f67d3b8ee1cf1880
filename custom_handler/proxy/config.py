"""Read config.yaml: its models, their providers, the callbacks, the variables it refers to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from ..data_class import data_class
from ..errors import ConfigurationError

REFERENCE = "os.environ/"
"""The prefix of a value that names a variable of the environment."""


@data_class
class Deployment:
    """One entry of `model_list`; `model` is empty if it refers to a variable that is not set."""

    name: str
    provider: str
    model: str
    params: Mapping[str, Any] = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Deployment:
        """Return the deployment of an entry, with or without resolved references.

        >>> Deployment.of({"model_name": "chat", "litellm_params": {"model": "groq/a"}}).summary()
        {'name': 'chat', 'provider': 'groq', 'model': 'a'}
        """
        params = resolved(entry.get("litellm_params") or {})
        model = str(params.get("model") or "")
        provider = str(params.get("custom_llm_provider") or "")
        if not provider and "/" in model:
            provider, _, model = model.partition("/")
        name, info = str(entry.get("model_name") or ""), entry.get("model_info") or {}
        return cls(name, provider or "openai", model.removeprefix(f"{provider}/"), params, info)

    def summary(self) -> dict[str, str]:
        """Return name, provider and model, without keys and other parameters."""
        return {"name": self.name, "provider": self.provider, "model": self.model}


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a config.yaml; raises ConfigurationError for an invalid file."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): name the file by --config.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigurationError(f"{path}{line} is not YAML: correct it, mind the indentation.") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{path} holds no configuration: it needs a model_list, as docs/models.md shows.")
    return config


def deployments(config: Mapping[str, Any]) -> tuple[Deployment, ...]:
    """Return the entries of `model_list`; raises ConfigurationError for a malformed one."""
    entries = config.get("model_list") or ()
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigurationError("model_list of config.yaml is not a list of models: see docs/models.md for the form.")
    for entry in entries:
        for field_name in ("litellm_params", "model_info"):
            if not isinstance(entry.get(field_name) or {}, Mapping):
                name = entry.get("model_name")
                raise ConfigurationError(
                    f"{field_name} of {name!r} in config.yaml is not a mapping: write it as names and values."
                )
    return tuple(Deployment.of(entry) for entry in entries)


def callbacks(config: Mapping[str, Any]) -> list[str]:
    """Return the names of all callbacks that `litellm_settings` switches on."""
    settings = config.get("litellm_settings") or {}
    lists = (settings.get(name) or () for name in ("callbacks", "success_callback", "failure_callback"))
    return [str(entry) for entries in lists for entry in (entries if isinstance(entries, list) else [entries])]


def resolved(value: Any) -> Any:
    """Replace `os.environ/` references by the variables' values, None if unset or blank.

    >>> resolved({"api_key": "os.environ/A_VARIABLE_THAT_IS_NOT_SET", "model": "groq/llama"})
    {'api_key': None, 'model': 'groq/llama'}
    """
    if isinstance(value, str) and value.startswith(REFERENCE):
        found = os.environ.get(value.removeprefix(REFERENCE)) or ""
        return found if found.strip() else None
    if isinstance(value, Mapping):
        return {key: resolved(item) for key, item in value.items()}
    return [resolved(item) for item in value] if isinstance(value, list) else value


def variables(value: Any) -> Iterator[str]:
    """Yield the names of the variables that a configuration refers to."""
    if isinstance(value, str) and value.startswith(REFERENCE):
        yield value.removeprefix(REFERENCE)
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from variables(item)
