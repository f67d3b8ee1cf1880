"""A call that waits for its turn at the agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future

from ..request.caller import Allowance, Caller
from .state.window import Decision, Queue


class Waiter:
    """One call in the queue, or among those that hold a slot (`running`)."""

    def __init__(self, caller: Caller, since: float, timeout: float) -> None:
        self.caller = caller
        self.running = False
        self.wait(since, timeout)

    def wait(self, since: float, timeout: float) -> None:
        """Start to wait, for the first or another time."""
        self.allowance: Allowance | None = None  # of its caller, when the request was counted
        self.counted: tuple[Decision, float] | None = None  # its last request that is not sent yet, and since when
        self.since = since
        self.deadline = since + timeout
        self.admitted: Future[None] = Future()
        self.admitted.set_running_or_notify_cancel()  # a caller that gives up calls `release` instead


def queues_of(waiting: Iterable[Waiter], candidates: Iterable[Waiter]) -> dict[Caller, Queue]:
    """Return the calls that wait, by caller; `candidates` are those that could be sent now."""
    admissible = {waiter.caller for waiter in candidates}
    counts = Counter(waiter.caller for waiter in waiting)
    return {caller: Queue(count, caller in admissible) for caller, count in counts.items()}
