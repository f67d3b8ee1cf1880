"""Parses a code fence or indented code with a tool call: calls, or documentation if text follows.

block ──done──▶ inside ──"```"──▶ after ──end of the reply, or a marker outside a fence──▶ calls
  ▲               │ marker          │ a fence that starts with a marker
  └───────────────┴─────────────────┘ anything else, or a block that fails ──▶ documentation

There, a call of an undeclared tool, or one with the example's arguments, is documentation. Indented
blocks with short texts between them, such as list items, are documentation or calls together.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import regex

from ..prompt.tool_example import example
from . import syntax
from .block import BlockParser
from .text_parser import first

SHORT_TEXT = 300  # characters between two indented blocks

_SPACE = regex.compile(r"[\s\ufeff]*+")
_ITEM = r"(?:[-*+]|\d{1,3}[.)])"
_INDENTED_MARKER = regex.compile(
    rf"(?<=\n(?:[ \t]{{1,40}}|[ \t]{{0,40}}{_ITEM}[ \t]{{1,10}})){syntax.MARKER.pattern}(?=[\s\S])", regex.IGNORECASE
)
_LIST_ITEM = regex.compile(rf"(?P<indent>[ \t]*+){_ITEM}(?P<gap>[ \t]++)")
_LONE_ITEM = regex.compile(rf"\s*+{_ITEM}?+\s*+")
_CODE_INDENT = 4  # columns
_ITEM_INDENT = 2


def is_shown(before: str, indent: str) -> bool:
    r"""Return whether a line with this indent behind the text is code, or of a list item.

    >>> is_shown("Write:\n", "    "), is_shown("1. Write:\n", "   "), is_shown("Write:\n", "  ")
    (True, True, False)
    """
    columns = len(indent.expandtabs(4))
    if columns >= _CODE_INDENT or columns < _ITEM_INDENT:
        return columns >= _CODE_INDENT
    for line in reversed(before.split("\n")):
        if line.strip() and len(line) - len(line.lstrip()) < columns:
            return _LIST_ITEM.match(line) is not None
    return False


def is_list_item(line: str) -> bool:
    """Return whether the line is the start of a list item without its text."""
    return _LIST_ITEM.fullmatch(line) is not None


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
        self.fence = opening[: len(opening) - len(opening.lstrip(opening[0]))]
        self._left_of_fence = 0  # its characters behind the first three of the closing one
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
        while self._left_of_fence and self._input.startswith(self.fence[0], self._at):
            self._at += 1
            self._left_of_fence -= 1
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
            self._left_of_fence = len(self.fence) - 3
        else:
            self._open_block()
        return True

    def _is_documentation(self) -> bool:
        self.calls.clear()
        self.done = True
        return False


class IndentedBlockParser(CodeFenceParser):
    """Reads blocks that are indented as code behind text, from the end of the first marker.

    `texts` maps the number of calls before a text to the text between two blocks.
    """

    def __init__(self, tools: syntax.DeclaredTools, opening: str) -> None:
        super().__init__(tools, opening)
        self.texts: dict[int, str] = {}

    def _between(self) -> bool:
        """After a block: find another indented one near it, a block without indent, or the end."""
        text = self._input
        if not text[self._at :].strip():
            self.done = self._ended
            return False
        limit = self._at + SHORT_TEXT
        found = _INDENTED_MARKER.search(text, self._at, limit, partial=not self._ended)
        if (found is None or found.partial) and not self._ended and len(text) < limit:
            return False
        if found is not None and not found.partial:
            before = text[self._at : found.start()].rstrip()
            if not _LONE_ITEM.fullmatch(before):
                self.texts[len(self.calls)] = before
            self._at = found.end()
            self._open_block()
            return True
        space = _SPACE.match(text, self._at)
        here = space.end() if space is not None else self._at
        marker, undecided = first((syntax.MARKER,), text, here, here + syntax.HEAD_LIMIT, ended=self._ended)
        if undecided:
            return False
        if marker is None:
            return self._is_documentation()
        self.done = True
        return False
