"""Parses the rest of an unreadable block, so that it is repaired, or shown, as a whole."""

from __future__ import annotations

import regex

from . import syntax

# A block without a name and arguments may be prose: after so many characters it is.
DOUBTFUL_CHARACTERS = 1200

_SPACE = regex.compile(r"[\s\ufeff]*+")
_END_LINE = regex.compile(rf"^[ \t]*+{syntax.END_AHEAD.pattern}", regex.IGNORECASE | regex.MULTILINE)
_FENCE_END = regex.compile(r"```")


class UnreadableBlock:
    """Reads to the end marker, to the next start marker, or to the end of the reply.

    `start` is the block so far. When it is `done`, it is `unreadable`, or else plain `text`. A
    block whose name was parsed is `certain` to be meant as a call; any other only if an end marker
    is on a line of its own.
    """

    def __init__(self, start: str, *, certain: bool) -> None:
        self.done = False
        self.unreadable = certain
        self._certain = certain
        self._pieces = [start]
        self._left = DOUBTFUL_CHARACTERS

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        limit = len(text) + 1 if self._certain else at + self._left
        found = syntax.END_OR_MARKER.search(text, at, limit, partial=True)
        if found is not None and found.partial and (ended or len(text) >= limit):
            found = None
        end = min(len(text), limit) if found is None else found.start()
        if found is not None and not found.partial:
            self.done = True
            if found["end"] is not None:
                end = found.end()
        self._pieces.append(text[at:end])
        self._left -= end - at
        self.done |= ended or not (self._certain or self._left)
        self.unreadable |= self.done and _END_LINE.search(self.text) is not None
        return end


class UnreadableCodeFence:
    """Reads the rest of a code fence with such a block; `unreadable` only if no text follows it."""

    def __init__(self, start: str) -> None:
        self.done = False
        self.unreadable = False
        self._closed = False
        self._pieces = [start]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        start = at
        if not self._closed:
            found = _FENCE_END.search(text, at, partial=True)
            self._closed = found is not None and not found.partial
            at = (
                len(text)
                if found is None or (found.partial and ended)
                else found.end()
                if self._closed
                else found.start()
            )
        if self._closed and (space := _SPACE.match(text, at)) is not None:
            at = space.end()
        self._pieces.append(text[start:at])
        self.done = ended or (self._closed and at < len(text))
        self.unreadable = self.done and at == len(text)
        return at
