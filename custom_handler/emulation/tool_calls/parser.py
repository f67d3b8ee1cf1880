"""Parses tool calls in the agent's text while it arrives: `feed` takes pieces, `flush` ends it.

    line start ──text──▶ line                               (`text_parser`)
        │ marker           │ marker at the end of the line
        ▼                  ▼
      block ──done──▶ line start                            (`block`)
        ├──failed, is a call──▶ unreadable ──▶ calls, or Unreadable ──▶ line start   (`unreadable`)
        └──failed──▶ line: the marker was text, and parsing continues after it

A block at the start of a code fence is a call only if no text follows the fence; until then, it is
held (`code_fence`). Text in other fences, `<think>` and quotations is never a call. What may be a
call in another form is Unreadable (`dialects`, `suspicion`): repaired or shown, never executed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import regex

from ..labels import OPEN
from . import dialects, labels, odd_block, suspicion, syntax
from .block import BlockParser
from .code_fence import CodeFenceParser, IndentedBlockParser, is_list_item, is_shown
from .held_text import HeldTextParser
from .plain_line import is_plain_sentence, plain_lines
from .text_parser import WINDOW, first, stop_pattern
from .unreadable import ForeignCall, UnreadableBlock, UnreadableCodeFence

_MARKER_IN_LINE = r"(?<![\w`'\"])(?-i:(?:FUNCTION|TOOL)_CALL_START)"
_IN_LINE = f"{suspicion.STARTS_SENTENCE}|{suspicion.TAG_IN_LINE}|{_MARKER_IN_LINE}"
_FENCES = frozenset("`~")
_STRAY = "another marker stands in the place of the start marker"
_FOREIGN = "it has another form than a block"


def new_call_id() -> str:
    """Return a unique id for a call."""
    return f"call_{uuid.uuid4().hex[:24]}"


class ToolCallParser(HeldTextParser):
    r"""Splits an agent's text into content and tool calls.

    `schemas` maps the declared tools' names to their parameters. `calls` counts the calls so far;
    after a fabricated result or another turn it is `closed`: all further text is ignored.

    >>> parser = ToolCallParser({"now": {}}, new_id=lambda: "call_1")
    >>> parts = parser.feed("Wait.\nFUNCTION_CALL_START\nnow\narguments: {}\nFUNCTION_CALL_END\n")
    >>> parts[:2]
    ['Wait.', ToolCallStart(index=0, id='call_1', name='now')]
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], new_id: Callable[[], str] = new_call_id) -> None:
        super().__init__(schemas, new_id)
        self._dialects = dialects.Dialects(self._tools)
        self._odd_blocks = odd_block.OddBlocks(self._tools)
        self._suspicions = suspicion.Suspicions(self._tools)
        self._is_plain = plain_lines(tuple(self._tools.names)).is_plain
        self._is_plain_sentence = is_plain_sentence
        first_letters = {name[0] for name in schemas if name}
        self._openings = (
            frozenset(f'FfTtSsBbEeIiLl*_`~[<(#=|{{"-{OPEN}')
            | dialects.STARTS
            | suspicion.STARTS
            | odd_block.STARTS
            | first_letters
        )
        self._stops = self._stop_patterns(first_letters)
        self._in_line = False  # the block's marker is not at the start of a line
        self._failed_marker = ""  # of a block that was none: the text may be a call in another form
        self._weak = False  # the block has no start marker, or another one in its place
        self._block: BlockParser

    @staticmethod
    def _stop_patterns(first_letters: set[str]) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
        """Return the patterns of what ends prose before and after a call."""
        letters = "".join(
            regex.escape(letter)
            for letter in sorted(first_letters | dialects.STARTS | suspicion.STARTS | odd_block.STARTS)
        )
        return (
            stop_pattern(rf"*_(\#>=|{{\"\-FfTtSsBbEeIiLl{letters}", _IN_LINE),
            stop_pattern(rf"*_(\#>=|{{\"\-FfTtSsBbEeIiLlRrOoUuHh{letters}", _IN_LINE),
        )

    def _stop_in_prose(self) -> regex.Pattern[str]:
        return self._stops[self._after_call]

    def _opening(self) -> bool | None:
        """Open what starts at the position; False for plain text, None while undecided."""
        text, at = self._unread, self._at
        if self._failed_marker:
            return self._other_form()
        if not self._after_call and text[at] not in self._openings and not self._at_start:
            return False
        if not self._at_start and self._is_plain(text, at):
            return False
        attempts = (
            self._fenced_marker,
            self._marker_line,
            self._end_marker,
            self._label,
            self._odd_block,
            self._dialect,
        )
        for attempt in attempts:
            result = attempt()
            if result is not False:
                return result
        return super()._opening()

    def _first(self, *patterns: regex.Pattern[str]) -> tuple[regex.Match[str] | None, bool]:
        return first(patterns, self._unread, self._at, self._at + WINDOW, ended=self._ended)

    def _fenced_marker(self) -> bool | None:
        if self._unread[self._at] not in _FENCES:
            return self._at_start and self._labelled_fence()
        found, undecided = self._first(syntax.FENCED_MARKER)
        if found is not None:
            self._fence = CodeFenceParser(self._tools, found[0])
            self._at = found.end()
            self._state = self._in_fence
            return True
        if undecided:
            return None
        alone = not self._has_content and not self.calls
        fenced = self._dialects.fenced(self._unread, self._at, ended=self._ended, alone=alone)
        if fenced:
            self._hold_unreadable(UnreadableCodeFence("", self._tools, foreign=True), "")
        return fenced

    def _labelled_fence(self) -> bool | None:
        """Hold a label at the start of the reply, such as `Action:`, and a fence with a call."""
        found, undecided = self._first(dialects.LABEL_OF_FENCE)
        if found is None:
            return None if undecided else False
        if fenced := self._dialects.fenced(self._unread, found.end(), ended=self._ended, alone=True):
            self._hold_unreadable(UnreadableCodeFence(found[0], self._tools, foreign=True), "")
            self._at = found.end()
        return fenced

    def _marker_line(self) -> bool | None:
        self._in_line = False
        patterns = (syntax.MARKER, syntax.FABRICATED_RESULT) if self._after_call else (syntax.MARKER,)
        found, undecided = self._first(*patterns)
        if found is None:
            return None if undecided else False
        after = self._unread[found.end() : found.end() + 1]
        if "`" in found[0] and after not in {"`", "\n", "\r"}:  # a block in inline code
            return False if after or self._ended else None
        if found.re is syntax.FABRICATED_RESULT:
            self.closed = True  # only the client has results
        elif self._has_content and is_shown(self._tail, "".join(self._gap).rpartition("\n")[2]):
            self._open_indented(found.end())
        else:
            self._open_block(found.end())
        return True

    def _end_marker(self) -> bool | None:
        """Read a stray end marker on a line of its own: a start, or part of the gap."""
        found, undecided = self._first(syntax.STRAY_MARKER)
        if found is None:
            at_end = self._ended and syntax.OWN_END.match(self._unread, self._at)
            if not at_end or self._unread[at_end.end() :].strip(" \t*_`])>:."):
                return None if undecided else False
            self._gap.append(self._unread[self._at :])
            self._stray, self._at = True, len(self._unread)
            return True
        head, undecided = first((self._tools.head,), self._unread, found.end(), found.end() + WINDOW, ended=self._ended)
        if undecided:
            return None
        if head is not None and head["bare"] is None and self._is_declared(head["name"]):
            self._open_block(found.end(), weak=True)
            return True
        if found["end"] is None:
            return False
        self._gap.append(self._unread[self._at : found.end()])
        self._stray, self._at = True, found.end()
        return True

    def _is_declared(self, written: str | None) -> bool:
        """Return whether a declared tool is named; an object (None) names its tool itself."""
        return written is None or self._tools.resolve(written, unknown=False) is not None

    def _dialect(self) -> bool | None:
        kind = self._dialects.found(self._unread, self._at, ended=self._ended)
        if kind is None:
            return None
        last_line = self._tail.rpartition("\n")[2]
        if syntax.COPIED_MARKER.search(last_line):
            return False  # a block of the request's own text, see `imitations`
        suspected = self._suspicion() if kind in {"", "calling"} else False
        if not kind or suspected is not False:
            return suspected
        if kind == "bare" and not syntax.LIKE_MARKER.search(last_line):
            self._open_block(self._at, weak=True)
        else:
            self._hold_unreadable(ForeignCall(_FOREIGN), "")
        return True

    def _odd_block(self) -> bool | None:
        found = self._odd_blocks.found(self._unread, self._at, ended=self._ended)
        if found:
            self._hold_unreadable(odd_block.OddBlock(self._tools, self._odd_blocks), "")
        return found

    def _other_form(self) -> bool | None:
        """Open what starts with the marker of a block that was none; else the marker is text."""
        for attempt in (self._odd_block, self._dialect):
            if (result := attempt()) is None:
                return None
            if result:
                self._failed_marker = ""
                return True
        self._text_to(self._at + len(self._failed_marker))
        self._failed_marker = ""
        self._quotation = False
        self._state = self._line
        return True

    def _suspicion(self) -> bool | None:
        found = self._suspicions.found(self._unread, self._at, ended=self._ended)
        if found:
            self._hold_unreadable(suspicion.SuspectedCall(self._tools), "")
        return found

    def _tag_in_line(self) -> bool | None:
        kind = self._dialects.found(self._unread, self._at, ended=self._ended)
        if kind:
            self._hold_unreadable(suspicion.SuspectedCall(self._tools), "")
        return None if kind is None else bool(kind)

    def _within_line(self, found: regex.Match[str]) -> bool:
        """Open a block at a marker that ends the line; stop at an end token."""
        if labels.END_TOKEN.match(found[0]):
            return super()._within_line(found)
        self._in_line = True
        if not found[0].upper().endswith("_START"):
            suspected = self._tag_in_line() if found[0][0] in "<[" else self._suspicion()
            if suspected is False:
                self._text_to(found.end())
            return suspected is not None
        rest = syntax.REST_OF_LINE.match(self._unread, found.end(), partial=True)
        if rest is None or (rest.partial and self._ended):
            self._text_to(found.end())
        elif rest.partial:
            return False
        elif not is_list_item(self._tail.rpartition("\n")[2]):
            self._open_block(found.end())
        elif rest.end() == len(self._unread) and not self._ended:
            return False
        elif self._unread[rest.end() : rest.end() + 1] in {" ", "\t"}:
            self._open_indented(found.end())
        else:
            self._open_block(found.end())
        return True

    def _open_block(self, end: int, *, weak: bool = False) -> None:
        """Open a block whose marker is the text up to `end`; a `weak` one is no start marker."""
        self._marker = self._unread[self._at : end]
        self._weak = weak
        self._block = BlockParser(self._tools, named=not self._marker)
        self._at = end
        self._state = self._in_block
        if "\\" in self._marker:  # the whole block is escaped as Markdown
            self._hold_unreadable(UnreadableBlock(self._marker, self._tools, certain=False), "")

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._unread, self._at, ended=self._ended)
        if not block.done:
            return False
        self._state = self._line_start
        if block.failed:
            self._block_failed(block)
        elif self._weak and not self._is_certain(block):
            self._hold_unreadable(ForeignCall(_FOREIGN, self._marker + block.text), "")
        else:
            self._add_calls(block.calls)
        return True

    def _is_certain(self, block: BlockParser) -> bool:
        """Return whether a block without a start marker is a call: declared, with an end marker."""
        return block.closed and all(call.name in self._tools for call in block.calls)

    def _block_failed(self, block: BlockParser) -> None:
        rest = syntax.REST_OF_MARKER_LINE.match(self._unread, self._at)
        self._unreadable_call |= block.is_call
        if block.is_call or self._weak or block.calls:
            self._pending, self._last = block.calls, block.last
            start = "" if block.calls else self._marker
            before = block.calls[-1] if block.calls else None
            unreadable = UnreadableBlock(start, self._tools, certain=True, before=before, reason=block.reason)
            self._hold_unreadable(unreadable, block.rest)
        elif (doubled := syntax.REST_BEFORE_MARKER.match(self._unread, self._at)) is not None:
            self._gap.append(self._marker + doubled[0])
            self._at = doubled.end()
        elif rest is not None or syntax.NAME_IN_LINE.match(self._unread, self._at):
            self._hold_unreadable(UnreadableBlock(self._marker, self._tools, certain=False), "")
        elif self._is_unused_marker(block):
            self._return_text("", block.rest)
        elif self._in_line or not self._marker:
            self._return_text(self._marker, block.rest)
        else:
            self._failed_marker = self._marker
            self._read_again(self._marker + block.rest)

    def _is_unused_marker(self, block: BlockParser) -> bool:
        """Return whether the reply ends with a marker behind a call."""
        return self._ended and self._after_call and not (block.rest + self._unread[self._at :]).strip()

    def _open_indented(self, end: int) -> None:
        self._marker = self._unread[self._at : end]
        self._weak = False
        self._indented = IndentedBlockParser(self._tools, self._marker)
        self._at = end
        self._state = self._in_indented
