"""Reads the options of `model_info` on an agent's models and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..stackspot.agent_choice import AgentChoice

CHOICE_OPTIONS = ("selected_model", "agent_version")
MAX_NAME = 200  # characters of a model's name or id
MAX_VERSION = 1_000_000


def choice_of(model_info: Mapping[str, Any]) -> AgentChoice:
    """Return which model and version of its agent a model of the proxy uses.

    Raises ConfigurationError.

    >>> choice_of({"selected_model": "gpt-5", "agent_version": 3})
    AgentChoice(selected_model='gpt-5', version=3)
    """
    model, version = map(model_info.get, CHOICE_OPTIONS)
    if model is not None and not (
        isinstance(model, str) and model.isprintable() and model.strip() and len(model) <= MAX_NAME
    ):
        raise _error("selected_model", model, "give the name or the id of one of the agent's models as text")
    if version is not None and not (type(version) is int and 1 <= version <= MAX_VERSION):
        raise _error("agent_version", version, "give a version of the agent, a whole number above zero")
    return AgentChoice(None if model is None else model.strip(), version)


def _error(name: str, value: object, action: str) -> ConfigurationError:
    return ConfigurationError(f"model_info.{name} is {str(value)[:80]!r} in config.yaml: {action}.")
