"""The options of a model that is a Quick Command, and the input of its executions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ..data_class import data_class

LAST, CONVERSATION, SYSTEM = "last_user_message", "conversation", "system"
INPUTS = (LAST, CONVERSATION, SYSTEM)

_PLACEHOLDER = re.compile(r"\{(last_user_message|conversation|system)\}")


@data_class
class QuickCommand:
    """A Quick Command, by its slug.

    `template` is its `input_data`: JSON, in whose texts `{last_user_message}`, `{conversation}`
    (the whole conversation as one text, as an agent gets it) and `{system}` are replaced.

    >>> command = QuickCommand("explain", {"code": "{last_user_message}", "style": "short"})
    >>> command.input_data({"last_user_message": "x = 1"})
    {'code': 'x = 1', 'style': 'short'}
    """

    slug: str
    template: Any = field(default="{last_user_message}")

    @property
    def reads_conversation(self) -> bool:
        """Whether the input has the whole conversation, with tools and the form of the answer."""
        return CONVERSATION in _names(self.template)

    @property
    def reads_system(self) -> bool:
        """Whether the input has the system text."""
        return self.reads_conversation or SYSTEM in _names(self.template)

    def input_data(self, values: Mapping[str, str]) -> Any:
        """Return the input with `values` in the place of the placeholders."""
        return _filled(self.template, values)


def _names(template: Any) -> set[str]:
    if isinstance(template, str):
        return set(_PLACEHOLDER.findall(template))
    if isinstance(template, Mapping):
        template = list(template.values())
    return set().union(*map(_names, template)) if isinstance(template, list) else set()


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)
    if isinstance(template, Mapping):
        return {name: _filled(value, values) for name, value in template.items()}
    return [_filled(one, values) for one in template] if isinstance(template, list) else template
