"""What the account's calls have spent of its minute, and the marks that a refusal leaves for a while: those of one process.

`redis_window` keeps the same for many processes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

# The agent counts a minute by the arrival of requests, which are not all equally long on their way.
WINDOW = 61


class RequestWindow(Protocol):
    """A moving window of requests, and marks that fade; `instant` tells that no network is asked."""

    instant: bool

    def spend(self, budget: int) -> float:
        """Spend one request of a window that holds `budget`; return 0, or the seconds until there may be another."""

    def standing(self, mark: str) -> tuple[int, float]:
        """Return a mark's value and the seconds that it still stands; both are 0 where there is none."""

    def put(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """Set a mark for some seconds; with `only_new` unless it stands already. Tell whether it was set."""

    def forget(self) -> None:
        """Begin anew in a fork's child: a lock that another thread of the parent held would never open."""


class LocalRequestWindow:
    """The ledger of one process; any thread may use it.

    The `limits` library has such a window too, but by the wall clock, which can jump, and with a thread for each request.
    """

    instant = True

    def __init__(self, clock: Callable[[], float], window: float = WINDOW) -> None:
        self._clock = clock
        self._window = window
        self._spent: deque[float] = deque()
        self._marks: dict[str, tuple[int, float]] = {}
        self.forget()

    def forget(self) -> None:
        """See Ledger; what is spent stays so."""
        self._lock = threading.Lock()

    def spend(self, budget: int) -> float:
        """See Ledger."""
        with self._lock:
            now = self._clock()
            while self._spent and self._spent[0] <= now - self._window:
                self._spent.popleft()
            if len(self._spent) >= budget:
                return self._spent[-budget] + self._window - now
            self._spent.append(now)
            return 0.0

    def standing(self, mark: str) -> tuple[int, float]:
        """See Ledger."""
        with self._lock:
            return self._standing(mark)

    def put(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See Ledger."""
        with self._lock:
            if only_new and self._standing(mark)[1]:
                return False
            self._marks[mark] = value, self._clock() + seconds
            return True

    def _standing(self, mark: str) -> tuple[int, float]:
        value, until = self._marks.get(mark, (0, 0.0))
        left = until - self._clock()
        return (value, left) if left > 0 else (0, 0.0)
