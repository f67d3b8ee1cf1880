"""A call of the agent, before it is returned to the client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..events import CallEvent, ToolCallArguments, ToolCallStart
from ..request.chat_request import Tool

UNDECLARED, INVALID_ARGUMENTS = "undeclared tool", "invalid arguments"


def tool_call_key(name: str, arguments: str) -> tuple[str, str]:
    """Return a key that is equal for equal calls, however their arguments are formatted."""
    try:
        return name, json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return name, arguments


@dataclass(slots=True)
class PendingToolCall:
    """A complete call; `fault` is what a repair round may fix, and `reason` says why it is one."""

    id: str
    name: str
    arguments: str
    fault: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """See `tool_call_key`."""
        return tool_call_key(self.name, self.arguments)

    def events(self) -> Sequence[CallEvent]:
        """Return its events; `AnswerAssembler` sets their index."""
        return [ToolCallStart(0, self.id, self.name), ToolCallArguments(0, self.arguments)]

    def check(self, tool: Tool | None) -> None:
        """Set the fault of a call of this tool; None: no tool has its name."""
        if tool is None:
            self.fault = UNDECLARED
        elif tool.strict:
            from .json_schema import value_error  # noqa: PLC0415  see there
            from .schema_types import closed  # noqa: PLC0415  it imports the prompt, which imports this module

            self.reason = value_error(json.loads(self.arguments), closed(tool.parameters))
            self.fault = INVALID_ARGUMENTS if self.reason else ""
