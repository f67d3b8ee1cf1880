"""Parses one block of tool calls, from the end of its start marker to the end of its end marker.

    head ──"{"──▶ arguments ──"}"──▶ after ──END──▶ done
      │  ──'"'──▶ quoted ────────────▶ │ ▲
      │  ──"{" of a whole call──▶ wrapper ┘└─ name + arguments ──▶ arguments …
      └ an error ──▶ failed: `rest` is the text since the last complete call

Calls are complete only with the block: what follows an object may belong to it. Without an end
marker the block ends behind its object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import regex

from ..lenient_json import LenientJsonError, LenientJsonParser
from . import loose_arguments, syntax, wrapper
from .loose_block import NO_END, is_suspicious
from .syntax import Call
from .text_parser import first

PROSE_LIMIT = 200

_STRING = regex.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', regex.DOTALL)
_SPACE = regex.compile(r"\s*+")
_ANOTHER_OBJECT = regex.compile(r"[\s,]*+,\s*+\{")
_ANOTHER_NAME = regex.compile(
    rf"\s*+(?:[-*•][ \t]++|\d{{1,2}}[.)][ \t]++)?+[*\"'`]{{0,3}}+(?P<name>[\w.\-]{{1,128}}+)[*\"'`:]{{0,3}}+"
    rf"(?:\(|[ \t]*+\{{|[ \t]*+\n\s*+(?:{syntax.ARGUMENTS_WORD})\b)",
    regex.IGNORECASE,
)


class BlockParser:
    """Parses a block into `calls`.

    `named`: it begins with the tool's name. `closed`: it has its end marker. A block that `failed`
    within the arguments `is_call`: it was meant as a call, and `reason` says what is wrong; `rest`
    is its text since the last of `calls`, whose own text is `last`.
    """

    def __init__(self, tools: syntax.DeclaredTools, *, named: bool = False) -> None:
        self.calls: list[Call] = []
        self.done = False
        self.closed = False
        self.failed = False
        self.is_call = False
        self.reason = ""
        self.last = ""
        self._tools = tools
        self._raw: list[str] = []  # the text since the last complete call
        self._all: list[str] = []
        self._state: Callable[[], bool] = self._group if named else self._head
        self._begin("")

    @property
    def rest(self) -> str:
        """The text since the last complete call."""
        return "".join(self._raw)

    @property
    def text(self) -> str:
        """The text of the block so far."""
        return "".join(self._all)

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position, before text that is undecided.

        `ended`: the reply ends with `text`.
        """
        self._text, self._at, self._ended = text, at, ended
        while not self.done and self._state():
            pass
        if ended and not self.done:
            self._end_early()
        return self._at

    def _fail(self, reason: str = "") -> bool:
        self.is_call = self._state not in (self._head, self._group)
        self.reason = reason
        self.done = self.failed = True
        return False

    def _end_early(self) -> None:
        """End with the reply: an open call fails."""
        if self._state == self._after:
            self.done = True
            return
        self._move(len(self._text))
        self._fail(NO_END)

    def _move(self, end: int) -> None:
        piece = self._text[self._at : end]
        self._raw.append(piece)
        self._all.append(piece)
        self._at = end

    def _begin(self, name: str) -> None:
        self._name = name
        self._object = LenientJsonParser(self._tools.dropped_arguments(name))
        self._pieces: list[str] = []

    def _head(self) -> bool:
        return self._open(self._tools.head)

    def _group(self) -> bool:
        return self._open(self._tools.group)

    def _open(self, pattern: regex.Pattern[str]) -> bool:
        """Parse a call up to its arguments, whose form the pattern's groups name."""
        limit = self._at + syntax.HEAD_LIMIT
        found, undecided = first((pattern,), self._text, self._at, limit, ended=self._ended)
        if undecided:
            return False
        if found is None:
            return self._fail()
        groups = {kind for kind, text in found.groupdict().items() if text is not None}
        certain = pattern is self._tools.head and "bare" not in groups
        name = self._tools.resolve(found["name"], unknown=certain or "label" in groups) if "name" in groups else ""
        if name is None:
            return self._fail()
        self._begin(name)
        if self._loses_arguments(name, found[0], nothing=bool(groups & {"null", "bare"})):
            self._state = self._arguments
            return self._fail("its arguments are no JSON object")
        self._move(found.end())
        if groups & {"null", "bare"}:
            return self._complete([Call(name, "{}")])
        self._state = self._arguments if "object" in groups else self._quoted if "string" in groups else self._wrapper
        return True

    def _loses_arguments(self, name: str, head: str, *, nothing: bool) -> bool:
        """Return whether arguments are missing, or one is taken for the call's id."""
        schema = self._tools.parameters(name)
        properties = schema.get("properties")
        label = syntax.ID_LABEL.search(head)
        is_argument = isinstance(properties, Mapping) and label is not None and label["word"] in properties
        return is_argument or (nothing and bool(schema.get("required")))

    def _arguments(self) -> bool:
        return self._read_object(lambda strict: [Call(self._name, strict)])

    def _wrapper(self) -> bool:
        """Parse a JSON object that contains the whole call, name and arguments."""
        return self._read_object(lambda strict: wrapper.calls_in(strict, self._tools))

    def _read_object(self, calls: Callable[[str], list[Call]]) -> bool:
        try:
            end = self._object.feed(self._text, self._at)
            self._move(end)
            if self._object.done:
                return self._complete(calls(self._object.take()))
        except LenientJsonError as error:
            return self._fail(str(error))
        return False

    def _quoted(self) -> bool:
        """Parse a JSON string that contains the object."""
        start = self._at + (not self._pieces)
        found = _STRING.match(self._text, start)
        end = found.end() if found is not None else start
        closed = self._text[end : end + 1] == '"'
        if end + closed > self._at:
            self._pieces.append(self._text[self._at : end + closed])
            self._move(end + closed)
        if not closed:
            return False
        try:
            value = syntax.unquote("".join(self._pieces))
            strict = syntax.strict_arguments(value, self._tools.dropped_arguments(self._name))
            return self._complete([Call(self._name, strict)])
        except LenientJsonError as error:
            return self._fail(str(error))

    def _complete(self, calls: list[Call]) -> bool:
        """Accept the calls of one object; raises LenientJsonError."""
        self.calls += [part for call in calls for part in wrapper.take_apart(call, self._tools)]
        self.last = "".join(self._raw)
        self._raw.clear()
        self._state = self._after
        return True

    def _after(self) -> bool:
        """Find the end marker after a complete call, or another call; drop noise in between."""
        limit = self._at + syntax.HEAD_LIMIT
        space = _SPACE.match(self._text, self._at, limit)
        here = space.end() if space is not None else self._at
        if here == len(self._text):
            return False
        if self._ended and syntax.END.fullmatch(self._text, here, partial=True):
            self._at = len(self._text)  # an end marker at the end, perhaps cut off
            self.closed = True
            return False
        noise = syntax.TRAILING_NOISE if here == self._at else syntax.DETACHED_NOISE
        patterns = (syntax.END, syntax.MARKER, self._tools.group, noise)
        found, undecided = first(patterns, self._text, here, limit, ended=self._ended)
        if found is not None:
            return self._follow(found, here)
        return not undecided and self._prose()

    def _follow(self, found: regex.Match[str], here: int) -> bool:
        """Continue after noise or with a group; end at the end marker or the next start."""
        if found.re is self._tools.group:
            self._move(here)
            self._state = self._group
        elif found.re is not syntax.MARKER:
            self._move(found.end())
        self.done = found.re in {syntax.END, syntax.MARKER}
        self.closed = found.re is syntax.END
        return not self.done

    def _prose(self) -> bool:
        """Drop text before a near end marker; without one, the block ended with its object."""
        near = self._at + PROSE_LIMIT
        found = syntax.END_AHEAD.search(self._text, self._at, near)
        start = syntax.MARKER.search(self._text, self._at, near)
        if found is not None and (start is None or found.start() < start.start()):
            if is_suspicious(self._text[self._at : found.start()], self._tools):
                return self._fail("a part of it is neither a tool's name nor its arguments")
            self.done = found.start() == self._at  # what cannot be read as one ends the block, too
            self._move(found.start())
            return not self.done
        if start is None and not self._ended and len(self._text) < near:
            return False
        if self._goes_on(near if start is None else start.start()):
            return self._fail("a part of it is neither a tool's name nor its arguments")
        self.done = True
        return False

    def _goes_on(self, end: int) -> bool:
        """Return whether another call follows, although no end marker is near."""
        space = _SPACE.match(self._text, self._at, end)
        here = space.end() if space is not None else self._at
        if _ANOTHER_OBJECT.match(self._text, self._at, end):
            return True
        if label := loose_arguments.LABEL.match(self._text, here, end):
            return self._text.startswith(("{", "["), label.end())
        name = _ANOTHER_NAME.match(self._text, self._at, end)
        return name is not None and self._tools.resolve(name["name"], unknown=False) is not None
