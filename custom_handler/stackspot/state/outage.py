"""What a process may send while the processes that share a quota cannot reach Redis.

Redis tells each process, with every decision, how many requests all have sent and how many
processes ask. Without Redis, a process goes on with its own requests of the last minute and its
part of those that were left, so that the processes together stay within the limit. When Redis is
back, each returns its requests and what it knows of a 429, and shares the quota again once the
others had the time to do so; until then Redis confirms each request, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ...data_class import data_class
from ...request.caller import Caller
from .ledger import Limits


@data_class
class LastShared:
    """What Redis said last: requests of all processes and of this one (`own_`), and when.

    `processes` are those that have asked for a request in the last two minutes, with this one.
    """

    time: float
    minute: int
    own_minute: int
    day: int
    own_day: int
    processes: int


def limits_alone(limits: Limits, last: LastShared | None, now: float, window: float) -> Limits:
    """Return the limits of one process without Redis; the whole ones where it never answered.

    >>> last = LastShared(time=0.0, minute=90, own_minute=30, day=500, own_day=100, processes=2)
    >>> limits_alone(Limits(100, 1000), last, now=5.0, window=61)
    Limits(per_minute=35, per_day=350)
    >>> limits_alone(Limits(100, 1000), last, now=70.0, window=61)
    Limits(per_minute=50, per_day=350)
    """
    if last is None:
        return limits
    per_minute, per_day = limits.per_minute, limits.per_day
    if per_minute and now - last.time < window:
        # The requests of the others are not seen to leave the window, so only its own are replaced.
        per_minute = max(1, last.own_minute + max(0, per_minute - last.minute) // last.processes)
    elif per_minute:
        per_minute = max(1, per_minute // last.processes)
    if per_day:
        per_day = max(1, last.own_day + max(0, per_day - last.day) // last.processes)
    return Limits(per_minute, per_day)


@data_class
class SentRequest:
    """A request of this process: when it was counted, and its entry in the shared window."""

    time: float
    entry: str
    caller: Caller


class Outage:
    """Whether Redis is away, and this process's requests of the last minute.

    Not thread-safe: the queue has one thread.
    """

    def __init__(self, clock: Callable[[], float], window: float) -> None:
        self._clock = clock
        self._window = window
        self._sent: deque[SentRequest] = deque()
        self._last: LastShared | None = None
        self.lasts = False
        self.returned = True  # whether Redis has this process's requests since it is back

    def begin(self) -> bool:
        """Note that Redis does not answer, and return that the quota is not shared."""
        self.lasts, self.returned = True, False
        return False

    def end(self, left: float) -> bool:
        """Note that Redis has this process's requests; return whether all share the quota again.

        `left` are the seconds until the others have returned theirs.
        """
        self.lasts, self.returned = left > 0, True
        return not self.lasts

    def record(self, entry: str, caller: Caller) -> None:
        """Keep a request that was counted now."""
        self._sent.append(SentRequest(self._clock(), entry, caller))

    def forget(self, entry: str) -> None:
        """Remove a request that is not sent."""
        self._sent = deque(request for request in self._sent if request.entry != entry)

    def sent(self) -> list[SentRequest]:
        """Return the requests of the last minute."""
        oldest = self._clock() - self._window
        while self._sent and self._sent[0].time <= oldest:
            self._sent.popleft()
        return list(self._sent)

    def shared(self, minute: int, day: int, own_day: int, processes: int) -> None:
        """Keep what Redis said with a decision."""
        self._last = LastShared(self._clock(), minute, len(self.sent()), day, own_day, max(1, processes))

    def limits(self, limits: Limits) -> Limits:
        """Return the limits of this process; see `limits_alone`."""
        return limits_alone(limits, self._last, self._clock(), self._window)
