"""Reads a code fence that opens with a tool call: followed by prose it is documentation, at the end of the reply it is calls.

block ──over──▶ inside ──"```"──▶ behind ──end of the reply──▶ the calls count
  ▲               │ marker          │ marker, or a fence that opens with one
  └───────────────┴─────────────────┘ anything else, or a block that fails ──▶ documentation
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import ReplyEvent
from . import tool_syntax as syntax
from .tool_block import ToolBlock

_SPACE = re.compile(r"[\s\ufeff]*")


class FencedCalls:
    """Reads on from behind the first marker; `opening` is the text up to there. Nothing goes out before it is `over`."""

    def __init__(self, tools: syntax.DeclaredTools, new_id: Callable[[], str], index: int, opening: str) -> None:
        self.events: list[ReplyEvent] = []
        self.raw = [opening]
        self.index = index
        self.over = False
        self._tools = tools
        self._new_id = new_id
        self._closed = False
        self._open_block()

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`; returns up to where. When it is `over` without events, `raw` is ordinary text."""
        self._text, self._at, self._ended = text, at, ended
        while not self.over and self._state():
            pass
        self.raw.append(text[at : self._at])
        return self._at

    def _open_block(self) -> None:
        self._block = ToolBlock(self._tools, self._new_id, self.index, progressive=False)
        self._state: Callable[[], bool] = self._in_block

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._text, self._at, ended=self._ended)
        self.events += block.take()
        self.index = block.index
        if block.failed:
            return self._is_documentation()
        if block.over:
            self._state = self._between
        return block.over

    def _between(self) -> bool:
        """Behind a block, inside the fence or behind it: look for the fence's end, a further call, or the end of the reply."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space is not None else self._at
        if self._at == len(self._text):
            self.over = self._ended
            return False
        if not self._closed:
            head = self._text[self._at : self._at + 3]
            if head == "```":
                self._at += 3
                self._closed = True
                return True
            if not self._ended and "```".startswith(head):
                return False
        pattern = syntax.FENCED_MARKER if self._closed else syntax.MARKER
        found = pattern.match(self._text, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            return self._is_documentation()
        if found.partial:
            return False
        self._at = found.end()
        self._closed = False
        self._open_block()
        return True

    def _is_documentation(self) -> bool:
        self.events.clear()
        self.over = True
        return False
