"""Timeouts of a turn: in total, until the agent's first text, and between two reads."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import AgentTimeout

FIRST_TEXT_TIMEOUT = 120.0
SILENCE_TIMEOUT = 60.0


class Deadline:
    """The time limits of one turn, in seconds by `clock`.

    `timeout` counts from the construction; FIRST_TEXT_TIMEOUT counts from `mark_sent`, so that time
    in the queue does not reduce it.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timeout = timeout
        self._started = self._sent = clock()
        self._limited: float | None = None

    @property
    def timeout(self) -> float:
        """The seconds from the start of the turn to the end of the answer."""
        return self._timeout

    def elapsed(self) -> float:
        """Return the seconds since the start of the turn."""
        return self._clock() - self._started

    def mark_sent(self) -> None:
        """Restart FIRST_TEXT_TIMEOUT: the request is being sent now."""
        self._sent = self._clock()

    def mark_rate_limited(self) -> None:
        """Count the waits in the queue from now on as one: the agent responded with a 429."""
        if self._limited is None:
            self._limited = self._clock()

    def queue_timeout(self, limit: float, *, text_received: bool) -> float:
        """Return how long the call may wait in the queue: `limit`, since its first 429 if any."""
        waited = 0.0 if self._limited is None else self._clock() - self._limited
        return max(0.0, min(limit - waited, self.left(text_received=text_received)))

    def left(self, *, text_received: bool = False) -> float:
        """Return the seconds left: to the end of the answer after the first text, else to that."""
        now = self._clock()
        to_end = self._timeout - (now - self._started)
        return to_end if text_received else min(to_end, FIRST_TEXT_TIMEOUT - (now - self._sent))

    def silence_timeout(self, *, text_received: bool) -> float:
        """Return how many seconds the next read may take; never 0, which would mean no limit."""
        return _read_timeout(self.left(text_received=text_received), text_received)

    def check(self, *, text_received: bool) -> float:
        """Return how many seconds the next read may take; raises AgentTimeout where none are left.

        Empty frames satisfy the timeout of a read; this limits an agent that sends only these.
        """
        left = self.left(text_received=text_received)
        if left < 0:
            what, limit = "did not finish", self._timeout
            if not text_received:
                what, limit = "sent no text", min(self._timeout, FIRST_TEXT_TIMEOUT)
            raise AgentTimeout(
                f"The agent {what} within {limit:g} s: ask for less at once, or raise STACKSPOT_TIMEOUT."
            )
        return _read_timeout(left, text_received)


def _read_timeout(left: float, text_received: bool) -> float:
    return max(0.001, min(left, SILENCE_TIMEOUT) if text_received else left)
