"""What came of an MCP call, in the form of OpenAI's item `mcp_call`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data_class import data_class

INVALID_PARAMS, INTERNAL = -32602, -32603  # of JSON-RPC; the first for an unknown tool, too


@data_class
class Outcome:
    """The output of a call, or its error.

    >>> Outcome("noon").fields()
    {'status': 'completed', 'output': 'noon', 'error': None}
    """

    output: str | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def failed(cls, text: str) -> Outcome:
        """Return the outcome of a tool that has failed, and says so in a text."""
        return cls(error={"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]})

    @classmethod
    def refused(cls, message: str, code: int = INTERNAL) -> Outcome:
        """Return the outcome of a call that no tool has answered."""
        return cls(error={"type": "mcp_protocol_error", "code": code, "message": message})

    def fields(self) -> dict[str, Any]:
        """Return the fields of an item `mcp_call` that tell the outcome."""
        return {
            "status": "completed" if self.error is None else "failed",
            "output": self.output,
            "error": self.error,
        }


def error_text(error: object) -> str:
    """Return the text of an error of an item `mcp_call`, for the agent; "" without one.

    >>> error_text(Outcome.failed("no city").error), error_text(Outcome.refused("stopped").error)
    ('no city', 'stopped')
    """
    if not isinstance(error, Mapping):
        return str(error or "")
    parts = error.get("content")
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    return "\n".join(str(text) for text in texts if text) or str(error.get("message") or dict(error))
