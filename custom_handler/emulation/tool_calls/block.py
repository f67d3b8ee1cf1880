"""Parses one block of tool calls, from the end of its start marker to the end of its end marker.

    head ──"{"──▶ arguments ──"}"──▶ after ──END──▶ done
      │  ──'"'──▶ quoted ────────────▶ │ ▲
      │  ──"{" of a whole call──▶ wrapper ┘└─ name + arguments ──▶ arguments …
      └ an error ──▶ failed: `unparsed_text` is the text since the last complete call

A call is returned when its object is complete, with or without an end marker. After a WINDOW of
valid arguments it is returned while it arrives; a later error, or the end of the text, then leaves
it `cut`.

Objects are parsed in windows, counted from their first character. An error is located by its window
only, so the result does not depend on how the text is cut.
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from ...events import CallEvent, ToolCallArguments, ToolCallStart
from ..lenient_json import LenientJsonError, LenientJsonParser
from . import syntax

WINDOW = 512
PROSE_LIMIT = 200
RESCAN_LIMIT = 1200

_STRING = regex.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', regex.DOTALL)
_SPACE = regex.compile(r"\s*+")
_AFTER_CALL = (syntax.END, syntax.MARKER, syntax.GROUP)


class BlockParser:
    """Parses a block; `index` is that of its next call.

    A `progressive` one returns a long call while it arrives. A block that `failed` within the
    arguments `is_call`: it was meant as a call.
    """

    def __init__(
        self, tools: syntax.DeclaredTools, new_id: Callable[[], str], index: int, *, progressive: bool
    ) -> None:
        self.index = index
        self.done = False
        self.failed = False
        self.cut = False
        self.is_call = False
        self._tools = tools
        self._new_id = new_id
        self._progressive = progressive
        self._events: list[CallEvent] = []
        self._raw: list[str] = []  # the text since the last complete call, up to the window
        self._window: list[str] = []
        self._state: Callable[[], bool] = self._head
        self._begin("")

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position, before text that is undecided.

        `ended`: the reply ends with `text`.
        """
        self._text, self._at, self._ended = text, at, ended
        while not self.done and self._state():
            pass
        if ended and not self.done:
            self._end_early()
        if self._committed and not self.done:
            self._add_arguments(self._object.take())
        return self._at

    def take(self) -> list[CallEvent]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def unparsed_text(self) -> tuple[str, str]:
        """Return the text of the call that failed: what is final, and what has to be parsed again.

        O(n): at most RESCAN_LIMIT and a window are parsed again.
        """
        raw, window = "".join(self._raw), "".join(self._window)
        return (raw, window) if len(raw) > RESCAN_LIMIT else ("", raw + window)

    def _fail(self) -> bool:
        self.is_call = self._state not in (self._head, self._group, self._after)
        self.done = True
        self.failed = not self._committed
        if self._committed:
            self._add_arguments(self._object.take())
            self.index += 1
            self.cut = True
        return False

    def _end_early(self) -> None:
        """End with the reply: an open call fails, or is cut."""
        if self._state == self._after:
            self.done = True
        else:
            self._consume(len(self._text))
            self._fail()

    def _consume(self, end: int) -> None:
        self._raw.append(self._text[self._at : end])
        self._at = end

    def _begin(self, name: str) -> None:
        self._name = name
        self._object = LenientJsonParser(self._tools.dropped_arguments(name))
        self._window_left = WINDOW
        self._committed = False
        self._pieces: list[str] = []

    def _head(self) -> bool:
        return self._open(syntax.HEAD)

    def _group(self) -> bool:
        return self._open(syntax.GROUP)

    def _open(self, pattern: regex.Pattern[str]) -> bool:
        """Parse a call up to its arguments, whose form the pattern's groups name."""
        limit = self._at + syntax.HEAD_LIMIT
        found, undecided = syntax.first((pattern,), self._text, self._at, limit, ended=self._ended)
        if undecided:
            return False
        if found is None:
            return self._fail()
        groups = {kind for kind, text in found.groupdict().items() if text is not None}
        certain = pattern is syntax.HEAD and "bare" not in groups
        name = self._tools.resolve(found["name"], unknown=certain or "label" in groups) if "name" in groups else ""
        if name is None:
            return self._fail()
        self._begin(name)
        self._consume(found.end())
        if groups & {"null", "bare"}:
            return self._complete("{}")
        self._state = self._arguments if "object" in groups else self._quoted if "string" in groups else self._wrapper
        return True

    def _arguments(self) -> bool:
        if not self._read_object():
            return self._fail()
        if self._object.done:
            return self._complete(self._object.take())
        if self._progressive and not self._window_left:
            self._commit()
        return self._at < len(self._text)

    def _read_object(self) -> bool:
        """Parse the object up to the end of the window; return whether it is valid."""
        if not self._window_left:
            if not self._committed:
                self._raw += self._window
            self._window.clear()
            self._window_left = WINDOW
        try:
            end = self._object.feed(self._text, self._at, min(len(self._text), self._at + self._window_left))
        except LenientJsonError:
            return False
        self._window.append(self._text[self._at : end])
        self._window_left -= end - self._at
        self._at = end
        return True

    def _commit(self) -> None:
        """Return the call from now on while it arrives."""
        if not self._committed:
            self._committed = True
            self._raw.clear()
            self._window.clear()
            self._events.append(ToolCallStart(self.index, self._new_id(), self._name))

    def _quoted(self) -> bool:
        """Parse a JSON string that contains the object."""
        start = self._at + (not self._pieces)
        found = _STRING.match(self._text, start)
        end = found.end() if found is not None else start
        closed = self._text[end : end + 1] == '"'
        if end + closed > self._at:
            self._pieces.append(self._text[self._at : end + closed])
            self._consume(end + closed)
        return closed and self._complete_text(lambda: syntax.unquote("".join(self._pieces)))

    def _wrapper(self) -> bool:
        """Parse a JSON object that contains the whole call, name and arguments."""
        if not self._read_object():
            return self._fail()
        if not self._object.done:
            return self._at < len(self._text)
        try:
            written, arguments = syntax.unwrap(self._object.take())
        except LenientJsonError:
            return self._fail()
        if (name := self._tools.resolve(written)) is None:
            return self._fail()
        self._name = name
        return self._complete_text(lambda: arguments)

    def _complete_text(self, arguments: Callable[[], str]) -> bool:
        try:
            return self._complete(syntax.strict_arguments(arguments(), self._tools.dropped_arguments(self._name)))
        except LenientJsonError:
            return self._fail()

    def _complete(self, arguments: str) -> bool:
        if not self._committed:
            arguments = self._tools.fit(self._name, arguments)
        self._commit()
        self._add_arguments(arguments)
        self._committed = False
        self.index += 1
        self._raw.clear()
        self._window.clear()
        self._state = self._after
        return True

    def _add_arguments(self, arguments: str) -> None:
        if arguments:
            self._events.append(ToolCallArguments(self.index, arguments))

    def _after(self) -> bool:
        """Find the end marker after a complete call, or another call; drop noise in between."""
        limit = self._at + syntax.HEAD_LIMIT
        space = _SPACE.match(self._text, self._at, limit)
        here = space.end() if space is not None else self._at
        if here == len(self._text):
            return False
        noise = syntax.TRAILING_NOISE if here == self._at else syntax.DETACHED_NOISE
        found, undecided = syntax.first((*_AFTER_CALL, noise), self._text, here, limit, ended=self._ended)
        if found is not None:
            return self._follow(found, here)
        if self._ended and syntax.END.fullmatch(self._text, here, partial=True):
            self._at = len(self._text)  # an end marker at the end, perhaps cut off
            return False
        return not undecided and self._prose()

    def _follow(self, found: regex.Match[str], here: int) -> bool:
        """Continue after noise or with a group; end at the end marker or the next start."""
        if found.re is syntax.GROUP:
            self._consume(here)
            self._state = self._group
        elif found.re is not syntax.MARKER:
            self._at = found.end()
        self.done = found.re in {syntax.END, syntax.MARKER}
        return not self.done

    def _prose(self) -> bool:
        """Drop text before a near end marker; without one, the block ended with its object."""
        near = self._at + PROSE_LIMIT
        found = syntax.END_AHEAD.search(self._text, self._at, near)
        start = syntax.MARKER.search(self._text, self._at, near)
        if found is not None and (start is None or found.start() < start.start()):
            self._at = found.start()
            return True
        if start is None and not self._ended and len(self._text) < near:
            return False
        self.done = True
        return False
