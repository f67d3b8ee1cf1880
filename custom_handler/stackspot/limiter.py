"""The queue before the agent: concurrent calls, requests a minute and a day, pauses after a 429.

acquire ──▶ waits ──▶ admitted ──▶ release        a slot is held from admission until `release`
  │           ├ reacquire: another request of the same call keeps its slot, first of its key
  │           └ QueueFull: the timeout passed, or will pass before a slot can be free
  └ QueueFull: too many calls wait

The slots and requests are divided between the API keys that wait (`state/fairness`); the calls of
one key keep their order. When the queue is full, a key with fewer calls in it takes the place of
the last call of the key with the most.

Callers are tasks of any event loop, and threads: each waits for a `concurrent.futures.Future`. A
thread, which runs only while calls wait, admits what cannot be admitted at once, so no caller
depends on the event loop of another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from ..errors import QueueFull
from ..instrumentation import Hook, QueueChanged, Queued, RequestCounted, no_hook
from ..request.caller import ANYONE, Allowance, Caller
from ..settings import LimitSettings
from .reservation import Reservation
from .slot_shares import SlotShares
from .state.ledger import WINDOW, LastLedger, Limits, Quota, Wait
from .state.window import Decision, RequestWindow
from .waiter import Waiter, queues_of

MINUTE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 10, 60
IDLE_SECONDS = 5.0
REPORT_SECONDS = 1.0  # how often a shared window learns that calls wait
LATE = 0.25  # seconds from a request's count until it is sent, beyond which it is counted anew

_SHARE_USED = "The API key has used its share of the StackSpot account's requests a minute"

logger = logging.getLogger(__name__)


class Limiter:
    """Admit the calls of one account; `clock` counts seconds.

    >>> from .state.window import LocalRequestWindow
    >>> limiter = Limiter(LimitSettings(max_concurrency=1), LocalRequestWindow(time.monotonic))
    >>> first, second = limiter.acquire(timeout=10), limiter.acquire(timeout=10)
    >>> first.admitted.done(), second.admitted.done()
    (True, False)
    >>> limiter.release(first)
    >>> second.admitted.result(timeout=10)
    >>> limiter.release(second)
    """

    def __init__(
        self,
        limits: LimitSettings,
        window: RequestWindow,
        hook: Hook = no_hook,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._window = window
        self._hook = hook
        self._clock = clock
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop all waiters: a child process has no threads and no calls of its parent."""
        self._window.reset_after_fork()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting: list[Waiter] = []
        self.reservations: set[Reservation] = set()  # of calls that have not joined the queue yet
        self._slots = SlotShares(self._limits.max_concurrency, self._clock)
        self._reported = False
        self._rate_limits: list[float | None] = []  # reported, and not yet recorded in the window
        self._late: deque[Decision] = deque()  # of requests that were sent late, not yet postponed in the window
        limits = Limits(self._limits.requests_per_minute, self._limits.requests_per_day)
        self._last_ledger = LastLedger(limits, self._clock)

    def acquire(self, timeout: float, caller: Caller = ANYONE) -> Waiter:
        """Join the queue for `timeout` seconds; raises QueueFull where too many calls wait."""
        waiter = Waiter(caller, self._clock(), timeout)
        with self._lock:
            self._slots.note(caller)
            at_once = not self._waiting and self._window.is_local and self._has_slot(waiter)
            if at_once and (decision := self._decide([waiter])).caller is not None:
                self._admit(waiter, decision, waiter.since)
                self._window.report({})
                return waiter
            if len(self._waiting) >= self._max_waiting():
                self._make_room(caller)
            self._waiting.append(waiter)
            self._report_change()
            self._wake_thread()
        return waiter

    def reacquire(self, waiter: Waiter, timeout: float) -> None:
        """Wait for another request of a running call: it keeps its slot, and is its key's next."""
        with self._lock:
            waiter.wait(self._clock(), timeout)
            self._waiting.insert(0, waiter)
            self._report_change()
            self._wake_thread()

    def note_sent(self, waiter: Waiter) -> None:
        """Note that a call's request is sent now, and count it as one of now where that is late.

        A connection or a busy loop may take more than the second between the agent's minute and
        ours (`ledger.WINDOW`): the agent would count the request in a later minute than we do.
        """
        counted, waiter.counted = waiter.counted, None
        if counted is None or self._clock() - counted[1] <= LATE:
            return
        if self._window.is_local:
            self._window.postpone(counted[0])
            return
        with self._lock:
            self._late.append(counted[0])
            self._wake_thread()

    def release(self, waiter: Waiter) -> None:
        """Remove a call from the queue and free its slot; a second call has no effect."""
        with self._lock:
            if waiter in self._waiting:
                self._dequeue(waiter, admitted=False)
            if waiter.running:
                waiter.running = False
                self._slots.release(waiter.caller)
            self._report_change()
            self._wake.set()

    def throttle(self, seconds: float | None) -> None:
        """Pause after a 429, for `seconds` or a default time, and lower the budget for a while."""
        with self._lock:
            self._last_ledger.pause(FIRST_PAUSE if seconds is None else seconds)
            if self._window.is_local:
                self._record_rate_limit(seconds)
            else:
                self._rate_limits.append(seconds)
                self._wake_thread()

    def allowance(self, caller: Caller) -> Allowance | None:
        """Return what a caller may still send, by the last decision; None without limits."""
        return self._last_ledger.allowance(caller)

    def expected_wait(self, caller: Caller) -> Wait:
        """Return what a request of the caller would wait for, by this process's last decision."""
        with self._lock:
            reserved = len(self.reservations)
            if not self._last_ledger.may_send(caller, len(self._waiting) + reserved):
                return Wait.LIMIT
            return Wait.NOTHING if self._slots.may_take(caller, reserved) else Wait.SLOT

    def quota(self) -> Quota:
        """Return the limits and what is used of them, of all processes; blocks on Redis."""
        _, pause = self._window.get_mark("pause")
        return Quota(self._current_limits(), self._window.usage(), pause)

    def _make_room(self, caller: Caller) -> None:
        """Remove the last call of the key with the most calls; raises QueueFull for that key."""
        queued = Counter({caller: 1})
        queued.update(waiter.caller for waiter in self._waiting if not waiter.running)
        most = max(queued, key=lambda one: (queued[one] / one.weight, one == caller))
        error = self._queue_full()
        if most == caller:
            self._hook(Queued(0.0, admitted=False))
            raise error
        last = next(one for one in reversed(self._waiting) if one.caller == most and not one.running)
        self._dequeue(last, admitted=False)
        last.admitted.set_exception(error)

    def _queue_full(self) -> QueueFull:
        wait = self._estimated_wait()
        return QueueFull(
            f"{len(self._waiting)} calls wait for the StackSpot account already: try again in {wait:.0f} s.",
            retry_after=wait,
        )

    def _max_waiting(self) -> int:
        """Return the limit of the queue; with a shared window, calls with a free slot wait too."""
        free = 0 if self._window.is_local else max(0, self._limits.max_concurrency - self._slots.held)
        return self._limits.max_waiting + free

    def _has_slot(self, waiter: Waiter) -> bool:
        return waiter.running or self._slots.may_take(waiter.caller)

    def _admit(self, waiter: Waiter, decision: Decision, time: float) -> None:
        waiter.counted = decision, time
        if not waiter.running:
            waiter.running = True
            self._slots.take(waiter.caller)
        waiter.allowance = self.allowance(waiter.caller)
        limits = self._last_ledger.limits
        self._hook(RequestCounted(waiter.caller.name, limits.per_minute, limits.per_day))
        if waiter in self._waiting:
            self._dequeue(waiter, admitted=True)
        else:
            self._hook(Queued(0.0, admitted=True))
        self._report_change()
        waiter.admitted.set_result(None)

    def _dequeue(self, waiter: Waiter, *, admitted: bool) -> None:
        self._waiting.remove(waiter)
        self._hook(Queued(self._clock() - waiter.since, admitted=admitted))

    def _report_change(self) -> None:
        self._hook(QueueChanged(len(self._waiting), self._slots.held))

    def _estimated_wait(self) -> float:
        """Estimate the seconds until the queue accepts another call."""
        rate = self._limits.requests_per_minute
        return min(max(1.0, len(self._waiting) / rate * MINUTE), MINUTE) if rate else 1.0

    def _decide(self, waiting: Iterable[Waiter]) -> Decision:
        """Count a request of the next caller, or return the seconds until the next attempt."""
        queues = queues_of(waiting, self._candidates(waiting))
        _, pause = self._window.get_mark("pause")
        if pause:
            self._last_ledger.pause(pause)
            self._window.report(queues)
            return Decision(None, pause, for_all=True)
        limits = self._current_limits()
        decision = self._window.acquire(queues, limits)
        if decision.ledger is not None:
            self._last_ledger.update(decision.ledger, limits)
        return decision

    def _current_limits(self) -> Limits:
        return Limits(self._budget(), self._limits.requests_per_day)

    def _candidates(self, waiting: Iterable[Waiter]) -> list[Waiter]:
        """Return the calls that have a slot, or that one is free for, in their order."""
        return [waiter for waiter in waiting if self._has_slot(waiter)]

    def _budget(self) -> int:
        """Return the requests a minute: fewer after a 429, then one more with each minute."""
        if not self._limits.requests_per_minute:
            return 0
        _, seconds = self._window.get_mark("deficit")
        return max(1, self._limits.requests_per_minute - int(-(-seconds // MINUTE)))

    def _record_rate_limit(self, retry_after: float | None) -> None:
        """Set the marks of a 429 in the window; of several at once only the first counts."""
        last, _ = self._window.get_mark("episode")
        default = min(max(FIRST_PAUSE, 2 * last), LONGEST_PAUSE)
        seconds = default if retry_after is None else retry_after
        if self._window.set_mark("pause", 1, seconds, only_new=True):
            budget = self._budget()
            if not last and budget > 1:
                deficit = self._limits.requests_per_minute - budget // 2
                self._window.set_mark("deficit", 1, deficit * MINUTE)
            self._window.set_mark("episode", default, seconds + MINUTE)

    def _wake_thread(self) -> None:
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
                idle = not (self._waiting or self._rate_limits or self._late)
                if delay is None and not woken and idle:
                    self._thread = None
                    return

    def _step_safely(self) -> float | None:
        try:
            return self._step()
        except Exception:
            logger.exception("Internal error in the queue")
            return 1.0

    def _step(self) -> float | None:
        """Admit one call; return the seconds until the next step, None where no call waits.

        A shared window may be slow, so it is called without the lock.
        """
        with self._lock:
            rate_limits, self._rate_limits = self._rate_limits, []
            now = self._clock()
            self._reject_overdue(now)
            waiting = list(self._waiting)
            idle = None if not waiting else self._until_next(IDLE_SECONDS)
            admissible = bool(self._candidates(waiting))
        for retry_after in rate_limits:
            self._record_rate_limit(retry_after)
        while self._late:
            self._window.postpone(self._late.popleft())
        if not admissible:
            if waiting or self._reported:
                self._window.report(queues_of(waiting, ()))
            self._reported = bool(waiting)
            return idle
        self._reported = True
        decision = self._decide(waiting)
        with self._lock:
            if decision.caller is None:
                delay = decision.delay if decision.for_all else 0.0
                self._reject_overdue(self._clock() + delay, daily=decision.daily)
                return self._until_next(decision.delay)
            own = (waiter for waiter in self._candidates(self._waiting) if waiter.caller == decision.caller)
            if (waiter := next(own, None)) is not None:
                self._admit(waiter, decision, now)
                return 0.0
            self._last_ledger.cancel(decision.caller)
        self._window.cancel(decision)  # its call has left; the request of another key is that key's
        return 0.0

    def _reject_overdue(self, earliest: float, *, daily: bool = False) -> None:
        """Reject the calls that cannot be admitted by their deadline.

        `earliest` is the next possible admission of any call. A key that has used its share waits
        for that as well.
        """
        now = self._clock()
        reason = (
            f"The StackSpot account's {self._limits.requests_per_day} requests of 24 hours are used up"
            if daily
            else "The gateway keeps to the StackSpot account's limits, and no place came free in time"
        )
        kept: Counter[Caller] = Counter()
        for waiter in list(self._waiting):
            share_delay = self._last_ledger.share_delay(waiter.caller, kept[waiter.caller], WINDOW)
            if waiter.deadline > max(earliest, now + share_delay):
                kept[waiter.caller] += 1
                continue
            self._dequeue(waiter, admitted=False)
            self._report_change()
            wait = max(1.0, earliest - now, share_delay)
            said = _SHARE_USED if share_delay > earliest - now else reason
            waiter.admitted.set_exception(QueueFull(f"{said}: try again in {wait:.0f} s.", retry_after=wait))

    def _until_next(self, delay: float) -> float:
        now = self._clock()
        if not self._window.is_local:
            delay = min(delay, REPORT_SECONDS)
        return max(0.0, min([delay, *(waiter.deadline - now for waiter in self._waiting)]))
