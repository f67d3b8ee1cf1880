"""Accumulate the chunks of a streamed chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ChunkAccumulator:
    """The completion so far; `usage` is OpenAI's object, None until the proxy sends it.

    >>> completion = ChunkAccumulator()
    >>> completion.feed({"choices": [{"delta": {"content": "Hel"}}]})
    'Hel'
    >>> completion.feed({"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]})
    'lo'
    >>> completion.text, completion.finish_reason
    ('Hello', 'stop')
    """

    def __init__(self) -> None:
        self.usage: dict[str, Any] | None = None
        self.model: str | None = None
        self.finish_reason: str | None = None
        self._texts: list[str] = []
        self._annotations: list[Any] = []
        self._tool_calls: dict[int, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        """The text of all chunks."""
        return "".join(self._texts)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls, in the form of a message that is not streamed."""
        return [self._tool_calls[index] for index in sorted(self._tool_calls)]

    def feed(self, chunk: Mapping[str, Any]) -> str:
        """Add a `chat.completion.chunk`, and return its text."""
        self.usage = chunk.get("usage") or self.usage
        self.model = chunk.get("model") or self.model
        text = ""
        for choice in chunk.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
            self._annotations += delta.get("annotations") or ()
            for call in delta.get("tool_calls") or ():
                self._add_call(call)
        self._texts.append(text)
        return text

    def final_fields(self) -> dict[str, Any]:
        """Return what is complete at the end: `tool_calls`, `annotations` and `usage`, if any."""
        fields = {"tool_calls": self.tool_calls, "annotations": self._annotations, "usage": self.usage}
        return {name: value for name, value in fields.items() if value}

    def _add_call(self, delta: Mapping[str, Any]) -> None:
        empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._tool_calls.setdefault(delta.get("index") or 0, empty)
        call["id"] = delta.get("id") or call["id"]
        for name, text in (delta.get("function") or {}).items():
            call["function"][name] = (call["function"].get(name) or "") + (text or "")
