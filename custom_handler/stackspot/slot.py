"""The slot of one call, and what its caller may send after it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from ..request.caller import ANYONE, Allowance, Caller
from .limiter import Limiter
from .waiter import Waiter


class Slot:
    """The slot of one agent call, acquired with its first request."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._waiter: Waiter | None = None
        self._caller = ANYONE

    @property
    def allowance(self) -> Allowance | None:
        """What the caller may still send, by this call's last request; None without limits."""
        counted = None if self._waiter is None else self._waiter.allowance
        return counted or self._limiter.allowance(self._caller)

    def request(self, timeout: float, caller: Caller = ANYONE) -> Future[None]:
        """Return a future that is done once the next request may be sent.

        Raises QueueFull, which the future may raise too.
        """
        self._caller = caller
        if self._waiter is None:
            self._waiter = self._limiter.acquire(timeout, caller)
        else:
            self._limiter.reacquire(self._waiter, timeout)
        return self._waiter.admitted

    def note_sent(self) -> None:
        """Report that the request of the last `request` is sent now."""
        if self._waiter is not None:
            self._limiter.note_sent(self._waiter)

    def throttle(self, seconds: float | None) -> None:
        """Report that the agent responded with a 429 to this call."""
        if self._waiter is not None:
            self._waiter.allowance = None  # the agent counts otherwise
        self._limiter.throttle(seconds)

    def release(self) -> None:
        """Free the slot."""
        if self._waiter is not None:
            self._limiter.release(self._waiter)


class Slots:
    """The slots of one call, one for each quota of the account that it uses."""

    def __init__(self, limiters: Mapping[str, Limiter]) -> None:
        self._limiters = limiters
        self._slots: dict[str, Slot] = {}

    def __getitem__(self, quota: str) -> Slot:
        """Return the call's slot of a quota."""
        if quota not in self._slots:
            self._slots[quota] = Slot(self._limiters[quota])
        return self._slots[quota]

    def release(self) -> None:
        """Free all slots."""
        for slot in self._slots.values():
            slot.release()
