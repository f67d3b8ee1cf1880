"""Ends an answer where the caller wants it to end: at a stop sequence, or at a number of tokens.

An agent knows neither. Both are applied to the text as it comes, and the result does not depend on how it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence

# No agent tells its tokens before the end. A token of prose has some four to five characters, one of code three to four:
# the larger figure cuts no answer that a model's own count would have let pass.
CHARACTERS_A_TOKEN = 5


class StopSequences:
    """Finds the stop sequence that is completed first; of several completed at once, the one that began first."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.hit = False
        self._stops = tuple(stops)
        self._longest = max(map(len, stops), default=1)
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can go out: up to the stop sequence, and nothing that could be the beginning of one."""
        if self.hit or not self._stops:
            return "" if self.hit else text
        text = self._held + text
        ends = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.hit = True
            self._held = ""
            return text[: min(ends)[1]]
        kept = next((n for n in range(min(self._longest - 1, len(text)), 0, -1) if self._begins(text[-n:])), 0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def flush(self) -> str:
        """Return what was held back, once something else than text follows, or nothing."""
        held, self._held = self._held, ""
        return held

    def _begins(self, tail: str) -> bool:
        return any(stop.startswith(tail) for stop in self._stops)


class TokenLimit:
    """Counts the characters of an answer against a number of tokens."""

    def __init__(self, max_tokens: int | None) -> None:
        self.hit = False
        self._left = None if max_tokens is None else max_tokens * CHARACTERS_A_TOKEN

    def feed(self, text: str) -> str:
        """Return what of the text is within the limit."""
        if self._left is None:
            return text
        self.hit = self.hit or len(text) > self._left
        text = text[: self._left]
        self._left -= len(text)
        return text
