"""The request window that the processes of an account share, in the Redis of LiteLLM."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ...request.caller import Caller
from ...settings import RedisSettings
from .ledger import WINDOW, Count, Ledger, Limits, Usage
from .redis_client import RedisClient
from .window import DAY_MINUTES, Decision, LocalRequestWindow, Queue

LEASE = 3.0  # seconds for which the reported queues of a process are valid
NOT_NEXT = 0.02  # seconds until the next attempt while it is another process's turn

_DAILY_CODE, _NOT_NEXT_CODE, _SHARE_CODE = 1, 2, 3
_KEYS = ("requests", "by_caller", "order", "queues", "minutes", "callers")
# Times are in milliseconds of Redis's own clock, so the clocks of the machines need not agree.
_EXPIRE = """
local requests, by_caller, order, queues, minutes, callers_of = unpack(KEYS)
local window, day_minutes = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', requests, '-inf', now - window)) do
  local name = string.match(entry, '^[^:]*:(.*)$')
  if redis.call('HINCRBY', by_caller, name, -1) < 1 then
    redis.call('HDEL', by_caller, name)
    redis.call('HDEL', callers_of, name)
  end
  redis.call('ZREM', requests, entry)
end
local minute, today, oldest = math.floor(now / 60000), 0, nil
local function read_day()
  local counts = redis.call('HGETALL', minutes)
  for index = 1, #counts, 2 do
    local at = tonumber(counts[index])
    if at <= minute - day_minutes then
      redis.call('HDEL', minutes, counts[index])
    else
      today = today + tonumber(counts[index + 1])
      oldest = math.min(oldest or at, at)
    end
  end
end
local reported = {}
local function read_queues()
  local all = redis.call('HGETALL', queues)
  for index = 1, #all, 2 do
    local report = cjson.decode(all[index + 1])
    if report.expires < now then
      redis.call('HDEL', queues, all[index])
    else
      reported[all[index]] = report.callers
    end
  end
end
"""
_REPORT = """
local process, lease, mine = ARGV[3], tonumber(ARGV[4]), ARGV[5]
if mine == '[]' then
  redis.call('HDEL', queues, process)
else
  redis.call('HSET', queues, process, cjson.encode({expires = now + lease, callers = cjson.decode(mine)}))
  redis.call('PEXPIRE', queues, lease * 2)
end
"""
_ACQUIRE = (
    _EXPIRE
    + _REPORT
    + """
local per_minute, per_day, id = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
if per_day > 0 or redis.call('HLEN', minutes) > 2 * day_minutes then read_day() end
local used = redis.call('ZCARD', requests)
local function share_limit(caller)
  if caller.share >= 1 then return per_minute end
  return math.max(1, math.floor(caller.share * per_minute))
end
local function used_by(caller) return tonumber(redis.call('HGET', by_caller, caller.name) or 0) end
local function reset_of_account()
  local entry = redis.call('ZRANGE', requests, math.max(0, used - per_minute), math.max(0, used - per_minute), 'WITHSCORES')
  return entry[2] and entry[2] + window - now or 0
end
local function reset_of_share(caller)
  local left = math.max(0, used_by(caller) - share_limit(caller))
  for position = 0, used - 1, 100 do
    local entries = redis.call('ZRANGE', requests, position, position + 99, 'WITHSCORES')
    for index = 1, #entries, 2 do
      if string.match(entries[index], '^[^:]*:(.*)$') == caller.name then
        if left == 0 then return math.max(1, entries[index + 1] + window - now) end
        left = left - 1
      end
    end
  end
  return 0
