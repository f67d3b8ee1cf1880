"""The requests of an account in the last minute, and temporary marks, in this process.

`redis_window` has the same for several processes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

# The agent counts a minute by arrival, and requests do not all take equally long to arrive.
WINDOW = 61


class RequestWindow(Protocol):
    """A moving window of requests, and marks that expire; `is_local`: without network calls."""

    is_local: bool

    def acquire(self, budget: int) -> float:
        """Count a request and return 0, or with `budget` used up the seconds to the next."""

    def get_mark(self, mark: str) -> tuple[int, float]:
        """Return a mark's value and the seconds until it expires; both are 0 for an unset mark."""

    def set_mark(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """Set a mark for some seconds (with `only_new`: unless set); return whether it was set."""

    def reset_after_fork(self) -> None:
        """Replace locks in a child process: a thread of the parent may hold them."""


class LocalRequestWindow:
    """The RequestWindow of one process; thread-safe.

    Not the one of `limits`, which uses the wall clock, which can jump, and a thread a request.

    >>> window = LocalRequestWindow(clock=lambda: 0.0)
    >>> window.acquire(budget=1), window.acquire(budget=1)
    (0.0, 61.0)
    """

    is_local = True

    def __init__(self, clock: Callable[[], float], window: float = WINDOW) -> None:
        self._clock = clock
        self._window = window
        self._requests: deque[float] = deque()
        self._marks: dict[str, tuple[int, float]] = {}
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """See RequestWindow; counted requests stay."""
        self._lock = threading.Lock()

    def acquire(self, budget: int) -> float:
        """See RequestWindow."""
        with self._lock:
            now = self._clock()
            while self._requests and self._requests[0] <= now - self._window:
                self._requests.popleft()
            if len(self._requests) >= budget:
                return self._requests[-budget] + self._window - now
            self._requests.append(now)
            return 0.0

    def get_mark(self, mark: str) -> tuple[int, float]:
        """See RequestWindow."""
        with self._lock:
            return self._get_mark(mark)

    def set_mark(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See RequestWindow."""
        with self._lock:
            if only_new and self._get_mark(mark)[1]:
                return False
            self._marks[mark] = value, self._clock() + seconds
            return True

    def _get_mark(self, mark: str) -> tuple[int, float]:
        value, expires = self._marks.get(mark, (0, 0.0))
        left = expires - self._clock()
        return (value, left) if left > 0 else (0, 0.0)
