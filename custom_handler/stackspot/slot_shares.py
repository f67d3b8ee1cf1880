"""Divides the slots of a process between API keys, so that no key can hold all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..request.caller import ANYONE, MASTER, Caller

REMEMBERED_SECONDS = 600.0  # the longest that an answer takes by default
RESERVED_PART = 8
_ALONE = frozenset({ANYONE, MASTER})


class SlotShares:
    """The slots that each caller holds, and whether it may take another; `clock` counts seconds.

    A caller holds at most its `share`. An eighth of the slots, at least one, is kept for callers
    that hold less than their weight's part. The master key, or a program without keys, may use all
    slots if no other key has called within ten minutes.

    >>> shares = SlotShares(8, clock=lambda: 0.0)
    >>> ana, bia = Caller("ana"), Caller("bia")
    >>> for _ in range(7):
    ...     shares.take(ana)
    >>> shares.may_take(ana), shares.may_take(bia)
    (False, True)
    """

    def __init__(self, slots: int, clock: Callable[[], float]) -> None:
        self._slots = slots
        self._clock = clock
        self._held: Counter[Caller] = Counter()
        self._called: dict[Caller, float] = {}

    @property
    def held(self) -> int:
        """The slots that are in use."""
        return self._held.total()

    def note(self, caller: Caller) -> None:
        """Remember that a caller has called now."""
        self._called.pop(caller, None)
        self._called[caller] = self._clock()

    def may_take(self, caller: Caller, reserved: int = 0) -> bool:
        """Return whether the caller may take another slot, after some that are `reserved`."""
        free, held = self._slots - self.held - reserved, self._held[caller]
        if free <= 0 or held >= caller.limit(self._slots):
            return False
        if free > max(1, self._slots // RESERVED_PART):
            return True
        others = self._current() - {caller}
        if not others and caller not in _ALONE:
            others = {MASTER}  # which may call at any time
        weights = caller.weight + sum(one.weight for one in others)
        return held * weights < self._slots * caller.weight

    def take(self, caller: Caller) -> None:
        """Count a slot that the caller takes."""
        self._held[caller] += 1

    def release(self, caller: Caller) -> None:
        """Count a slot that the caller gives back."""
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]

    def _current(self) -> set[Caller]:
        """Return the callers that hold slots or have called recently; forget the other ones."""
        oldest = self._clock() - REMEMBERED_SECONDS
        while self._called and next(iter(self._called.values())) <= oldest:
            del self._called[next(iter(self._called))]
        return {*self._held, *self._called}
