"""Reads one block of tool calls, from behind its start marker to behind its end marker.

    head ──"{"──▶ arguments ──"}"──▶ after ──END──▶ over
      │  ──'"'──▶ quoted ────────────▶ │ ▲
      │  ──"{" of a whole call──▶ wrapper ┘└─ name + arguments ──▶ arguments …
      └ a fault ──▶ failed: `remains` tells what was read since the last complete call, to be read as text

A call goes out when its object is complete, whatever becomes of the end marker; from a WINDOW of faultless arguments on
it goes out as it comes, and then there is no way back: a later fault or end of the text leaves it `cut`.

Objects are read in windows that are counted from their first character. Where a fault lies is known by its window only,
and so nothing depends on how the text was cut.
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
_BEHIND = (syntax.END, syntax.MARKER, syntax.GROUP)


class BlockParser:
    """Reads a block; `index` is that of its next call, and a `progressive` one may let a long call go out as it comes.

    One that `failed` was `meant` as a call if its arguments are what cannot be read.
    """

    def __init__(
        self, tools: syntax.DeclaredTools, new_id: Callable[[], str], index: int, *, progressive: bool
    ) -> None:
        self.index = index
        self.over = False
        self.failed = False
        self.cut = False
        self.meant = False
        self._tools = tools
        self._new_id = new_id
        self._progressive = progressive
        self._events: list[CallEvent] = []
        self._raw: list[str] = []  # what was read since the last complete call, up to the window
        self._window: list[str] = []
        self._state: Callable[[], bool] = self._head
        self._begin("")

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`, to the end of the reply if it has `ended`; returns up to where: the undecided is unread."""
        self._text, self._at, self._ended = text, at, ended
        while not self.over and self._state():
            pass
        if ended and not self.over:
            self._break_off()
        if self._committed and not self.over:
            self._tell(self._object.take())
        return self._at

    def take(self) -> list[CallEvent]:
        """Return the events since the last time."""
        events, self._events = self._events, []
        return events

    def remains(self) -> tuple[str, str]:
        """Return what was read of the call that failed: what is text for certain, and what is to be read again as text.

        Only so much is read again that the work stays linear.
        """
        read, doubtful = "".join(self._raw), "".join(self._window)
        return (read, doubtful) if len(read) > RESCAN_LIMIT else ("", read + doubtful)

    def _fault(self) -> bool:
        self.meant = self._state not in (self._head, self._group, self._after)
        self.over = True
        self.failed = not self._committed
        if self._committed:
            self._tell(self._object.take())
            self.index += 1
            self.cut = True
        return False

    def _break_off(self) -> None:
        """End with the reply: a call whose object is complete went out already, one that is open is none, or is cut."""
        if self._state == self._after:
            self.over = True
        else:
            self._keep(len(self._text))
            self._fault()

    def _keep(self, end: int) -> None:
        self._raw.append(self._text[self._at : end])
        self._at = end

    def _begin(self, name: str) -> None:
        self._name = name
        self._object = LenientJsonParser(self._tools.extras(name))
        self._room = WINDOW
        self._committed = False
        self._pieces: list[str] = []

    def _head(self) -> bool:
        return self._open(syntax.HEAD)

    def _group(self) -> bool:
        return self._open(syntax.GROUP)

    def _open(self, pattern: regex.Pattern[str]) -> bool:
        """Read a call up to its arguments; the pattern's groups tell what these look like."""
        limit = self._at + syntax.HEAD_LIMIT
        found, undecided = syntax.first((pattern,), self._text, self._at, limit, ended=self._ended)
        if undecided:
            return False
        if found is None:
            return self._fault()
        groups = {kind for kind, text in found.groupdict().items() if text is not None}
        sure = pattern is syntax.HEAD and "bare" not in groups
        name = self._tools.resolve(found["name"], unknown=sure or "label" in groups) if "name" in groups else ""
        if name is None:
            return self._fault()
        self._begin(name)
        self._keep(found.end())
        if groups & {"null", "bare"}:
            return self._complete("{}")
        self._state = self._arguments if "object" in groups else self._quoted if "string" in groups else self._wrapper
        return True

    def _arguments(self) -> bool:
        if not self._read_object():
            return self._fault()
        if self._object.done:
            return self._complete(self._object.take())
        if self._progressive and not self._room:
            self._commit()
        return self._at < len(self._text)

    def _read_object(self) -> bool:
        """Read on in the object, to the end of the window at most; tells whether that went well."""
        if not self._room:
            if not self._committed:
                self._raw += self._window
            self._window.clear()
            self._room = WINDOW
        try:
            end = self._object.feed(self._text, self._at, min(len(self._text), self._at + self._room))
        except LenientJsonError:
            return False
        self._window.append(self._text[self._at : end])
        self._room -= end - self._at
        self._at = end
        return True

    def _commit(self) -> None:
        """Let the call go out as it comes."""
        if not self._committed:
            self._committed = True
            self._raw.clear()
            self._window.clear()
            self._events.append(ToolCallStart(self.index, self._new_id(), self._name))

    def _quoted(self) -> bool:
        """Read a JSON string that holds the object."""
        start = self._at + (not self._pieces)
        found = _STRING.match(self._text, start)
        end = found.end() if found is not None else start
        closed = self._text[end : end + 1] == '"'
        if end + closed > self._at:
            self._pieces.append(self._text[self._at : end + closed])
            self._keep(end + closed)
        return closed and self._complete_text(lambda: syntax.unquote("".join(self._pieces)))

    def _wrapper(self) -> bool:
        """Read a JSON object that holds the whole call, name and arguments."""
        if not self._read_object():
            return self._fault()
        if not self._object.done:
            return self._at < len(self._text)
        try:
            written, arguments = syntax.unwrap(self._object.take())
        except LenientJsonError:
            return self._fault()
        if (name := self._tools.resolve(written)) is None:
            return self._fault()
        self._name = name
        return self._complete_text(lambda: arguments)

    def _complete_text(self, arguments: Callable[[], str]) -> bool:
        try:
            return self._complete(syntax.strict_arguments(arguments(), self._tools.extras(self._name)))
        except LenientJsonError:
            return self._fault()

    def _complete(self, arguments: str) -> bool:
        self._commit()
        self._tell(arguments)
        self._committed = False
        self.index += 1
        self._raw.clear()
        self._window.clear()
        self._state = self._after
        return True

    def _tell(self, arguments: str) -> None:
        if arguments:
            self._events.append(ToolCallArguments(self.index, arguments))

    def _after(self) -> bool:
        """Find the end marker behind a complete call, or a further call; drop what little an agent leaves between."""
        limit = self._at + syntax.HEAD_LIMIT
        space = _SPACE.match(self._text, self._at, limit)
        here = space.end() if space is not None else self._at
        if here == len(self._text):
            return False
        litter = syntax.TRAILING_NOISE if here == self._at else syntax.LOOSE_LITTER
        found, undecided = syntax.first((*_BEHIND, litter), self._text, here, limit, ended=self._ended)
        if found is not None:
            return self._follow(found, here)
        if self._ended and syntax.END.fullmatch(self._text, here, partial=True):
            self._at = len(self._text)  # an end marker that stands at the end, or is cut off there
            return False
        return not undecided and self._prose()

    def _follow(self, found: regex.Match[str], here: int) -> bool:
        """Go on behind litter or to a further group; the block is over behind its end, or before the next one's start."""
        if found.re is syntax.GROUP:
            self._keep(here)
            self._state = self._group
        elif found.re is not syntax.MARKER:
            self._at = found.end()
        self.over = found.re in {syntax.END, syntax.MARKER}
        return not self.over

    def _prose(self) -> bool:
        """Drop prose before an end marker that is near; without one the block ended with its object: prose is text."""
        near = self._at + PROSE_LIMIT
        found = syntax.END_AHEAD.search(self._text, self._at, near)
        start = syntax.MARKER.search(self._text, self._at, near)
        if found is not None and (start is None or found.start() < start.start()):
            self._at = found.start()
            return True
        if start is None and not self._ended and len(self._text) < near:
            return False
        self.over = True
        return False
