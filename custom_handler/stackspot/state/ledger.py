"""What the limits of an account leave to its callers, by the requests that are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field, replace
from enum import IntEnum

from ...data_class import data_class
from ...request.caller import Allowance, Caller

# Seconds. The agent counts a minute by arrival, and not all requests take equally long to arrive.
WINDOW = 61


class Wait(IntEnum):
    """What a request would wait for, the shortest wait first."""

    NOTHING = 0
    SLOT = 1
    LIMIT = 2


@data_class
class Limits:
    """The most requests of an account a minute and in 24 hours; 0 is no limit."""

    per_minute: int = 0
    per_day: int = 0


@data_class
class Count:
    """Counted requests, and the seconds until one more can be sent (until fewer are counted)."""

    used: int = 0
    reset: float = 0.0


@data_class
class Ledger:
    """The counted requests of the last minute and of the last 24 hours.

    `shares` has those of the last minute by name, of callers with a share below 1. `day` is empty
    where there is no limit of 24 hours.
    """

    minute: Count = Count()
    day: Count = Count()
    shares: Mapping[str, Count] = field(default_factory=dict)

    def allowance(self, caller: Caller, limits: Limits, elapsed: float = 0.0) -> Allowance | None:
        """Return what the limits leave to a caller `elapsed` seconds later; None without limits.

        >>> ledger = Ledger(Count(10, 50.0), shares={"team": Count(9, 52.0)})
        >>> ledger.allowance(Caller("team", share=0.5), Limits(90))
        Allowance(limit=45, remaining=36, reset=52.0)
        >>> ledger.allowance(Caller("other"), Limits(90, 1000), elapsed=20)
        Allowance(limit=90, remaining=80, reset=30.0)
        """
        counts = []
        if limits.per_minute:
            counts.append((limits.per_minute, self.minute))
            if caller.share < 1:
                counts.append((caller.limit(limits.per_minute), self.shares.get(caller.name, Count())))
        if limits.per_day:
            counts.append((limits.per_day, self.day))
        if not counts:
            return None
        left = [(max(0, limit - count.used), max(0.0, count.reset - elapsed)) for limit, count in counts]
        remaining, reset = min(left, key=lambda one: (one[0], -one[1]))
        return Allowance(caller.limit(limits.per_minute) or limits.per_day, remaining, reset)


class LastLedger:
    """The ledger of the last decision in this process, from which allowances cost no request."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.limits = limits
        self._ledger = Ledger()
        self._time = clock()
        self._paused_until = 0.0

    def update(self, ledger: Ledger, limits: Limits) -> None:
        """Keep the ledger of a decision, which also shows that there is no pause."""
        self._ledger, self.limits, self._time, self._paused_until = ledger, limits, self._clock(), 0.0

    def cancel(self, caller: Caller) -> None:
        """Take back a request of a caller's share that the last decision has counted."""
        if (count := self._ledger.shares.get(caller.name)) is not None:
            less = replace(count, used=count.used - 1)
            self._ledger = replace(self._ledger, shares={**self._ledger.shares, caller.name: less})

    def share_delay(self, caller: Caller, position: int, window: float) -> float:
        """Return the fewest seconds until a caller's share has a request for one of its calls.

        `position` is the number of its calls that wait before that one. A share has no more than
        `Caller.limit` requests in each `window` (seconds).
        """
        count = self._ledger.shares.get(caller.name)
        if count is None or not self.limits.per_minute:
            return 0.0
        limit = caller.limit(self.limits.per_minute)
        # A budget that was lowered after a 429 may leave more counted than the limit: `reset` is
        # then the time at which enough of them have left the window.
        excess = min(count.used, limit) + position - limit
        if excess < 0:
            return 0.0
        return max(0.0, count.reset + excess // limit * window - (self._clock() - self._time))

    def pause(self, seconds: float) -> None:
        """Leave no request to any caller for some seconds."""
        self._paused_until = self._clock() + seconds

    def may_send(self, caller: Caller, ahead: int) -> bool:
        """Return whether the limits leave the caller a request after `ahead` others."""
        allowance = self.allowance(caller)
        if allowance is None:
            return self._paused_until <= self._clock()
        return allowance.remaining > ahead or (not ahead and allowance.reset <= 0)

    def allowance(self, caller: Caller) -> Allowance | None:
        """Return the caller's allowance now; None without limits."""
        now = self._clock()
        age = now - self._time
        ledger = self._ledger if age < WINDOW else Ledger(day=self._ledger.day)
        allowance = ledger.allowance(caller, self.limits, age)
        pause = self._paused_until - now
        if allowance is None or pause <= 0:
            return allowance
        reset = pause if allowance.remaining else max(pause, allowance.reset)
        return Allowance(allowance.limit, 0, reset)


@data_class
class Usage:
    """The requests of the last minute, in total and by caller, and of the last 24 hours.

    `waiting` has the calls that wait, by caller.
    """

    used: int = 0
    used_today: int = 0
    by_caller: Mapping[Caller, int] = field(default_factory=dict)
    waiting: Mapping[Caller, int] = field(default_factory=dict)


@data_class
class Quota:
    """The limits of an account, what is used of them, and the seconds of a pause (0: none).

    `quick_commands` is the quota of its Quick Commands, None where no model is one.
    """

    limits: Limits
    usage: Usage
    pause: float = 0.0
    quick_commands: Quota | None = None


def total_quota(quotas: Collection[Quota]) -> Quota:
    """Return what several accounts have together; paused is only what all of them are.

    >>> total_quota([Quota(Limits(90), Usage(5), pause=9.0), Quota(Limits(60), Usage(1))]).limits
    Limits(per_minute=150, per_day=0)
    """
    usages = [quota.usage for quota in quotas]
    commands = [quota.quick_commands for quota in quotas if quota.quick_commands is not None]
    by_caller: Counter[Caller] = Counter()
    waiting: Counter[Caller] = Counter()
    for usage in usages:
        by_caller.update(usage.by_caller)
        waiting.update(usage.waiting)
    return Quota(
        Limits(
            _total_limit(quota.limits.per_minute for quota in quotas),
            _total_limit(quota.limits.per_day for quota in quotas),
        ),
        Usage(sum(usage.used for usage in usages), sum(usage.used_today for usage in usages), by_caller, waiting),
        min(quota.pause for quota in quotas),
        total_quota(commands) if commands else None,
    )


def _total_limit(limits: Iterable[int]) -> int:
    """Return the sum, 0 (no limit) where one of them has none."""
    found = list(limits)
    return sum(found) if all(found) else 0
