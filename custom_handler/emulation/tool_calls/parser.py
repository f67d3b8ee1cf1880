"""Reads tool calls out of what the agent writes, while it writes: `feed` pieces of text, `flush` at the end.

Each state reads from the unread text, and tells whether it got on; what it cannot decide yet stays unread. No decision
depends on how the text was cut, and no state leaves more than some hundred characters unread, so the work stays linear.

    line start ──text──▶ line ──newline──▶ line start       text that is no call goes out at once
        │ marker           │ marker at the end of the line
        ▼                  ▼
      block ──over──▶ line start                            (`block`)
        ├──cut────▶ skip ──end marker──▶ line start
        ├──failed, and meant as a call──▶ spoiled ──▶ Unreadable, line start     (`unreadable`)
        └──failed──▶ line: the marker was text, and reading goes on behind it

A block that opens a code fence is a call only if no prose follows the fence: until that is known, its events are kept
back (`code_fence`). Text in other fences, in `<think>` and in quotations is never a call.
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

SLICE = 4096  # a longer piece is read slice by slice, and so no text is copied again and again

_GAP = regex.compile(r"[\s\ufeff\u200b]*+")

# Most lines begin with nothing that opens anything: text stops at the others only, by what they begin with.
_MARKER_IN_LINE = r"(?<![\w`'\"])(?:FUNCTION|TOOL)_CALL_START"
_LINE_OF = r"\n(?=[ \t]{0,80}+(?:[\s\ufeff\u200b"
_STOP = regex.compile(rf"\n|{_MARKER_IN_LINE}")
_STOP_IN_CODE = regex.compile(rf"{_LINE_OF}`~]))")
_STOP_IN_PROSE = regex.compile(rf"{_LINE_OF}*_`~\[<(\#>]|(?i:fu|to)))|{_MARKER_IN_LINE}")
_STOP_BEHIND_CALLS = regex.compile(rf"{_LINE_OF}*_`~\[<(\#>\-]|(?i:fu|to|re|ou|ob|sa|us|hu|fe)))|{_MARKER_IN_LINE}")
_INFO_END = regex.compile(r"[\n`]")
_OPENINGS = frozenset("FfTt*_`~[<(#")
_BEFORE_CALLS = (syntax.FENCED_MARKER, syntax.MARKER, syntax.CODE_FENCE, syntax.THINK)
_BEHIND_CALLS = (*_BEFORE_CALLS, syntax.FABRICATED_RESULT)
_IN_CODE = (syntax.CODE_FENCE,)


def new_call_id() -> str:
    """Make an id that no other call of any reply has."""
    return f"call_{uuid.uuid4().hex[:24]}"


class ToolCallParser:
    """Splits an agent's text into content and tool calls.

    `schemas` maps the declared tools' names to their parameters. `calls` counts the calls so far; `cut` has the indexes
    of those that were going out and cannot be completed; `closed` tells that all further text is invented: no need to listen
    to the agent.
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
        self._said: list[str] = []
        self._gap: list[str] = []  # white space that goes out with the text behind it, and not with a call
        self._spoken = False
        self._meant = False
        self._code = ""  # the fence that opened the code
        self._quotation = False
        self._marker = ""
        self._block: BlockParser
        self._fence: CodeFenceParser
        self._spoiled: UnreadableBlock | UnreadableCodeFence
        self._acts: dict[regex.Pattern[str], Callable[[regex.Match[str]], None]] = {
            syntax.FENCED_MARKER: self._open_fence,
            syntax.MARKER: self._open_block,
            syntax.CODE_FENCE: self._open_code,
            syntax.THINK: self._open_thought,
            syntax.FABRICATED_RESULT: self._close,
        }

    def feed(self, piece: str) -> list[ParsedPart]:
        """Read on; returns what is certain by now."""
        for start in range(0, len(piece), SLICE):
            before = max(self._at - 1, 0)  # the character before a marker tells whether it is one
            self._unread = self._unread[before:] + piece[start : start + SLICE]
            self._at -= before
            while not self.closed and self._at < len(self._unread) and self._state():
                pass
        return self._taken()

    def flush(self) -> list[ParsedPart]:
        """Read the rest, as the end of the reply."""
        self._ended = True
        while not self.closed and self._state():
            pass
        return self._taken()

    def _taken(self) -> list[ParsedPart]:
        self._tell([])
        events, self._out = self._out, []
        return events

    def _tell(self, events: Sequence[ParsedPart]) -> None:
        if self._said:
            self._out.append("".join(self._said))
            self._said.clear()
        self._out += events

    @property
    def _called(self) -> bool:
        """Whether there was a call, or what is meant as one: what an agent gives as its result is invented."""
        return self.calls > 0 or self._meant

    def _line_start(self) -> bool:
        """Decide what a line is by its first characters; white space before it is kept until that is known."""
        text = self._unread
        if (gap := _GAP.match(text, self._at)) is not None and gap[0]:
            self._gap.append(gap[0])
            self._at = gap.end()
        if self._at == len(text):
            if self._ended and not self.calls:
                self._speak("")
            return False
        found = None
        if self._called or text[self._at] in _OPENINGS:
            patterns = _IN_CODE if self._code else _BEHIND_CALLS if self._called else _BEFORE_CALLS
            limit = self._at + syntax.HEAD_LIMIT
            found, undecided = syntax.first(patterns, text, self._at, limit, ended=self._ended)
            if undecided:
                return False
        if found is not None:
            self._acts[found.re](found)
        else:
            self._quotation = text[self._at] == ">"
            self._state = self._line
        return True

    def _line(self) -> bool:
        """Let text go out up to the end of the line, or to a marker that ends the line."""
        found = self._stop().search(self._unread, self._at, partial=True)
        newline = found is not None and self._unread.startswith("\n", found.start())
        if found is None or (found.partial and self._ended and not newline):
            self._speak_to(len(self._unread))
            return False
        self._speak_to(found.start())
        if found.partial and not self._ended:
            return False
        if newline:
            self._state = self._line_start
            return True
        rest = syntax.REST_OF_LINE.match(self._unread, found.end(), partial=True)
        if self._code or self._quotation or rest is None or (rest.partial and self._ended):
            self._speak_to(found.end())
        elif rest.partial:
            return False
        else:
            self._open_block(found)
        return True

    def _stop(self) -> regex.Pattern[str]:
        if self._quotation:
            return _STOP
        return _STOP_IN_CODE if self._code else _STOP_BEHIND_CALLS if self.calls else _STOP_IN_PROSE

    def _speak_to(self, end: int) -> None:
        self._speak(self._unread[self._at : end])
        self._at = end

    def _speak(self, text: str) -> None:
        gap = "".join(self._gap) if self._spoken or not self.calls else ""
        if gap or text:
            self._gap.clear()
            self._spoken = True
            self._said.append(gap + text)

    def _open_code(self, found: regex.Match[str]) -> None:
        """Begin or end a fence of code; a fence ends with one as long, and nothing is written to it."""
        behind = self._unread[found.end()]
        self._speak_to(found.end())
        if not self._code:
            self._code = found[0]
            self._state = self._info
            return
        if found[0].startswith(self._code) and not behind.isalnum():
            self._code = ""
        self._quotation = True
        self._state = self._line

    def _info(self) -> bool:
        """Read the rest of the line that opens a fence; another backtick there shows that it was inline code."""
        found = _INFO_END.search(self._unread, self._at)
        self._speak_to(len(self._unread) if found is None else found.start())
        if found is None:
            return False
        if found[0] == "`" and self._code.startswith("`"):
            self._code, self._quotation, self._state = "", False, self._line
        elif found[0] == "`":
            self._speak_to(found.end())
        else:
            self._state = self._line_start
        return True

    def _open_thought(self, _found: regex.Match[str]) -> None:
        self._state = self._thought

    def _thought(self) -> bool:
        found = syntax.THOUGHT.search(self._unread, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            self._speak_to(len(self._unread))
            return False
        self._speak_to(found.start() if found.partial else found.end())
        if not found.partial:
            self._state = self._line_start
        return not found.partial

    def _close(self, _found: regex.Match[str]) -> None:
        """Stop where the agent goes on as if its call had been answered: only the caller has results."""
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
            self._tell(events)
        if not block.over:
            return False
        marker = self._marker if block.index == self.calls else ""
        self.calls = block.index
        if block.cut:
            self.cut.add(block.index - 1)
        self._state = self._line_start
        if block.failed:
            said, again = block.remains()
            alone = marker and not said + again and syntax.REST_OF_MARKER_LINE.match(self._unread, self._at)
            self._meant |= block.meant
            if block.meant or alone:
                self._spoil(UnreadableBlock(marker + said, sure=block.meant), again)
            else:
                self._give_back(marker + said, again)
                self._quotation = False
                self._state = self._line if marker else self._line_start
        elif block.cut:
            self._give_back("", "".join(block.remains()))
            self._state = self._skip
        return True

    def _give_back(self, said: str, again: str) -> None:
        """Let what was read as calls go out as text, the last part of it after it was read again."""
        self._unread = said + again + self._unread[self._at :]
        self._at = 0
        self._speak_to(len(said))

    def _spoil(self, spoiled: UnreadableBlock | UnreadableCodeFence, again: str) -> None:
        """Keep back what was meant as a call and cannot be read, the last part of it after it was read again."""
        self._unread = again + self._unread[self._at :]
        self._at = 0
        self._spoiled = spoiled
        self._state = self._in_spoiled

    def _in_spoiled(self) -> bool:
        self._at = self._spoiled.read(self._unread, self._at, ended=self._ended)
        if not self._spoiled.over:
            return False
        self._state = self._line_start if self._spoiled.unreadable else self._line
        self._quotation = False
        if self._spoiled.unreadable:
            gap = "".join(self._gap) if self._spoken or not self.calls else ""
            self._gap.clear()
            self._spoken = True
            self._tell([Unreadable(gap + self._spoiled.text)])
        else:
            self._speak(self._spoiled.text)
        return True

    def _skip(self) -> bool:
        """Drop the rest of a call that was going out and turned out unreadable."""
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
        if not fence.over:
            return False
        self._state = self._line_start
        if fence.events:
            self._gap.clear()
            self._tell(fence.events)
            self.calls = fence.index
            return True
        if fence.spoiled:
            self._spoil(UnreadableCodeFence(fence.said), fence.again)
            return True
        self._give_back(fence.said, fence.again)
        self._code = "" if fence.closed else "```"
        self._state = self._line if fence.again else self._line_start
        return True
