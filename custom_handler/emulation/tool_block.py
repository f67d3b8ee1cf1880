"""Reads one block of tool calls, from behind its start marker to behind its end marker.

    head ──"{"──▶ arguments ──"}"──▶ after ──END──▶ over
      │  ──'"'──▶ quoted ────────────▶ │ ▲
      │  ──"{" of a whole call──▶ wrapper ┘└─ name + arguments ──▶ arguments …
      └ a fault ──▶ failed: what was read since the last complete call is in `raw`, to be read as text

A call goes out when its object is complete, whatever becomes of the end marker; from COMMIT faultless characters of arguments
on it goes out as it comes, and then there is no way back: a later fault or end of the text leaves it `cut`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..events import ReplyEvent, ToolCallArguments, ToolCallStart
from . import tool_syntax as syntax
from .lenient_json import JsonFault, LenientObject

COMMIT = 512
HEAD_LIMIT = 600
PROSE_LIMIT = 200

_STRING = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)


class ToolBlock:
    """Reads a block; `index` is that of its first call, and a `progressive` block may let a long call go out as it comes."""

    def __init__(
        self, tools: syntax.DeclaredTools, new_id: Callable[[], str], index: int, *, progressive: bool
    ) -> None:
        self.events: list[ReplyEvent] = []
        self.raw: list[str] = []
        self.index = index
        self.over = False
        self.failed = False
        self.cut = False
        self._tools = tools
        self._new_id = new_id
        self._progressive = progressive
        self._state: Callable[[], bool] = self._head
        self._begin("")

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`, to the end of the reply if it has `ended`; returns up to where. What is undecided stays unread."""
        self._text, self._at, self._ended = text, at, ended
        while not self.over and self._state():
            pass
        if ended and not self.over:
            self._break_off()
        return self._at

    def take(self) -> list[ReplyEvent]:
        """Return the events since the last time."""
        events, self.events = self.events, []
        return events

    def _consume(self, end: int) -> str:
        piece = self._text[self._at : end]
        self._at = end
        if not self._committed:
            self.raw.append(piece)
        return piece

    def _fault(self) -> bool:
        self.over = True
        self.cut = self._committed
        self.failed = not self._committed
        return False

    def _break_off(self) -> None:
        """End with the reply: a call whose object is complete went out already, one that is open is none, or is cut."""
        if self._state == self._after:
            self.over = True
        else:
            self._consume(len(self._text))
            self._fault()

    def _begin(self, name: str) -> None:
        self._name = name
        self._object = LenientObject(self._tools.extras(name))
        self._characters = 0
        self._committed = False
        self._pieces: list[str] = []

    def _head(self) -> bool:
        return self._open(syntax.HEAD)

    def _open(self, pattern: Any) -> bool:
        """Read a call up to its arguments; the pattern's groups tell what these look like."""
        found = pattern.match(self._text, self._at, partial=True)
        if found is not None and found.partial and not self._ended and len(self._text) - self._at < HEAD_LIMIT:
            return False
        if found is None or found.partial or (name := self._resolved(found)) is None:
            return self._fault()
        self._begin(name)
        self._consume(found.end())
        groups = found.groupdict()
        if groups.get("null") is not None or groups.get("bare") is not None:
            return self._emit_whole("{}")
        kinds = {"object": self._arguments, "string": self._quoted, "wrapper": self._wrapper}
        self._state = next(state for kind, state in kinds.items() if groups.get(kind) is not None)
        return True

    def _resolved(self, found: Any) -> str | None:
        """Name the tool that is called, "" where only the wrapper tells, None where it cannot be one."""
        if (written := found["name"]) is None:
            return ""
        bare = found.groupdict().get("bare") is not None
        return self._tools.resolve(written, unknown=not bare)

    def _arguments(self) -> bool:
        """Read the object; its first COMMIT characters are looked at by themselves, so that no cut of the text matters."""
        limit = len(self._text)
        if self._progressive and not self._committed:
            limit = min(limit, self._at + COMMIT - self._characters)
        if not self._read_object(limit):
            return self._fault()
        if self._object.done:
            self._emit(self._object.take())
            return self._completed()
        if self._progressive and self._characters >= COMMIT:
            self._emit(self._object.take())
            self._committed = True
            self.raw.clear()
        return self._at < len(self._text)

    def _read_object(self, limit: int) -> bool:
        try:
            end = self._object.feed(self._text, self._at, limit)
        except JsonFault:
            self._emit_rest()
            return False
        self._characters += end - self._at
        self._consume(end)
        return True

    def _quoted(self) -> bool:
        """Read a JSON string that holds the object."""
        start = self._at + (not self._pieces)
        found = _STRING.match(self._text, start)
        end = found.end() if found is not None else start
        if end < len(self._text) and self._text[end] == '"':
            self._pieces.append(self._consume(end + 1))
            return self._emit_text(lambda: syntax.unquote("".join(self._pieces)))
        if end > self._at:
            self._pieces.append(self._consume(end))
        return False

    def _wrapper(self) -> bool:
        """Read a JSON object that holds the whole call, name and arguments."""
        if not self._read_object(len(self._text)):
            return self._fault()
        self._pieces.append(self._object.take())
        if not self._object.done:
            return False
        try:
            written, arguments = syntax.unwrap("".join(self._pieces))
        except JsonFault:
            return self._fault()
        if (name := self._tools.resolve(written)) is None:
            return self._fault()
        self._name = name
        return self._emit_text(lambda: arguments)

    def _emit_text(self, arguments: Callable[[], str]) -> bool:
        try:
            return self._emit_whole(syntax.strict_arguments(arguments(), self._tools.extras(self._name)))
        except JsonFault:
            return self._fault()

    def _emit_whole(self, arguments: str) -> bool:
        self._emit(arguments)
        return self._completed()

    def _emit(self, arguments: str) -> None:
        if not self._committed:
            self.events.append(ToolCallStart(self.index, self._new_id(), self._name))
        if arguments:
            self.events.append(ToolCallArguments(self.index, arguments))

    def _emit_rest(self) -> None:
        if self._committed:
            self._emit(self._object.take())

    def _completed(self) -> bool:
        self.index += 1
        self.raw.clear()
        self._committed = False
        self._state = self._after
        return True

    def _after(self) -> bool:
        """Find the end marker behind a complete call, or a further call; drop what little an agent leaves between."""
        litter = syntax.LITTER.match(self._text, self._at)
        if litter is not None:
            self._at = litter.end()
        if self._at == len(self._text):
            return False
        if self._ended and syntax.END.fullmatch(self._text, self._at, partial=True):
            self._at = len(self._text)  # an end marker that was cut off
            return False
        for pattern, state in ((syntax.END, self._end), (syntax.MARKER, self._next_block), (syntax.GROUP, self._group)):
            found = pattern.match(self._text, self._at, partial=True)
            if found is not None and not found.partial:
                self._state = state
                return True
            if found is not None and not self._ended and len(self._text) - self._at < HEAD_LIMIT:
                return False
        return self._prose()

    def _group(self) -> bool:
        return self._open(syntax.GROUP)

    def _next_block(self) -> bool:
        self.over = True
        return False

    def _end(self) -> bool:
        found = syntax.END.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at
        self.over = True
        return False

    def _prose(self) -> bool:
        """Drop prose before an end marker that is near; without one the block ended with its object, and prose is text."""
        near = self._at + PROSE_LIMIT
        found = syntax.END.search(self._text, self._at, near)
        start = syntax.MARKER.search(self._text, self._at, near)
        if found is not None and (start is None or found.start() < start.start()):
            self._at = found.start()
            self._state = self._end
            return True
        if start is None and not self._ended and len(self._text) < near:
            return False
        self.over = True
        return False
