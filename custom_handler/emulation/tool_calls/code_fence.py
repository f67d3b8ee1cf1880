"""Reads a code fence that opens with a tool call: followed by prose it is documentation, at the end of the reply calls.

block ──over──▶ inside ──"```"──▶ behind ──end of the reply, or a bare marker──▶ the calls count
  ▲               │ marker          │ a fence that opens with a marker
  └───────────────┴─────────────────┘ anything else, or a block that fails ──▶ documentation
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from ...events import CallEvent
from . import syntax
from .block import BlockParser

_SPACE = regex.compile(r"[\s\ufeff]*+")
_FENCE_END = regex.compile(r"```")


class CodeFenceParser:
    """Reads on from behind the first marker; `opening` is the text up to there. Nothing goes out before it is `over`.

    Then either there are `events`, or what was read is text: `said` for certain, and `again` to be read again. It is
    `spoiled` where a block failed that is meant as a call.
    """

    def __init__(self, tools: syntax.DeclaredTools, new_id: Callable[[], str], index: int, opening: str) -> None:
        self.events: list[CallEvent] = []
        self.index = index
        self.over = False
        self.closed = False
        self.spoiled = False
        self.said = self.again = ""
        self._raw = [opening]
        self._tools = tools
        self._new_id = new_id
        self._open_block()

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`, to the end of the reply if it has `ended`; returns up to where."""
        self._text, self._at, self._ended = text, at, ended
        while not self.over and self._state():
            pass
        self._raw.append(text[at : self._at])
        if self.over and not self.events:
            raw = "".join(self._raw)
            self.again = self._block.remains()[1] if self._block.failed else ""
            self.said = raw[: len(raw) - len(self.again)]
        return self._at

    def _open_block(self) -> None:
        self.closed = False
        self._block = BlockParser(self._tools, self._new_id, self.index, progressive=False)
        self._state: Callable[[], bool] = self._in_block

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._text, self._at, ended=self._ended)
        self.events += block.take()
        self.index = block.index
        if block.failed:
            self.spoiled = block.meant
            return self._is_documentation()
        if block.over:
            self._state = self._between
        return block.over

    def _between(self) -> bool:
        """Behind a block, inside the fence or behind it: look for the fence's end, a further call, or the reply's end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space is not None else self._at
        if self._at == len(self._text):
            self.over = self._ended
            return False
        patterns = (syntax.FENCED_MARKER, syntax.MARKER) if self.closed else (_FENCE_END, syntax.MARKER)
        limit = self._at + syntax.HEAD_LIMIT
        found, undecided = syntax.first(patterns, self._text, self._at, limit, ended=self._ended)
        if undecided:
            return False
        if found is None:
            return self._is_documentation()
        if self.closed and found.re is syntax.MARKER:
            self.over = True
            return False
        self._at = found.end()
        if found.re is _FENCE_END:
            self.closed = True
        else:
            self._open_block()
        return True

    def _is_documentation(self) -> bool:
        self.events.clear()
        self.over = True
        return False
