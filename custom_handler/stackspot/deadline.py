"""The time that a turn may take: to its end, to the agent's first text, and between two signs of life."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import AgentTimeout

FIRST_TEXT_TIMEOUT = 120.0
SILENCE_TIMEOUT = 60.0


class Deadline:
    """Counts from its making; what the agent has for its first text counts from `begin`, so a queue costs it nothing."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timeout = timeout
        self._started = self._begun = clock()

    def elapsed(self) -> float:
        """Return the seconds since the turn began."""
        return self._clock() - self._started

    def begin(self) -> None:
        """Start the time to the first text: the agent is asked now."""
        self._begun = self._clock()

    def left(self, *, spoken: bool = False) -> float:
        """Return the seconds left, to the end of the answer if the agent has spoken, else to its first text."""
        to_end = self._timeout - self.elapsed()
        return to_end if spoken else min(to_end, FIRST_TEXT_TIMEOUT - (self._clock() - self._begun))

    def patience(self, *, spoken: bool) -> float:
        """Return the seconds for which the agent may be silent now; never quite zero, which would mean no limit."""
        left = self.left(spoken=spoken)
        return max(0.001, min(left, SILENCE_TIMEOUT) if spoken else left)

    def check(self, *, spoken: bool) -> None:
        """Raise AgentTimeout where the time is over; empty frames are signs of life, but no answer."""
        if self.left(spoken=spoken) < 0:
            what, limit = "did not finish", self._timeout
            if not spoken:
                what, limit = "said nothing", min(self._timeout, FIRST_TEXT_TIMEOUT)
            raise AgentTimeout(
                f"The agent {what} within {limit:g} s: ask for less at once, or raise STACKSPOT_TIMEOUT."
            )
