"""Returns the calls of an agent's text, and holds what may be one until that is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from ...events import ToolCallArguments, ToolCallStart, Unreadable
from . import syntax
from .code_fence import CodeFenceParser, IndentedBlockParser
from .odd_block import OddBlock
from .suspicion import SuspectedCall
from .text_parser import THOUGHT, TextParser
from .unreadable import (
    BlockInThought,
    ForeignCall,
    Unread,
    UnreadableBlock,
    UnreadableCodeFence,
    UnreadableIndentedBlock,
)

_THOUGHT_OR_MARKER = regex.compile(
    rf"{THOUGHT.pattern}|\n(?=[ \t]{{0,40}}{syntax.MARKER.pattern}[^\n]{{0,20}}\n)", regex.IGNORECASE
)
_START_OF_CALL = regex.compile(r"[{<\[`|_(]|\b(?:FUNC|TOOL)", regex.IGNORECASE)
REREAD_LIMIT = 200_000  # characters that are parsed a second time, after blocks without an end


class HeldTextParser(TextParser):
    """Parses text as `TextParser`; the states of what is held end in calls, a fault, or text."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], new_id: Callable[[], str]) -> None:
        super().__init__()
        self._tools = syntax.DeclaredTools(schemas)
        self._new_id = new_id
        self._stray = False  # the gap has an end marker
        self._empty_block = ""
        self._unreadable_call = False
        self._reread = 0
        self._marker = ""
        self._fence: CodeFenceParser
        self._indented: IndentedBlockParser
        self._pending: list[syntax.Call] = []  # of the block that became unreadable
        self._last = ""  # the text of the last of them
        self._unreadable: (
            UnreadableBlock | UnreadableCodeFence | ForeignCall | SuspectedCall | OddBlock | BlockInThought
        )

    def _thought_stop(self) -> regex.Pattern[str]:
        return _THOUGHT_OR_MARKER

    def _end_thought(self, end: str) -> None:
        super()._end_thought(end)
        if end == "\n":
            self._hold_unreadable(BlockInThought(self._tools), "")

    @property
    def in_call(self) -> bool:
        """Whether the text ends within what is held, or may end with the start of a call."""
        is_text = self._state in (self._line_start, self._line, self._info, self._thought)
        return not is_text or bool(_START_OF_CALL.search(self._unread, self._at))

    @property
    def _after_call(self) -> bool:
        """Whether there was a call, readable or not: then a result in the text is fabricated."""
        return self.calls > 0 or self._unreadable_call

    def _end_gap(self) -> None:
        """Return white space at the end of the reply; drop a stray end marker."""
        if self._stray and (self._has_content or self._after_call):
            self._drop_gap()
        elif self._empty_block:
            self._gap.insert(0, self._empty_block)
            self._empty_block = ""
            self._add_text("")
        else:
            super()._end_gap()

    def _add_text(self, text: str) -> None:
        self._stray = False
        self._empty_block = ""  # before an answer it is a slip, and no text
        super()._add_text(text)

    def _drop_gap(self) -> None:
        self._gap.clear()
        self._stray = False
        self._empty_block = ""

    def _add_calls(self, calls: Sequence[syntax.Call]) -> None:
        self._drop_gap()
        for call in calls:
            start = ToolCallStart(self.calls, self._new_id(), call.name)
            arguments = self._tools.fit(call.name, call.arguments)
            self._add([start, ToolCallArguments(self.calls, arguments)])
            self.calls += 1

    def _return_text(self, text: str, unparsed: str) -> None:
        """Return text that was parsed as a call, and parse the second part again."""
        self._read_again(text + unparsed)
        self._text_to(len(text))
        self._quotation = False
        self._state = self._line

    def _read_again(self, text: str) -> None:
        """Put text in front of what is not read yet."""
        self._unread = text + self._unread[self._at :]
        self._at = 0

    def _hold_unreadable(
        self,
        unreadable: UnreadableBlock | UnreadableCodeFence | ForeignCall | SuspectedCall | OddBlock | BlockInThought,
        unparsed: str,
    ) -> None:
        """Hold what is meant as a call and cannot be parsed, and read `unparsed` as part of it."""
        self._reread += len(unparsed)
        if self._reread > REREAD_LIMIT:
            unreadable.append(unparsed)
            unparsed = ""
        if unparsed:
            self._read_again(unparsed)
        self._unreadable = unreadable
        self._state = self._in_unreadable

    def _in_unreadable(self) -> bool:
        held = self._unreadable
        self._at = held.read(self._unread, self._at, ended=self._ended)
        if not held.done:
            return False
        pending, self._pending = self._pending, []
        self._quotation = False
        self._state = self._line_start if held.calls or held.unreadable else self._line
        if held.calls:
            self._add_calls([*pending, *held.calls])
            if isinstance(held, OddBlock):
                self._read_again(held.unparsed)
        elif held.unreadable:
            text = held.text
            if held.belongs_to_last:
                pending, text = pending[:-1], self._last + text
            if pending:
                self._add_calls(pending)
            gap = "".join(self._gap) if self._has_content or not self.calls else ""
            self._drop_gap()
            self._has_content = self._unreadable_call = True
            self._add([Unreadable(gap + text, held.reason)])
        elif pending:
            self._add_calls(pending)
            self._add_text(held.text)
        elif isinstance(held, SuspectedCall | OddBlock):
            self._return_text(held.text, held.unparsed)
        elif self._ended and self._at == len(self._unread) and self._is_leftover(held):
            self._drop_gap()
        elif held.is_empty and not self._has_content and not self.calls:
            self._empty_block = "".join(self._gap) + held.text
            self._gap.clear()
            self._state = self._line_start
        else:
            self._add_text(held.text)
        return True

    def _is_leftover(self, held: Unread) -> bool:
        """Return whether a block without content at the end of the reply is a slip.

        Behind a colon it is an example.
        """
        if self._after_call:
            return (
                held.is_empty or syntax.REST_OF_MARKER_LINE.fullmatch(f"{held.text[len(self._marker) :]}\n") is not None
            )
        return held.is_empty and self._has_content and not self._tail.rstrip().endswith(":")

    def _in_indented(self) -> bool:
        indented = self._indented
        self._at = indented.read(self._unread, self._at, ended=self._ended)
        if not indented.done:
            return False
        self._state = self._line_start
        if indented.calls:
            for number, call in enumerate(indented.calls):
                if number in indented.texts:
                    self._add_text(indented.texts[number])
                self._add_calls([call])
        elif indented.unreadable:
            unreadable = UnreadableIndentedBlock(indented.text, self._tools, certain=indented.is_call)
            self._hold_unreadable(unreadable, indented.unparsed)
        else:
            self._return_text(indented.text, indented.unparsed)
        return True

    def _in_fence(self) -> bool:
        fence = self._fence
        self._at = fence.read(self._unread, self._at, ended=self._ended)
        if not fence.done:
            return False
        self._state = self._line_start
        if fence.calls:
            self._add_calls(fence.calls)
        elif fence.unreadable:
            self._hold_unreadable(UnreadableCodeFence(fence.text, self._tools, certain=fence.is_call), fence.unparsed)
        else:
            self._return_text(fence.text, fence.unparsed)
            self._code = "" if fence.closed else fence.fence
            self._state = self._line if fence.unparsed else self._line_start
        return True
