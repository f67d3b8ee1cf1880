"""The requests of an account in the last minute and day, and temporary marks, in this process.

`redis_window` has the same for several processes.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Protocol

from ...data_class import data_class
from ...request.caller import Caller
from .fairness import FairOrder
from .ledger import WINDOW, Count, Ledger, Limits, Usage

MINUTE = 60
DAY_MINUTES = 24 * 60 + 1  # the current minute is counted whole


@data_class
class Queue:
    """The calls of one caller in this process: all that wait, and whether one could be sent now."""

    waiting: int = 1
    admissible: bool = True


@data_class
class Decision:
    """The caller whose request was counted, or the seconds until the next attempt makes sense.

    `for_all`: no caller can send sooner. `daily`: the limit of 24 hours is the reason. `ledger` has
    the requests that are counted after the decision, None where they were not read. `entry` names
    the counted request in a shared window, and `time` is when this process has counted it.
    """

    caller: Caller | None
    delay: float = 0.0
    for_all: bool = False
    daily: bool = False
    ledger: Ledger | None = field(default=None, repr=False, compare=False)
    entry: str | None = field(default=None, repr=False, compare=False)
    time: float = field(default=0.0, repr=False, compare=False)


class RequestWindow(Protocol):
    """A moving window of requests, and marks that expire; `is_local`: without network calls."""

    is_local: bool

    def acquire(self, queues: Mapping[Caller, Queue], limits: Limits) -> Decision:
        """Count a request of the caller whose turn it is, within all limits.

        `queues` are the calls that wait in this process; they are compared with those of others.
        """

    def cancel(self, decision: Decision) -> None:
        """Take back the request that a decision has counted: it is not sent."""

    def postpone(self, decision: Decision) -> None:
        """Count the request of a decision as one of now: it is sent only now."""

    def report(self, queues: Mapping[Caller, Queue]) -> None:
        """Report the calls that wait in this process, without counting a request."""

    def usage(self) -> Usage:
        """Return the counted requests."""

    def get_mark(self, mark: str) -> tuple[int, float]:
        """Return a mark's value and the seconds until it expires; both are 0 for an unset mark."""

    def set_mark(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """Set a mark for some seconds (with `only_new`: unless set); return whether it was set."""

    def reset_after_fork(self) -> None:
        """Replace locks in a child process: a thread of the parent may hold them."""


class LocalRequestWindow:
    """The RequestWindow of one process; thread-safe.

    >>> window = LocalRequestWindow(clock=lambda: 0.0)
    >>> ana, limits = {Caller("ana"): Queue()}, Limits(per_minute=1)
    >>> window.acquire(ana, limits).caller
    Caller(name='ana', weight=1, share=1.0)
    >>> window.acquire(ana, limits)
    Decision(caller=None, delay=61.0, for_all=True, daily=False)
    """

    is_local = True

    def __init__(self, clock: Callable[[], float], window: float = WINDOW) -> None:
        self._clock = clock
        self._window = window
        self._requests: deque[tuple[float, str]] = deque()
        self._by_caller: Counter[str] = Counter()
        self._callers: dict[str, Caller] = {}  # by their names, as they were last
        self._by_minute: deque[list[int]] = deque()  # [minute, requests]
        self._today = 0
        self._order = FairOrder()
        self._queues: Mapping[Caller, Queue] = {}
        self._marks: dict[str, tuple[int, float]] = {}
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """See RequestWindow; counted requests stay."""
        self._lock = threading.Lock()

    def acquire(self, queues: Mapping[Caller, Queue], limits: Limits) -> Decision:
        """See RequestWindow."""
        with self._lock:
            now = self._expire()
            self._queues = queues
            decision = self._decide(queues, limits, now)
            return replace(decision, ledger=self._ledger(queues, limits, now))

    def _decide(self, queues: Mapping[Caller, Queue], limits: Limits, now: float) -> Decision:
        if limits.per_day and self._today >= limits.per_day:
            return Decision(None, self._day_delay(now), for_all=True, daily=True)
        if limits.per_minute and len(self._requests) >= limits.per_minute:
            delay = self._requests[-limits.per_minute][0] + self._window - now
            return Decision(None, delay, for_all=True)
        delays = []
        for caller in self._order.sorted(caller for caller, queue in queues.items() if queue.admissible):
            if limits.per_minute and self._by_caller.get(caller.name, 0) >= caller.limit(limits.per_minute):
                delays.append(self._share_count(caller, limits.per_minute, now).reset)
                continue
            self._record(caller, now)
            return Decision(caller, time=now)
        return Decision(None, min(delays, default=self._window))

    def _ledger(self, callers: Iterable[Caller], limits: Limits, now: float) -> Ledger:
        used, minute, day = len(self._requests), Count(), Count()
        if limits.per_minute and used:
            minute = Count(used, self._requests[max(0, used - limits.per_minute)][0] + self._window - now)
        if limits.per_day and self._today:
            day = Count(self._today, self._day_delay(now))
        limited = [caller for caller in callers if caller.share < 1 and limits.per_minute]
        return Ledger(
            minute, day, {caller.name: self._share_count(caller, limits.per_minute, now) for caller in limited}
        )

    def record(self, caller: Caller) -> float:
        """Count a request that another window has admitted, and return its time."""
        with self._lock:
            now = self._expire()
            self._record(caller, now)
            return now

    def cancel(self, decision: Decision) -> None:
        """See RequestWindow."""
        with self._lock:
            self._expire()
            if decision.caller is None or not self._remove(decision.time, decision.caller.name):
                return
            self._forget(decision.caller.name)
            for count in self._by_minute:
                if count[0] == decision.time // MINUTE:
                    count[1] -= 1
                    self._today -= 1

    def postpone(self, decision: Decision) -> None:
        """See RequestWindow; in the count of the day it stays where it is."""
        with self._lock:
            now = self._expire()
            if decision.caller is not None and self._remove(decision.time, decision.caller.name):
                self._requests.append((now, decision.caller.name))

    def _remove(self, time: float, name: str) -> bool:
        """Remove a request, unless it is no longer counted."""
        try:
            self._requests.remove((time, name))
        except ValueError:
            return False
        return True

    def report(self, queues: Mapping[Caller, Queue]) -> None:
        """See RequestWindow."""
        self._queues = queues

    def usage(self) -> Usage:
        """See RequestWindow."""
        with self._lock:
            self._expire()
            by_caller = {self._callers[name]: used for name, used in self._by_caller.items()}
            waiting = {caller: queue.waiting for caller, queue in self._queues.items()}
            return Usage(len(self._requests), self._today, by_caller, waiting)

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

    def marks(self) -> dict[str, tuple[int, float]]:
        """Return the marks that are set, as `get_mark` does each."""
        with self._lock:
            found = {mark: self._get_mark(mark) for mark in self._marks}
            return {mark: (value, left) for mark, (value, left) in found.items() if left}

    def _expire(self) -> float:
        """Remove the requests that are no longer counted, and return the time."""
        now = self._clock()
        while self._requests and self._requests[0][0] <= now - self._window:
            _, name = self._requests.popleft()
            self._forget(name)
        while self._by_minute and self._by_minute[0][0] <= now // MINUTE - DAY_MINUTES:
            self._today -= self._by_minute.popleft()[1]
        return now

    def _forget(self, name: str) -> None:
        self._by_caller[name] -= 1
        if not self._by_caller[name]:
            del self._by_caller[name], self._callers[name]

    def _record(self, caller: Caller, now: float) -> None:
        self._requests.append((now, caller.name))
        self._by_caller[caller.name] += 1
        self._callers[caller.name] = caller
        if not self._by_minute or self._by_minute[-1][0] != now // MINUTE:
            self._by_minute.append([int(now // MINUTE), 0])
        self._by_minute[-1][1] += 1
        self._today += 1
        self._order.record(caller)

    def _day_delay(self, now: float) -> float:
        return (self._by_minute[0][0] + DAY_MINUTES) * MINUTE - now

    def _share_count(self, caller: Caller, per_minute: int, now: float) -> Count:
        """Return the caller's requests of the minute, with `reset` where it has a share."""
        used = self._by_caller.get(caller.name, 0)
        if not used or caller.share >= 1:
            return Count(used)
        times = (time for time, name in self._requests if name == caller.name)
        over = max(0, used - caller.limit(per_minute))
        return Count(used, max(math.ulp(now), next(itertools.islice(times, over, None)) + self._window - now))

    def _get_mark(self, mark: str) -> tuple[int, float]:
        value, expires = self._marks.get(mark, (0, 0.0))
        left = expires - self._clock()
        return (value, left) if left > 0 else (0, 0.0)
