"""Truncates an answer at a stop sequence or at a number of tokens, which agents do not support.

The result does not depend on how the text is cut into pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

# An agent reports its token count at the end only. A token of prose has four to five characters,
# one of code three to four: with five, no answer is truncated that the model's count would allow.
CHARACTERS_PER_TOKEN = 5


class StopSequences:
    """Ends a text at the stop sequence that is complete first, or else starts first: `found`.

    >>> stop = StopSequences(["END"])
    >>> stop.feed("one E"), stop.feed("N"), stop.feed("D two"), stop.hit
    ('one ', '', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.hit = False
        self.found: str | None = None
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=1)
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text before a stop sequence, without a suffix that may start one."""
        if self.hit or not self._stops:
            return "" if self.hit else text
        text = self._held + text
        ends = [(start + len(stop), start, stop) for stop in self._stops if (start := text.find(stop)) >= 0]
        if ends:
            _, start, self.found = min(ends)
            self.hit = True
            self._held = ""
            return text[:start]
        held = next((n for n in range(min(self._longest - 1, len(text)), 0, -1) if self._is_prefix(text[-n:])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """Return the suffix that was held back: no further text follows it."""
        held, self._held = self._held, ""
        return held

    def _is_prefix(self, suffix: str) -> bool:
        return any(stop.startswith(suffix) for stop in self._stops)


class LengthLimit:
    """Ends a text at an estimated number of tokens, or at `max_chars` before; None: unlimited."""

    def __init__(self, max_tokens: int | None, max_chars: int | None = None) -> None:
        self.hit = False
        of_tokens = None if max_tokens is None else max_tokens * CHARACTERS_PER_TOKEN
        self._left = min((limit for limit in (of_tokens, max_chars) if limit is not None), default=None)

    def feed(self, text: str) -> str:
        """Return the part of the text that is within the limit."""
        if self._left is None:
            return text
        self.hit = self.hit or len(text) > self._left
        text = text[: self._left]
        self._left -= len(text)
        return text
