"""The queue before the agent: how many calls run at once, how many a minute, and the pause after a refusal.

enter ──▶ waits ──▶ admitted ──▶ leave            a place is held from the admission until `leave`
  │         ├ again: another request of the same call keeps its place, and goes first
  │         └ QueueFull: its patience is over, or certainly will be before there is a place
  └ QueueFull: too many wait

Callers are tasks of any event loop, and threads: each waits for a `concurrent.futures.Future`. Where a call cannot be admitted
at once, a thread that lives while somebody waits admits one after the other, so that nobody is bound to another's loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from ..errors import QueueFull
from ..instrumentation import Hook, QueueChanged, Queued, no_hook
from ..settings import LimitSettings
from .state.window import RequestWindow

MINUTE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 10, 60
IDLE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Waiter:
    """One call's place: in the queue, or among those that run."""

    def __init__(self, since: float, patience: float) -> None:
        self.running = False
        self.wait(since, patience)

    def wait(self, since: float, patience: float) -> None:
        """Begin to wait, for the first or another time."""
        self.since = since
        self.deadline = since + patience
        self.admitted: Future[None] = Future()
        self.admitted.set_running_or_notify_cancel()  # who leaves says so by `leave`


class Limiter:
    """Admits the calls of one account; `clock` counts seconds."""

    def __init__(
        self,
        limits: LimitSettings,
        ledger: RequestWindow,
        tell: Hook = no_hook,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._tell = tell
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a fork's child must."""
        self._ledger.forget()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting: list[Waiter] = []
        self._running = 0
        self._refusals: list[float | None] = []

    def enter(self, patience: float) -> Waiter:
        """Take a place in the queue for that many seconds; raises QueueFull where there is none."""
        ticket = Waiter(self._clock(), patience)
        with self._lock:
            if not self._waiting and self._ledger.instant and self._free(ticket) and not self._delay():
                self._admit(ticket)
                return ticket
            if len(self._waiting) >= self._room():
                self._tell(Queued(0.0, admitted=False))
                wait = self._drained_in()
                raise QueueFull(
                    f"{len(self._waiting)} calls wait for the StackSpot account already: try again in {wait:.0f} s.",
                    retry_after=wait,
                )
            self._waiting.append(ticket)
            self._changed()
            self._begin()
        return ticket

    def again(self, ticket: Waiter, patience: float) -> None:
        """Wait for another request of a call that runs; it keeps its place, and is the next one."""
        with self._lock:
            ticket.wait(self._clock(), patience)
            self._waiting.insert(0, ticket)
            self._changed()
            self._begin()

    def leave(self, ticket: Waiter) -> None:
        """Free a place, wherever it is; once more does nothing."""
        with self._lock:
            if ticket in self._waiting:
                self._dequeue(ticket, admitted=False)
            if ticket.running:
                ticket.running = False
                self._running -= 1
            self._changed()
            self._wake.set()

    def throttle(self, seconds: float | None) -> None:
        """Pause after a 429, for as long as it says, or as long as it is wise; and ask for less for a while."""
        with self._lock:
            if self._ledger.instant:
                self._note_refusal(seconds)
            else:
                self._refusals.append(seconds)
                self._begin()

    def _room(self) -> int:
        """Tell how many may stand in the queue; where the ledger takes time, those stand there too who soon have a place."""
        free = 0 if self._ledger.instant else max(0, self._limits.max_concurrency - self._running)
        return self._limits.max_waiting + free

    def _free(self, ticket: Waiter) -> bool:
        return ticket.running or self._running < self._limits.max_concurrency

    def _admit(self, ticket: Waiter) -> None:
        if not ticket.running:
            ticket.running = True
            self._running += 1
        if ticket in self._waiting:
            self._dequeue(ticket, admitted=True)
        else:
            self._tell(Queued(0.0, admitted=True))
        self._changed()
        ticket.admitted.set_result(None)

    def _dequeue(self, ticket: Waiter, *, admitted: bool) -> None:
        self._waiting.remove(ticket)
        self._tell(Queued(self._clock() - ticket.since, admitted=admitted))

    def _changed(self) -> None:
        self._tell(QueueChanged(len(self._waiting), self._running))

    def _drained_in(self) -> float:
        """Guess when the queue will have room."""
        rate = self._limits.requests_per_minute
        return min(max(1.0, len(self._waiting) / rate * MINUTE), MINUTE) if rate else 1.0

    def _delay(self) -> float:
        """Spend a request of the minute; return 0, or the seconds until there may be one."""
        _, pause = self._ledger.standing("pause")
        if pause or not self._limits.requests_per_minute:
            return pause
        return self._ledger.spend(self._budget())

    def _budget(self) -> int:
        """Return the requests a minute: after a refusal fewer, and one more with every minute that has passed since."""
        _, seconds = self._ledger.standing("deficit")
        return max(1, self._limits.requests_per_minute - int(-(-seconds // MINUTE)))

    def _note_refusal(self, asked: float | None) -> None:
        """Note in the ledger what a refusal asks for; of those that come together only the first one counts."""
        last, _ = self._ledger.standing("episode")
        default = min(max(FIRST_PAUSE, 2 * last), LONGEST_PAUSE)
        seconds = default if asked is None else asked
        if self._ledger.put("pause", 1, seconds, only_new=True):
            budget = self._budget()
            if not last and budget > 1:
                deficit = self._limits.requests_per_minute - budget // 2
                self._ledger.put("deficit", 1, deficit * MINUTE)
            self._ledger.put("episode", default, seconds + MINUTE)

    def _begin(self) -> None:
        self._wake.set()
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="stackspot-queue", daemon=True)
            thread.start()
            self._thread = thread

    def _serve(self) -> None:
        while True:
            self._wake.clear()
            delay = self._step_safely()
            woken = self._wake.wait(IDLE_SECONDS if delay is None else delay)
            with self._lock:
                if delay is None and not woken and not self._waiting and not self._refusals:
                    self._thread = None
                    return

    def _step_safely(self) -> float | None:
        try:
            return self._step()
        except Exception:
            logger.exception("The queue failed in a way it should not")
            return 1.0

    def _step(self) -> float | None:
        """Admit one call; return how long there is nothing to do, None where nobody waits.

        The ledger may be slow, and is asked without the lock.
        """
        with self._lock:
            refusals, self._refusals = self._refusals, []
            self._turn_away(self._clock())
            idle = None if not self._waiting else self._until_next(IDLE_SECONDS)
            somebody = any(map(self._free, self._waiting))
        for asked in refusals:
            self._note_refusal(asked)
        if not somebody:
            return idle
        delay = self._delay()
        with self._lock:
            if delay:
                self._turn_away(self._clock() + delay)
                return self._until_next(delay)
            if (ticket := next(filter(self._free, self._waiting), None)) is not None:
                self._admit(ticket)
        return 0.0

    def _turn_away(self, earliest: float) -> None:
        """Reject those whose patience ends before the earliest moment at which they could be admitted."""
        now = self._clock()
        for ticket in [ticket for ticket in self._waiting if ticket.deadline <= earliest]:
            self._dequeue(ticket, admitted=False)
            self._changed()
            wait = max(1.0, earliest - now)
            ticket.admitted.set_exception(
                QueueFull(
                    f"The gateway keeps to the StackSpot account's limits, and no place came free in time: "
                    f"try again in {wait:.0f} s.",
                    retry_after=wait,
                )
            )

    def _until_next(self, delay: float) -> float:
        now = self._clock()
        return max(0.0, min([delay, *(ticket.deadline - now for ticket in self._waiting)]))


class Slot:
    """One exchange's place, taken when it is first asked for."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._ticket: Waiter | None = None

    def request(self, patience: float) -> Future[None]:
        """Promise that the next request may be sent; raises QueueFull, as the promise may."""
        if self._ticket is None:
            self._ticket = self._limiter.enter(patience)
        else:
            self._limiter.again(self._ticket, patience)
        return self._ticket.admitted

    def throttle(self, seconds: float | None) -> None:
        """Tell that the agent refused this call for too many requests."""
        self._limiter.throttle(seconds)

    def leave(self) -> None:
        """Free the place."""
        if self._ticket is not None:
            self._limiter.leave(self._ticket)
