"""Reads what is left of a block that is meant as a call and cannot be read, so that it is mended, or shown, as a whole."""

from __future__ import annotations

import regex

from . import syntax

# A block without even a name and arguments may be prose after all: it is not waited for longer than this.
DOUBTFUL = 1200

_SPACE = regex.compile(r"[\s\ufeff]*+")
_END_LINE = regex.compile(rf"^[ \t]*+{syntax.END_AHEAD.pattern}", regex.IGNORECASE | regex.MULTILINE)
_FENCE_END = regex.compile(r"```")


class UnreadableBlock:
    """Reads up to behind the end marker, or up to the next start marker, or to the end of the reply.

    `said` is the block so far. When it is `over`, it is `unreadable`, or just `text`. One whose head was read is `sure` to
    be meant as a call; another one only if a
    line of its own ends it.
    """

    def __init__(self, said: str, *, sure: bool) -> None:
        self.over = False
        self.unreadable = sure
        self._sure = sure
        self._read = [said]
        self._room = DOUBTFUL

    @property
    def text(self) -> str:
        """What was read."""
        return "".join(self._read)

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`, to the end of the reply if it has `ended`; returns up to where."""
        limit = len(text) + 1 if self._sure else at + self._room
        found = syntax.END_OR_MARKER.search(text, at, limit, partial=True)
        if found is not None and found.partial and (ended or len(text) >= limit):
            found = None
        end = min(len(text), limit) if found is None else found.start()
        if found is not None and not found.partial:
            self.over = True
            if found["end"] is not None:
                end = found.end()
        self._read.append(text[at:end])
        self._room -= end - at
        self.over |= ended or not (self._sure or self._room)
        self.unreadable |= self.over and _END_LINE.search(self.text) is not None
        return end


class UnreadableCodeFence:
    """Reads on in a code fence that holds such a block: it is `unreadable` only if no prose follows the fence."""

    def __init__(self, said: str) -> None:
        self.over = False
        self.unreadable = False
        self._closed = False
        self._read = [said]

    @property
    def text(self) -> str:
        """What was read."""
        return "".join(self._read)

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read on from `at`, to the end of the reply if it has `ended`; returns up to where."""
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
        self._read.append(text[start:at])
        self.over = ended or (self._closed and at < len(text))
        self.unreadable = self.over and at == len(text)
        return at