end
local function answer(name, delay, code)
  local shares, day_reset = {}, oldest and (oldest + day_minutes) * 60000 - now or 0
  for _, caller in ipairs(per_minute > 0 and cjson.decode(mine) or {}) do
    if caller.share < 1 then
      for _, value in ipairs({caller.name, used_by(caller), reset_of_share(caller)}) do shares[#shares + 1] = value end
    end
  end
  return {name, delay, code, used, reset_of_account(), today, day_reset, shares}
end
if per_day > 0 and today >= per_day then
  return answer('', (oldest + day_minutes) * 60000 - now, 1)
end
if per_minute > 0 and used >= per_minute then return answer('', reset_of_account(), 0) end
local function share_delay(caller)
  if per_minute == 0 or used_by(caller) < share_limit(caller) then return 0 end
  return reset_of_share(caller)
end
local present = tonumber(redis.call('HGET', order, ':now') or 0)
local first, first_start, is_mine, delay = nil, nil, false, window
read_queues()
for owner, callers in pairs(reported) do
  for _, caller in ipairs(callers) do
    if caller.admissible then
      local wait = share_delay(caller)
      local start = math.max(present, tonumber(redis.call('HGET', order, '=' .. caller.name) or 0))
      if wait > 0 then
        if owner == process then delay = math.min(delay, wait) end
      elseif first == nil or start < first_start or (start == first_start and caller.name < first.name) then
        first, first_start, is_mine = caller, start, owner == process
      elseif caller.name == first.name and owner == process then
        is_mine = true
      end
    end
  end
end
if first == nil then return answer('', delay, 3) end
if not is_mine then return answer('', 0, 2) end
redis.call('ZADD', requests, now, id .. ':' .. first.name)
redis.call('PEXPIRE', requests, window * 2)
redis.call('HINCRBY', by_caller, first.name, 1)
redis.call('PEXPIRE', by_caller, window * 2)
redis.call('HSET', callers_of, first.name, cjson.encode({weight = first.weight, share = first.share}))
redis.call('PEXPIRE', callers_of, window * 2)
redis.call('HINCRBY', minutes, minute, 1)
redis.call('EXPIRE', minutes, day_minutes * 60)
local ends = redis.call('HGETALL', order)
for index = 1, #ends, 2 do
  if tonumber(ends[index + 1]) <= first_start then redis.call('HDEL', order, ends[index]) end
end
redis.call('HSET', order, ':now', string.format('%.17g', first_start))
redis.call('HSET', order, '=' .. first.name, string.format('%.17g', first_start + 1 / first.weight))
redis.call('EXPIRE', order, 3600)
used, today, oldest = used + 1, today + 1, oldest or minute
return answer(first.name, 0, 0)
"""
)
_USAGE = (
    _EXPIRE
    + """
read_queues()
read_day()
local by_name = {}
local all = redis.call('HGETALL', by_caller)
for index = 1, #all, 2 do
  local caller = redis.call('HGET', callers_of, all[index])
  by_name[#by_name + 1] = {all[index], tonumber(all[index + 1]), caller and cjson.decode(caller) or cjson.null}
end
local waiting = {}
for _, callers in pairs(reported) do
  for _, caller in ipairs(callers) do waiting[#waiting + 1] = caller end
end
return cjson.encode({redis.call('ZCARD', requests), today, by_name, waiting})
"""
)


_CANCEL = """
local requests, by_caller, minutes = unpack(KEYS)
local entry, name = ARGV[1], ARGV[2]
local time = redis.call('ZSCORE', requests, entry)
if not time then return end
redis.call('ZREM', requests, entry)
if redis.call('HINCRBY', by_caller, name, -1) < 1 then redis.call('HDEL', by_caller, name) end
redis.call('HINCRBY', minutes, math.floor(time / 60000), -1)
"""


class RedisRequestWindow:
    """A RequestWindow whose methods block on Redis.

    Without Redis, a local window with the whole budget replaces it, which counts the requests of
    this process at all times. Each decision is one script, so processes cannot exceed a limit
    together, and the order of the callers is one for all processes.
    """

    is_local = False

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float], window: int = WINDOW) -> None:
        self._window = window
        self._process = _process_name()
        self._local = LocalRequestWindow(clock, window)
        self._client = RedisClient(
            settings, account, clock, "each process counts its own quota", "the quota is shared again"
        )
        self._acquire = self._client.redis.register_script(_ACQUIRE)
        self._cancel = self._client.redis.register_script(_CANCEL)
        self._report = self._client.redis.register_script(_EXPIRE + _REPORT)
        self._usage = self._client.redis.register_script(_USAGE)

    def acquire(self, queues: Mapping[Caller, Queue], limits: Limits) -> Decision:
        """See RequestWindow."""
        number = uuid.uuid4().hex
        arguments = [*self._report_of(queues), limits.per_minute, limits.per_day, number]

        def command() -> Decision:
            name, delay, code, *counts = self._acquire(keys=self._keys(), args=arguments)
            ledger = _ledger(limits, *counts)
            if code == _NOT_NEXT_CODE:
                return Decision(None, NOT_NEXT, ledger=ledger)
            if delay:
                daily, for_all = code == _DAILY_CODE, code != _SHARE_CODE
                return Decision(None, delay / 1000, for_all=for_all, daily=daily, ledger=ledger)
            caller = next(caller for caller in queues if caller.name == name.decode())
            self._local.record(caller)
            return Decision(caller, ledger=ledger, entry=f"{number}:{caller.name}")

        return self._client.call(command, fallback=lambda: self._local.acquire(queues, limits))

    def cancel(self, decision: Decision) -> None:
        """See RequestWindow."""
        self._local.cancel(decision)
        if decision.caller is not None and decision.entry is not None:  # else counted without Redis
            keys = [self._client.key(name) for name in ("requests", "by_caller", "minutes")]
            arguments = [decision.entry, decision.caller.name]
            self._client.call(lambda: self._cancel(keys=keys, args=arguments), fallback=lambda: None)

    def report(self, queues: Mapping[Caller, Queue]) -> None:
        """See RequestWindow."""
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
            return (int(value), milliseconds / 1000) if value is not None and milliseconds > 0 else (0, 0.0)

        return self._client.call(command, fallback=lambda: self._local.get_mark(mark))

    def set_mark(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See RequestWindow."""
        milliseconds = max(1, round(seconds * 1000))
        return self._client.call(
            lambda: bool(self._client.redis.set(self._client.key(mark), value, px=milliseconds, nx=only_new)),
            fallback=lambda: self._local.set_mark(mark, value, seconds, only_new=only_new),
        )

    def reset_after_fork(self) -> None:
        """See RequestWindow; redis-py handles forks itself."""
        self._process = _process_name()
        self._local.reset_after_fork()

    def _report_of(self, queues: Mapping[Caller, Queue]) -> list[Any]:
        """Return the arguments of the scripts that report the queues of this process."""
        callers = [asdict(caller) | asdict(queue) for caller, queue in queues.items()]
        return [self._window * 1000, DAY_MINUTES, self._process, int(LEASE * 1000), json.dumps(callers)]

    def _keys(self) -> list[str]:
        return [self._client.key(name) for name in _KEYS]


def _ledger(limits: Limits, *counts: Any) -> Ledger:
    """Return the counts of the script, whose times are in milliseconds."""
    used, reset, today, day_reset, shares = counts
    by_name = {shares[at].decode(): Count(shares[at + 1], shares[at + 2] / 1000) for at in range(0, len(shares), 3)}
    day = Count(today, day_reset / 1000) if limits.per_day else Count()
    return Ledger(Count(used, reset / 1000) if limits.per_minute else Count(), day, by_name)


def _process_name() -> str:
    return f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
