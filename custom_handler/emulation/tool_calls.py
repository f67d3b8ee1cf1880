"""Reads tool calls out of what the agent writes, while it writes: `feed` pieces of text, `flush` at the end.

Each state reads from the unread text, and tells whether it got on; what it cannot decide yet stays unread. No decision
depends on how the text was cut, and no state leaves more than a few hundred characters unread, so the work stays linear.

    line start ──text──▶ line ──newline──▶ line start       text that is no call goes out at once
        │ marker           │ marker at the end of the line
        ▼                  ▼
      block ──over──▶ line start                            (`tool_block`)
        └──failed──▶ line: the marker was text, and reading goes on behind it

A block that opens a code fence is a call only if nothing but white space follows the fence: until that is known, its events
are kept back. Text in other fences, in `<think>` and in quotations is never a call.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ..events import ReplyEvent, Text
from . import tool_syntax as syntax
from .tool_block import ToolBlock
from .tool_fence import FencedCalls

RESCAN_LIMIT = 2048
END_LENGTH = 40

_GAP = re.compile(r"[\s\ufeff]*")
_STOP = re.compile(r"\n|(?<![\w`'\"])(?:FUNCTION|TOOL)_CALL_START")
_MARKERS = ("FUNCTION_CALL_START", "TOOL_CALL_START")
_REST_OF_LINE = re.compile(r"[ \t]*\r?\n")
_OPENINGS = ("```", "<think>", "<thinking>")
_THINK = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)


def new_call_id() -> str:
    """Make an id that no other call of any reply has."""
    return f"call_{uuid.uuid4().hex[:24]}"


class ToolCallReader:
    """Splits an agent's text into content and tool calls.

    `schemas` maps the declared tools' names to their parameters. `calls` counts the calls so far; `cut` tells that a call was
    going out that cannot be completed; `closed` that all further text is invented, and the agent need not be listened to.
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]], new_id: Callable[[], str] = new_call_id) -> None:
        self.calls = 0
        self.cut = False
        self.closed = False
        self._tools = syntax.DeclaredTools(schemas)
        self._new_id = new_id
        self._unread = ""
        self._at = 0
        self._ended = False
        self._state: Callable[[], bool] = self._line_start
        self._out: list[ReplyEvent] = []
        self._gap: list[str] = []  # white space that goes out with the text behind it, and not with a call
        self._spoken = False
        self._in_code = False
        self._quotation = False
        self._marker = ""
        self._block: ToolBlock
        self._fence: FencedCalls

    def feed(self, piece: str) -> list[ReplyEvent]:
        """Read on; returns what is certain by now."""
        self._unread = self._unread[self._at :] + piece
        self._at = 0
        while not self.closed and self._at < len(self._unread) and self._state():
            pass
        return self._taken()

    def flush(self) -> list[ReplyEvent]:
        """Read the rest, as the end of the reply."""
        self._ended = True
        while not self.closed and self._state():
            pass
        return self._taken()

    def _taken(self) -> list[ReplyEvent]:
        events, self._out = self._out, []
        return events

    def _line_start(self) -> bool:
        """Decide what a line is by its first characters; white space before it is kept until that is known."""
        self._keep_gap()
        if self._at == len(self._unread):
            if self._ended and not self.calls:
                self._speak("")
            return False
        if self._in_code:
            return self._code_line()
        for pattern, act in ((syntax.FENCED_MARKER, self._open_fence), (syntax.MARKER, self._open_block)):
            found = pattern.match(self._unread, self._at, partial=True)
            if found is not None and not found.partial:
                act(found.end())
                return True
            if found is not None and not self._ended:
                return False
        return self._invention() if self.calls else self._ordinary_line()

    def _keep_gap(self) -> None:
        gap = _GAP.match(self._unread, self._at)
        if gap is not None and gap[0]:
            self._gap.append(gap[0])
            self._at = gap.end()

    def _invention(self) -> bool:
        """Behind a call, stop at what looks like its result: only the caller has results."""
        found = syntax.INVENTED.match(self._unread, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            return self._ordinary_line()
        self.closed = not found.partial
        return False

    def _ordinary_line(self) -> bool:
        head = self._unread[self._at : self._at + 10].lower()
        if not self._ended and any(len(head) < len(word) and word.startswith(head) for word in _OPENINGS):
            return False
        self._in_code = head.startswith("```")
        self._quotation = head.startswith(">")
        self._state = self._thought if _THINK.match(head) else self._line
        return True

    def _code_line(self) -> bool:
        head = self._unread[self._at : self._at + 3]
        if not self._ended and len(head) < 3 and "```".startswith(head):
            return False
        self._in_code = head != "```"
        self._quotation = True  # no marker counts on this line
        self._state = self._line
        return True

    def _line(self) -> bool:
        """Let text go out up to the end of the line, or to a marker that ends the line."""
        found = _STOP.search(self._unread, self._at)
        if found is None:
            self._speak_to(len(self._unread) - (0 if self._ended else self._held()))
            return False
        self._speak_to(found.start())
        if found[0] == "\n":
            self._state = self._line_start
            return True
        rest = _REST_OF_LINE.match(self._unread, found.end())
        if rest is None and not self._ended and not self._unread[found.end() :].strip(" \t\r"):
            return False
        if rest is None or self._quotation or self._in_code:
            self._speak_to(found.end())
        else:
            self._open_block(found.end())
        return True

    def _held(self) -> int:
        """Count the last characters that could begin a marker."""
        tail = self._unread[max(self._at, len(self._unread) - len(_MARKERS[0])) :]
        return next((n for n in range(len(tail), 0, -1) if any(m.startswith(tail[-n:]) for m in _MARKERS)), 0)

    def _thought(self) -> bool:
        found = _THOUGHT.search(self._unread, self._at)
        if found is not None:
            self._speak_to(found.end())
            self._state = self._line
            return True
        opening = self._unread.rfind("<", max(self._at, len(self._unread) - len("</thinking>")))
        self._speak_to(len(self._unread) if self._ended or opening < 0 else opening)
        return False

    def _speak_to(self, end: int) -> None:
        self._speak(self._unread[self._at : end])
        self._at = end

    def _speak(self, text: str) -> None:
        gap = "".join(self._gap) if self._spoken or not self.calls else ""
        if gap or text:
            self._gap.clear()
            self._spoken = True
            self._out.append(Text(gap + text))

    def _open_block(self, end: int) -> None:
        self._marker = self._unread[self._at : end]
        self._at = end
        self._block = ToolBlock(self._tools, self._new_id, self.calls, progressive=True)
        self._state = self._in_block

    def _in_block(self) -> bool:
        block = self._block
        self._at = block.read(self._unread, self._at, ended=self._ended)
        if events := block.take():
            self._gap.clear()
            self._out += events
        if not block.over:
            return False
        alone = block.index == self.calls
        self.calls, self.cut = block.index, block.cut
        if block.failed:
            self._give_back("".join(block.raw), marker=self._marker if alone else "")
        else:
            self._state = self._skip if block.cut else self._behind_block
        return True

    def _give_back(self, raw: str, *, marker: str) -> None:
        """Read a block that is none as text: the marker is text, and a call may still begin behind it."""
        self._speak(marker)
        if len(raw) > RESCAN_LIMIT:
            self._speak(raw)
            raw = ""
        self._unread = raw + self._unread[self._at :]
        self._at = 0
        self._state = self._line if marker else self._line_start

    def _behind_block(self) -> bool:
        found = syntax.DECORATION.match(self._unread, self._at)
        self._at = found.end() if found is not None else self._at
        self._state = self._line_start
        return True

    def _skip(self) -> bool:
        """Drop the rest of a call that was going out and turned out unreadable."""
        found = syntax.END.search(self._unread, self._at)
        if found is None:
            self._at = len(self._unread) if self._ended else max(self._at, len(self._unread) - END_LENGTH)
            return False
        self._at = found.end()
        self._state = self._behind_block
        return True

    def _open_fence(self, end: int) -> None:
        self._fence = FencedCalls(self._tools, self._new_id, self.calls, self._unread[self._at : end])
        self._at = end
        self._state = self._in_fence

    def _in_fence(self) -> bool:
        fence = self._fence
        self._at = fence.read(self._unread, self._at, ended=self._ended)
        if not fence.over:
            return False
        if fence.events:
            self._gap.clear()
            self._out += fence.events
            self.calls = fence.index
            return False
        self._speak("```")
        self._unread = "".join(fence.raw)[3:] + self._unread[self._at :]
        self._at = 0
        self._in_code = True
        self._state = self._line
        return True
