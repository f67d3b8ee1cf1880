"""Parses a code fence that starts with a tool call: calls, unless text follows (documentation).

block ──done──▶ inside ──"```"──▶ after ──end of the reply, or a marker outside a fence──▶ calls
  ▲               │ marker          │ a fence that starts with a marker
  └───────────────┴─────────────────┘ anything else, or a block that fails ──▶ documentation

In a fence, a call of an undeclared tool, or one with the example's arguments, is documentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import regex

from ..prompt.tool_example import example
from . import syntax
from .block import BlockParser
from .text_parser import first

_SPACE = regex.compile(r"[\s\ufeff]*+")
_FENCE_END = regex.compile(r"```|~~~")


class CodeFenceParser:
    """Reads from the end of the first marker; `opening` is the text up to there.

    When it is `done`, either there are `calls`, or what was read is text: `text` is final, and
    `unparsed` has to be parsed again. It is `unreadable` where a block failed; that is meant as a
    call if it `is_call`.
    """

    def __init__(self, tools: syntax.DeclaredTools, opening: str) -> None:
        self.calls: list[syntax.Call] = []
        self.done = False
        self.closed = False
        self.unreadable = False
        self.is_call = False
        self.fence = opening[:3]
        self.text = self.unparsed = ""
        self._raw = [opening]
        self._tools = tools
        self._open_block()

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        self._input, self._at, self._ended = text, at, ended
        while not self.done and self._state():
            pass
        self._raw.append(text[at : self._at])
        if self.done and (not self.calls or not all(map(self._is_meant, self.calls))):
            self.calls.clear()
            raw = "".join(self._raw)
            self.unparsed = self._block.rest if self._block.failed else ""
            self.text = raw[: len(raw) - len(self.unparsed)]
        return self._at

    def _is_meant(self, call: syntax.Call) -> bool:
        if call.name not in self._tools:
            return False
        shown = example(self._tools.parameters(call.name))
        return not shown or json.loads(call.arguments) != shown

    def _open_block(self) -> None:
        self.closed = False
        self._block = BlockParser(self._tools)
        self._state: Callable[[], bool] = self._in_block

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._input, self._at, ended=self._ended)
        if block.failed:
            self.unreadable, self.is_call = True, block.is_call
            return self._is_documentation()
        if block.done:
            self.calls += block.calls
            self._state = self._between
        return block.done

    def _between(self) -> bool:
        """After a block: find the end of the fence, another call, or the end of the reply."""
        space = _SPACE.match(self._input, self._at)
        self._at = space.end() if space is not None else self._at
        if self._at == len(self._input):
            self.done = self._ended
            return False
        patterns = (syntax.FENCED_MARKER, syntax.MARKER) if self.closed else (_FENCE_END, syntax.MARKER)
        limit = self._at + syntax.HEAD_LIMIT
        found, undecided = first(patterns, self._input, self._at, limit, ended=self._ended)
        if undecided:
            return False
        if found is None:
            return self._is_documentation()
        if self.closed and found.re is syntax.MARKER:
            self.done = True
            return False
        self._at = found.end()
        if found.re is _FENCE_END:
            self.closed = True
        else:
            self._open_block()
        return True

    def _is_documentation(self) -> bool:
        self.calls.clear()
        self.done = True
        return False
