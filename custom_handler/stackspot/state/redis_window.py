"""The request window that the processes of an account share, in the Redis of LiteLLM."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ...request.caller import Caller
from ...settings import RedisSettings
from . import redis_scripts as scripts
from .ledger import WINDOW, Count, Ledger, Limits, Usage
from .outage import Outage
from .redis_client import RETRY_SECONDS, RedisClient
from .window import DAY_MINUTES, Decision, LocalRequestWindow, Queue

LEASE = 3.0  # seconds for which the reported queues of a process are valid
NOT_CONFIRMED = 1.0  # seconds until the next attempt where others have used the minute
NOT_NEXT = 0.02  # seconds until the next attempt while it is another process's turn
# Seconds from the first process that finds Redis again until all have: each looks so often.
GATHER = RETRY_SECONDS + 1.0

_DAILY_CODE, _NOT_NEXT_CODE, _SHARE_CODE = 1, 2, 3


class RedisRequestWindow:
    """A RequestWindow whose methods block on Redis.

    Each decision is one script, so processes cannot exceed a limit together, and the order of the
    callers is one for all processes. Without Redis, a local window replaces it, which counts the
    requests of this process at all times, with this process's part of the limits (see `outage`).
    """

    is_local = False

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float], window: int = WINDOW) -> None:
        self._window = window
        self._process = _process_name()
        self._local = LocalRequestWindow(clock, window)
        self._client = RedisClient(
            settings, account, clock, "each process counts its own quota", "the quota is shared again"
        )
        self._clock = clock
        self._outage = Outage(clock, window)
        self._acquire = self._client.redis.register_script(scripts.ACQUIRE)
        self._cancel = self._client.redis.register_script(scripts.CANCEL)
        self._postpone = self._client.redis.register_script(scripts.POSTPONE)
        self._report = self._client.redis.register_script(scripts.EXPIRE + scripts.REPORT)
        self._return_requests = self._client.redis.register_script(scripts.RETURN)
        self._confirm = self._client.redis.register_script(scripts.CONFIRM)
        self._return_mark = self._client.redis.register_script(scripts.RETURN_MARK)
        self._usage = self._client.redis.register_script(scripts.USAGE)

    def acquire(self, queues: Mapping[Caller, Queue], limits: Limits) -> Decision:
        """See RequestWindow."""
        number = uuid.uuid4().hex

        def without_redis() -> Decision:
            self._outage.begin()
            return self._acquire_alone(queues, limits, number)

        if not self._is_shared():
            return self._confirmed(self._acquire_alone(queues, limits, number), limits)
        return self._client.call(lambda: self._acquire_shared(queues, limits, number), without_redis)

    def _acquire_shared(self, queues: Mapping[Caller, Queue], limits: Limits, number: str) -> Decision:
        arguments = [*self._report_of(queues), limits.per_minute, limits.per_day, number]
        name, delay, code, *counts, processes = self._acquire(keys=self._keys(), args=arguments)
        decision = Decision(None, ledger=_ledger(limits, *counts))
        if code == _NOT_NEXT_CODE:
            decision = replace(decision, delay=NOT_NEXT)
        elif delay:
            daily, for_all = code == _DAILY_CODE, code != _SHARE_CODE
            decision = replace(decision, delay=delay / 1000, for_all=for_all, daily=daily)
        else:
            caller = next(caller for caller in queues if caller.name == name.decode())
            time = self._local.record(caller)
            decision = replace(decision, caller=caller, entry=f"{number}:{caller.name}", time=time)
            self._outage.record(f"{number}:{caller.name}", caller)
        own_day = self._local.usage().used_today if limits.per_day else 0
        self._outage.shared(counts[0], counts[2], own_day, processes)
        return decision

    def _acquire_alone(self, queues: Mapping[Caller, Queue], limits: Limits, number: str) -> Decision:
        """Decide without Redis, within this process's part of the limits."""
        decision = self._local.acquire(queues, self._outage.limits(limits))
        if decision.caller is None:
            return decision
        entry = f"{number}:{decision.caller.name}"
        self._outage.record(entry, decision.caller)
        return replace(decision, entry=entry)

    def _confirmed(self, decision: Decision, limits: Limits) -> Decision:
        """Return a decision that was made alone, unless Redis knows that the minute is used up.

        Others may share the quota already: not all processes notice an outage, or its end, at once.
        """
        if decision.caller is None or decision.entry is None or not limits.per_minute:
            return decision
        keys = [self._client.key(name) for name in scripts.RETURN_KEYS]
        arguments: list[Any] = [self._window * 1000, limits.per_minute, decision.entry, _shown(decision.caller)]
        if self._client.call(lambda: bool(self._confirm(keys=keys, args=arguments)), fallback=lambda: True):
            return decision
        self.cancel(decision)
        return Decision(None, NOT_CONFIRMED, for_all=True, ledger=decision.ledger)

    def _is_shared(self) -> bool:
        """Return whether Redis has what all processes know; after an outage, return this one's."""
        return not self._outage.lasts or self._client.call(self._return, self._outage.begin)

    def _return(self) -> bool:
        """Add the marks and requests that Redis does not have; return whether all have done so."""
        for mark, (value, seconds) in self._local.marks().items():
            self._return_mark(keys=[self._client.key(mark)], args=[value, max(1, round(seconds * 1000))])
        arguments: list[Any] = [self._window * 1000, 0 if self._outage.returned else round(GATHER * 1000)]
        for request in self._outage.sent():
            arguments += [request.entry, round((self._clock() - request.time) * 1000), _shown(request.caller)]
        left = self._return_requests(keys=[self._client.key(name) for name in scripts.RETURN_KEYS], args=arguments)
        return self._outage.end(left / 1000)

    def cancel(self, decision: Decision) -> None:
        """See RequestWindow."""
        self._local.cancel(decision)
        if decision.caller is not None and decision.entry is not None:
            self._outage.forget(decision.entry)
            keys = [self._client.key(name) for name in scripts.CANCEL_KEYS]
            arguments = [decision.entry, decision.caller.name]
            self._client.call(lambda: self._cancel(keys=keys, args=arguments), fallback=lambda: None)

    def postpone(self, decision: Decision) -> None:
        """See RequestWindow."""
        self._local.postpone(decision)
        if decision.caller is not None and decision.entry is not None:
            self._outage.forget(decision.entry)
            self._outage.record(decision.entry, decision.caller)
            key, entry = self._client.key(scripts.POSTPONE_KEY), decision.entry
            self._client.call(lambda: self._postpone(keys=[key], args=[entry]), fallback=self._outage.begin)

    def report(self, queues: Mapping[Caller, Queue]) -> None:
        """See RequestWindow."""
        self._is_shared()  # during a pause nothing else returns the pause
        self._client.call(
            lambda: self._report(keys=self._keys(), args=self._report_of(queues)),
            fallback=lambda: self._local.report(queues),
        )

    def usage(self) -> Usage:
        """See RequestWindow."""

        def command() -> Usage:
            used, today, by_name, queues = json.loads(
                self._usage(keys=self._keys(), args=[self._window * 1000, DAY_MINUTES])
            )
            waiting: Counter[Caller] = Counter()
            for queue in queues:
                waiting[Caller(queue["name"], queue["weight"], queue["share"])] += queue["waiting"]
            by_caller = {Caller(name, **(part or {})): count for name, count, part in by_name}
            return Usage(used, today, by_caller, waiting)

        return self._client.call(command, fallback=self._local.usage)

    def get_mark(self, mark: str) -> tuple[int, float]:
        """See RequestWindow."""

        def command() -> tuple[int, float]:
            with self._client.redis.pipeline(transaction=False) as pipeline:
                pipeline.get(self._client.key(mark))
                pipeline.pttl(self._client.key(mark))
                value, milliseconds = pipeline.execute()
            found = (int(value), milliseconds / 1000) if value is not None and milliseconds > 0 else (0, 0.0)
            if self._outage.lasts:  # Redis may not have what this process knows
                return max(found, self._local.get_mark(mark), key=lambda known: known[1])
            self._local.set_mark(mark, *found)
            return found

        def without_redis() -> tuple[int, float]:
            self._outage.begin()
            return self._local.get_mark(mark)

        return self._client.call(command, without_redis)

    def set_mark(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See RequestWindow."""
        milliseconds = max(1, round(seconds * 1000))
        if only_new and self._outage.lasts and self._local.get_mark(mark)[1]:
            return False  # Redis may not have it yet

        def without_redis() -> bool:
            self._outage.begin()
            return self._local.set_mark(mark, value, seconds, only_new=only_new)

        was_set = self._client.call(
            lambda: bool(self._client.redis.set(self._client.key(mark), value, px=milliseconds, nx=only_new)),
            without_redis,
        )
        if was_set:
            self._local.set_mark(mark, value, seconds)
        return was_set

    def reset_after_fork(self) -> None:
        """See RequestWindow; redis-py handles forks itself."""
        self._process = _process_name()
        self._local.reset_after_fork()
        self._outage = Outage(self._clock, self._window)

    def _report_of(self, queues: Mapping[Caller, Queue]) -> list[Any]:
        """Return the arguments of the scripts that report the queues of this process."""
        callers = [asdict(caller) | asdict(queue) for caller, queue in queues.items()]
        return [self._window * 1000, DAY_MINUTES, self._process, int(LEASE * 1000), json.dumps(callers)]

    def _keys(self) -> list[str]:
        return [self._client.key(name) for name in scripts.KEYS]


def _ledger(limits: Limits, *counts: Any) -> Ledger:
    """Return the counts of the script, whose times are in milliseconds."""
    used, reset, today, day_reset, shares = counts
    by_name = {shares[at].decode(): Count(shares[at + 1], shares[at + 2] / 1000) for at in range(0, len(shares), 3)}
    day = Count(today, day_reset / 1000) if limits.per_day else Count()
    return Ledger(Count(used, reset / 1000) if limits.per_minute else Count(), day, by_name)


def _shown(caller: Caller) -> str:
    return json.dumps({"weight": caller.weight, "share": caller.share})


def _process_name() -> str:
    return f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
