"""Folds the chunks of a chat completion: text leaves as it comes, what stands at the end is kept for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ChunkAccumulator:
    """An answer so far; `usage` is OpenAI's, None while the proxy has not said it."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] | None = None
        self.model: str | None = None
        self.finish_reason: str | None = None
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._texts)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls, as a message that is not streamed has them."""
        return [self._calls[index] for index in sorted(self._calls)]

    def feed(self, chunk: Mapping[str, Any]) -> str:
        """Take a chunk in, and return the text that came with it."""
        self.usage = chunk.get("usage") or self.usage
        self.model = chunk.get("model") or self.model
        came = ""
        for choice in chunk.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            came += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                self._call(call)
        self._texts.append(came)
        return came

    def told(self) -> dict[str, Any]:
        """Say what stands at the end: the tool calls, if any, and the usage, where it is known."""
        known = {"tool_calls": self.tool_calls, "usage": self.usage}
        return {name: value for name, value in known.items() if value}

    def _call(self, delta: Mapping[str, Any]) -> None:
        empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._calls.setdefault(delta.get("index") or 0, empty)
        call["id"] = delta.get("id") or call["id"]
        for part, text in (delta.get("function") or {}).items():
            call["function"][part] = (call["function"].get(part) or "") + (text or "")
