"""Parses tool calls in the agent's text while it arrives: `feed` takes pieces, `flush` ends it.

Each state reads from the unread text and returns whether it made progress; undecided text stays
unread. No decision depends on how the text is cut. O(n): some hundred characters stay unread.

    line start ──text──▶ line ──newline──▶ line start       other text is returned at once
        │ marker           │ marker at the end of the line
        ▼                  ▼
      block ──done──▶ line start                            (`block`)
        ├──cut────▶ skip ──end marker──▶ line start
        ├──failed, is a call──▶ unreadable ──▶ Unreadable, line start     (`unreadable`)
        └──failed──▶ line: the marker was text, and parsing continues after it

A block at the start of a code fence is a call only if no text follows the fence; until then, its
events are held (`code_fence`). Text in other fences, `<think>` and quotations is never a call.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from ...events import ParsedPart, Unreadable
from . import syntax
from .block import BlockParser
from .code_fence import CodeFenceParser
from .unreadable import UnreadableBlock, UnreadableCodeFence

SLICE = 4096  # longer pieces are read in slices: each read copies the rest of the slice

_GAP = regex.compile(r"[\s\ufeff\u200b]*+")

# Most lines cannot start anything: text is searched only for lines with these first characters.
_MARKER_IN_LINE = r"(?<![\w`'\"])(?:FUNCTION|TOOL)_CALL_START"
_LINE_STARTING_WITH = r"\n(?=[ \t]{0,80}+(?:[\s\ufeff\u200b"
_STOP = regex.compile(rf"\n|{_MARKER_IN_LINE}")
_STOP_IN_CODE = regex.compile(rf"{_LINE_STARTING_WITH}`~]))")
_STOP_IN_PROSE = regex.compile(rf"{_LINE_STARTING_WITH}*_`~\[<(\#>]|(?i:fu|to)))|{_MARKER_IN_LINE}")
_STOP_AFTER_CALLS = regex.compile(
    rf"{_LINE_STARTING_WITH}*_`~\[<(\#>\-]|(?i:fu|to|re|ou|ob|sa|us|hu|fe)))|{_MARKER_IN_LINE}"
)
_INFO_END = regex.compile(r"[\n`]")
_OPENINGS = frozenset("FfTt*_`~[<(#")
_BEFORE_CALLS = (syntax.FENCED_MARKER, syntax.MARKER, syntax.CODE_FENCE, syntax.THINK)
_AFTER_CALLS = (*_BEFORE_CALLS, syntax.FABRICATED_RESULT)
_IN_CODE = (syntax.CODE_FENCE,)


def new_call_id() -> str:
    """Return a unique id for a call."""
    return f"call_{uuid.uuid4().hex[:24]}"


class ToolCallParser:
    r"""Splits an agent's text into content and tool calls.

    `schemas` maps the declared tools' names to their parameters. `calls` counts the calls so far;
    `cut` has the indexes of those that ended early; after a fabricated result it is `closed`: all
    further text is ignored.

    >>> parser = ToolCallParser({"now": {}}, new_id=lambda: "call_1")
    >>> parts = parser.feed("Wait.\nFUNCTION_CALL_START\nnow\narguments: {}\nFUNCTION_CALL_END\n")
    >>> parts[:2]
    ['Wait.', ToolCallStart(index=0, id='call_1', name='now')]
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], new_id: Callable[[], str] = new_call_id) -> None:
        self.calls = 0
        self.cut: set[int] = set()
        self.closed = False
        self._tools = syntax.DeclaredTools(schemas)
        self._new_id = new_id
        self._unread = ""
        self._at = 0
        self._ended = False
        self._state: Callable[[], bool] = self._line_start
        self._out: list[ParsedPart] = []
        self._content: list[str] = []
        self._gap: list[str] = []  # white space that belongs to the text after it, and not to a call
        self._has_content = False
        self._unreadable_call = False
        self._code = ""  # the opening fence of the code
        self._quotation = False
        self._marker = ""
        self._block: BlockParser
        self._fence: CodeFenceParser
        self._unreadable: UnreadableBlock | UnreadableCodeFence
        self._actions: dict[regex.Pattern[str], Callable[[regex.Match[str]], None]] = {
            syntax.FENCED_MARKER: self._open_fence,
            syntax.MARKER: self._open_block,
            syntax.CODE_FENCE: self._open_code,
            syntax.THINK: self._open_thought,
            syntax.FABRICATED_RESULT: self._close,
        }

    def feed(self, piece: str) -> list[ParsedPart]:
        """Read on, and return the parts that are decided."""
        for start in range(0, len(piece), SLICE):
            before = max(self._at - 1, 0)  # the character before a marker decides whether it is one
            self._unread = self._unread[before:] + piece[start : start + SLICE]
            self._at -= before
            while not self.closed and self._at < len(self._unread) and self._state():
                pass
        return self._take()

    def flush(self) -> list[ParsedPart]:
        """Read the rest as the end of the reply, and return its parts."""
        self._ended = True
        while not self.closed and self._state():
            pass
        return self._take()

    def _take(self) -> list[ParsedPart]:
        self._add([])
        parts, self._out = self._out, []
        return parts

    def _add(self, parts: Sequence[ParsedPart]) -> None:
        if self._content:
            self._out.append("".join(self._content))
            self._content.clear()
        self._out += parts

    @property
    def _after_call(self) -> bool:
        """Whether there was a call, readable or not: then a result in the text is fabricated."""
        return self.calls > 0 or self._unreadable_call

    def _line_start(self) -> bool:
        """Decide by its first characters what a line is; hold the white space before it."""
        text = self._unread
        if (gap := _GAP.match(text, self._at)) is not None and gap[0]:
            self._gap.append(gap[0])
            self._at = gap.end()
        if self._at == len(text):
            if self._ended and not self.calls:
                self._add_text("")
            return False
        found = None
        if self._after_call or text[self._at] in _OPENINGS:
            patterns = _IN_CODE if self._code else _AFTER_CALLS if self._after_call else _BEFORE_CALLS
            limit = self._at + syntax.HEAD_LIMIT
            found, undecided = syntax.first(patterns, text, self._at, limit, ended=self._ended)
            if undecided:
                return False
        if found is not None:
            self._actions[found.re](found)
        else:
            self._quotation = text[self._at] == ">"
            self._state = self._line
        return True

    def _line(self) -> bool:
        """Return the text up to the end of the line, or to a marker at its end."""
        found = self._stop().search(self._unread, self._at, partial=True)
        newline = found is not None and self._unread.startswith("\n", found.start())
        if found is None or (found.partial and self._ended and not newline):
            self._text_to(len(self._unread))
            return False
        self._text_to(found.start())
        if found.partial and not self._ended:
            return False
        if newline:
            self._state = self._line_start
            return True
        rest = syntax.REST_OF_LINE.match(self._unread, found.end(), partial=True)
        if self._code or self._quotation or rest is None or (rest.partial and self._ended):
            self._text_to(found.end())
        elif rest.partial:
            return False
        else:
            self._open_block(found)
        return True

    def _stop(self) -> regex.Pattern[str]:
        if self._quotation:
            return _STOP
        return _STOP_IN_CODE if self._code else _STOP_AFTER_CALLS if self.calls else _STOP_IN_PROSE

    def _text_to(self, end: int) -> None:
        self._add_text(self._unread[self._at : end])
        self._at = end

    def _add_text(self, text: str) -> None:
        gap = "".join(self._gap) if self._has_content or not self.calls else ""
        if gap or text:
            self._gap.clear()
            self._has_content = True
            self._content.append(gap + text)

    def _open_code(self, found: regex.Match[str]) -> None:
        """Start or end code; the closing fence is as long as the opening one, and has no label."""
        next_character = self._unread[found.end()]
        self._text_to(found.end())
        if not self._code:
            self._code = found[0]
            self._state = self._info
            return
        if found[0].startswith(self._code) and not next_character.isalnum():
            self._code = ""
        self._quotation = True
        self._state = self._line

    def _info(self) -> bool:
        """Read the rest of an opening fence's line; another backtick makes it inline code."""
        found = _INFO_END.search(self._unread, self._at)
        self._text_to(len(self._unread) if found is None else found.start())
        if found is None:
            return False
        if found[0] == "`" and self._code.startswith("`"):
            self._code, self._quotation, self._state = "", False, self._line
        elif found[0] == "`":
            self._text_to(found.end())
        else:
            self._state = self._line_start
        return True

    def _open_thought(self, _found: regex.Match[str]) -> None:
        self._state = self._thought

    def _thought(self) -> bool:
        found = syntax.THOUGHT.search(self._unread, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            self._text_to(len(self._unread))
            return False
        self._text_to(found.start() if found.partial else found.end())
        if not found.partial:
            self._state = self._line_start
        return not found.partial

    def _close(self, _found: regex.Match[str]) -> None:
        """Stop at a result that the agent fabricates: only the client has results."""
        self.closed = True

    def _open_block(self, found: regex.Match[str]) -> None:
        self._marker = self._unread[self._at : found.end()]
        self._at = found.end()
        self._block = BlockParser(self._tools, self._new_id, self.calls, progressive=True)
        self._state = self._in_block

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._unread, self._at, ended=self._ended)
        if events := block.take():
            self._gap.clear()
            self._add(events)
        if not block.done:
            return False
        marker = self._marker if block.index == self.calls else ""
        self.calls = block.index
        if block.cut:
            self.cut.add(block.index - 1)
        self._state = self._line_start
        if block.failed:
            text, unparsed = block.unparsed_text()
            alone = marker and not text + unparsed and syntax.REST_OF_MARKER_LINE.match(self._unread, self._at)
            self._unreadable_call |= block.is_call
            if block.is_call or alone:
                self._hold_unreadable(UnreadableBlock(marker + text, certain=block.is_call), unparsed)
            else:
                self._return_text(marker + text, unparsed)
                self._quotation = False
                self._state = self._line if marker else self._line_start
        elif block.cut:
            self._return_text("", "".join(block.unparsed_text()))
            self._state = self._skip
        return True

    def _return_text(self, text: str, unparsed: str) -> None:
        """Return text that was parsed as a call, and parse the second part again."""
        self._unread = text + unparsed + self._unread[self._at :]
        self._at = 0
        self._text_to(len(text))

    def _hold_unreadable(self, unreadable: UnreadableBlock | UnreadableCodeFence, unparsed: str) -> None:
        """Hold what is meant as a call and cannot be parsed, and read `unparsed` as part of it."""
        self._unread = unparsed + self._unread[self._at :]
        self._at = 0
        self._unreadable = unreadable
        self._state = self._in_unreadable

    def _in_unreadable(self) -> bool:
        self._at = self._unreadable.read(self._unread, self._at, ended=self._ended)
        if not self._unreadable.done:
            return False
        self._state = self._line_start if self._unreadable.unreadable else self._line
        self._quotation = False
        if self._unreadable.unreadable:
            gap = "".join(self._gap) if self._has_content or not self.calls else ""
            self._gap.clear()
            self._has_content = True
            self._add([Unreadable(gap + self._unreadable.text)])
        else:
            self._add_text(self._unreadable.text)
        return True

    def _skip(self) -> bool:
        """Drop the rest of a call that failed after its start was returned."""
        found = syntax.END_OR_MARKER.search(self._unread, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            self._at = len(self._unread)
            return False
        self._at = found.start()
        if found.partial:
            return False
        if found["end"] is not None:
            self._at = found.end()
        self._state = self._line_start
        return True

    def _open_fence(self, found: regex.Match[str]) -> None:
        self._fence = CodeFenceParser(self._tools, self._new_id, self.calls, found[0])
        self._at = found.end()
        self._state = self._in_fence

    def _in_fence(self) -> bool:
        fence = self._fence
        self._at = fence.read(self._unread, self._at, ended=self._ended)
        if not fence.done:
            return False
        self._state = self._line_start
        if fence.events:
            self._gap.clear()
            self._add(fence.events)
            self.calls = fence.index
            return True
        if fence.unreadable:
            self._hold_unreadable(UnreadableCodeFence(fence.text), fence.unparsed)
            return True
        self._return_text(fence.text, fence.unparsed)
        self._code = "" if fence.closed else "```"
        self._state = self._line if fence.unparsed else self._line_start
        return True
