"""Reads which models are Quick Commands, and their options of `model_info`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..chat.quick_command import INPUTS, QuickCommand
from ..errors import ConfigurationError
from .knowledge_options import REQUEST_OPTIONS

PREFIX = "quick-command/"
"""What the name of a model begins with that is a Quick Command, behind `stackspot/`."""

_SLUG = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_OF_AGENTS = (
    *("agent_id", "conversation", "selected_model", "agent_version", "resume_streams", "compact_tools"),
    *(name for name in REQUEST_OPTIONS if name != "sources"),
)


def quick_command_of(model: str, model_info: Mapping[str, Any]) -> QuickCommand | None:
    """Return the Quick Command that a model is, None for an agent; raises ConfigurationError.

    >>> quick_command_of("quick-command/explain", {}).slug
    'explain'
    >>> quick_command_of("stackspot-chat", {}) is None
    True
    """
    options = model_info.get("quick_command")
    if not model.startswith(PREFIX):
        if options is not None:
            raise ConfigurationError(
                f"model_info.quick_command stands beside the model {model[:80]!r} in config.yaml, which is an agent: "
                f"name the model stackspot/{PREFIX}<slug>."
            )
        return None
    slug = model.removeprefix(PREFIX)
    if not _SLUG.fullmatch(slug):
        raise ConfigurationError(
            f"The slug of the Quick Command {slug[:80]!r} is malformed: copy it from the portal to config.yaml, "
            f"as stackspot/{PREFIX}<slug>."
        )
    if beside := next((name for name in _OF_AGENTS if model_info.get(name) is not None), None):
        raise ConfigurationError(
            f"model_info.{beside} stands beside a Quick Command in config.yaml, and is for agents only: remove it."
        )
    return QuickCommand(slug, _template(options))


def _template(options: object) -> Any:
    if options is None:
        return QuickCommand("").template
    template = options.get("input") if isinstance(options, Mapping) and set(options) == {"input"} else None
    if not isinstance(template, str | dict | list) or not template:
        raise ConfigurationError(
            "model_info.quick_command in config.yaml must hold one entry: input, a text or a mapping, "
            f"with {', '.join(f'{{{name}}}' for name in INPUTS)} in its texts."
        )
    if not any(name in INPUTS for name in _PLACEHOLDER.findall(str(template))):
        raise ConfigurationError(
            "model_info.quick_command.input in config.yaml has nothing of the request: "
            f"write one of {', '.join(f'{{{name}}}' for name in INPUTS)} into it."
        )
    return template
