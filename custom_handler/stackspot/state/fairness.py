"""The order in which API keys share an account: weighted fair queueing."""

from __future__ import annotations

from collections.abc import Iterable

from ...request.caller import Caller


class FairOrder:
    """Start-time fair queueing: the caller whose next request starts first in virtual time is next.

    A request takes 1/weight of virtual time. A caller that comes back starts at the present, so it
    neither saves up requests nor waits for those that others have queued before.

    >>> order = FairOrder()
    >>> a, b = Caller("a"), Caller("b", weight=2)
    >>> sent = ""
    >>> for _ in range(9):
    ...     first = order.sorted([a, b])[0]
    ...     order.record(first)
    ...     sent += first.name
    >>> sent
    'abbabbabb'
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: dict[str, float] = {}  # of each caller's last request, where after the present

    def sorted(self, callers: Iterable[Caller]) -> list[Caller]:
        """Return the callers, the next one first."""
        return sorted(callers, key=lambda caller: (self._start(caller), caller.name))

    def record(self, caller: Caller) -> None:
        """Count a request of a caller."""
        self._now = self._start(caller)
        self._ends[caller.name] = self._now + 1 / caller.weight
        self._ends = {name: end for name, end in self._ends.items() if end > self._now}

    def _start(self, caller: Caller) -> float:
        return max(self._now, self._ends.get(caller.name, 0.0))
