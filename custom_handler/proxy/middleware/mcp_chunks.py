"""Show an answer with MCP calls as one answer of chat completions.

LiteLLM streams the calls that it runs, a `finish_reason`, and then another answer with another id;
a client would run the calls itself. It also adds fields that OpenAI's protocol does not have.
"""

from __future__ import annotations

from typing import Any

from ...request.mcp_turn import McpTurn
from .sse_events import changed_body, data_of, event_of, split

_FIELDS = ("mcp_list_tools", "mcp_tool_calls", "mcp_call_results")


class McpChunks:
    """One answer; the chunks with calls are held until it is known who runs them."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}  # the fields that all chunks share
        self._held: list[bytes] = []
        self._has_run = False
        self._has_text = False
        self._gap = ""  # before the next text

    def whole(self, body: bytes, _: McpTurn) -> bytes:
        """Return the body of a whole response without LiteLLM's fields."""

        def change(answer: dict[str, Any]) -> None:
            for choice in answer["choices"]:
                _remove_fields(choice["message"])

        return changed_body(body, change)

    def stream(self, events: bytes, turn: McpTurn) -> bytes:
        """Return events of a stream without the calls that LiteLLM has run."""
        return b"".join(self._changed(event, turn) for event in split(events))

    def _changed(self, event: bytes, turn: McpTurn) -> bytes:
        data = data_of(event)
        if not isinstance(choices := data.get("choices"), list):
            return event
        self._first = self._first or {name: data[name] for name in ("id", "created") if name in data}
        data |= self._first
        deltas = [choice.get("delta") or {} for choice in choices]
        made = [_remove_fields(delta) for delta in deltas]
        for delta in deltas:
            self._separate(delta)
        changed = event_of(data)
        if turn.waits or self._has_run:
            return changed
        if any(made):
            self._held, self._has_run = [], True
            self._gap = "\n\n" if self._has_text else ""
            return b""
        if any(delta.get("tool_calls") for delta in deltas):
            self._held.append(changed)
            return b""
        if any(choice.get("finish_reason") for choice in choices):
            changed, self._held = b"".join([*self._held, changed]), []
        return changed

    def _separate(self, delta: dict[str, Any]) -> None:
        """Add the gap between the texts before and behind the calls."""
        if text := delta.get("content"):
            delta["content"] = f"{self._gap}{text}"
            self._has_text, self._gap = True, ""


def _remove_fields(message: dict[str, Any]) -> bool:
    """Remove what LiteLLM notes of MCP calls; return whether it has the results of calls."""
    fields = message.get("provider_specific_fields")
    if not isinstance(fields, dict):
        return False
    has_results = bool(fields.get("mcp_call_results"))
    for name in _FIELDS:
        fields.pop(name, None)
    if not fields:
        del message["provider_specific_fields"]
    return has_results
