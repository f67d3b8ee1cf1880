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
from .redis_client import RedisClient
from .window import DAY_MINUTES, WINDOW, Decision, Limits, LocalRequestWindow, Queue, Usage

LEASE = 3.0  # seconds for which the reported queues of a process are valid
NOT_NEXT = 0.02  # seconds until the next attempt while it is another process's turn

_DAILY_CODE, _NOT_NEXT_CODE, _SHARE_CODE = 1, 2, 3
_KEYS = ("requests", "by_caller", "order", "queues", "minutes")
# Times are in milliseconds of Redis's own clock, so the clocks of the machines need not agree.
_EXPIRE = """
local requests, by_caller, order, queues, minutes = unpack(KEYS)
local window, day_minutes = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', requests, '-inf', now - window)) do
  local name = string.match(entry, '^[^:]*:(.*)$')
  if redis.call('HINCRBY', by_caller, name, -1) < 1 then redis.call('HDEL', by_caller, name) end
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
if per_day > 0 and today >= per_day then
  return {'', (oldest + day_minutes) * 60000 - now, 1}
end
local used = redis.call('ZCARD', requests)
if per_minute > 0 and used >= per_minute then
  local entry = redis.call('ZRANGE', requests, used - per_minute, used - per_minute, 'WITHSCORES')
  return {'', entry[2] + window - now, 0}
end
local function share_delay(caller)
  local limit = per_minute
  if caller.share < 1 then limit = math.max(1, math.floor(caller.share * per_minute)) end
  local over = tonumber(redis.call('HGET', by_caller, caller.name) or 0) - limit
  if per_minute == 0 or over < 0 then return 0 end
  local all, seen = redis.call('ZRANGE', requests, 0, -1, 'WITHSCORES'), 0
  for index = 1, #all, 2 do
    if string.match(all[index], '^[^:]*:(.*)$') == caller.name then
      if seen == over then return math.max(1, all[index + 1] + window - now) end
      seen = seen + 1
    end
  end
  return 0
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
if first == nil then return {'', delay, 3} end
if not is_mine then return {'', 0, 2} end
redis.call('ZADD', requests, now, id .. ':' .. first.name)
redis.call('PEXPIRE', requests, window * 2)
redis.call('HINCRBY', by_caller, first.name, 1)
redis.call('PEXPIRE', by_caller, window * 2)
redis.call('HINCRBY', minutes, minute, 1)
redis.call('EXPIRE', minutes, day_minutes * 60)
local ends = redis.call('HGETALL', order)
for index = 1, #ends, 2 do
  if tonumber(ends[index + 1]) <= first_start then redis.call('HDEL', order, ends[index]) end
end
redis.call('HSET', order, ':now', string.format('%.17g', first_start))
redis.call('HSET', order, '=' .. first.name, string.format('%.17g', first_start + 1 / first.weight))
redis.call('EXPIRE', order, 3600)
return {first.name, 0, 0}
"""
)
_USAGE = (
    _EXPIRE
    + """
read_queues()
read_day()
local first = redis.call('ZRANGE', requests, 0, 0, 'WITHSCORES')
local reset = 0
if first[2] then reset = first[2] + window - now end
local by_name = {}
local all = redis.call('HGETALL', by_caller)
for index = 1, #all, 2 do by_name[#by_name + 1] = {all[index], tonumber(all[index + 1])} end
local waiting = {}
for _, callers in pairs(reported) do
  for _, caller in ipairs(callers) do waiting[#waiting + 1] = caller end
end
return cjson.encode({redis.call('ZCARD', requests), reset, today, by_name, waiting})
"""
)


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
        self._report = self._client.redis.register_script(_EXPIRE + _REPORT)
        self._usage = self._client.redis.register_script(_USAGE)

    def acquire(self, queues: Mapping[Caller, Queue], limits: Limits) -> Decision:
        """See RequestWindow."""
        arguments = [*self._report_of(queues), limits.per_minute, limits.per_day, uuid.uuid4().hex]

        def command() -> Decision:
            name, delay, code = self._acquire(keys=self._keys(), args=arguments)
            if code == _NOT_NEXT_CODE:
                return Decision(None, NOT_NEXT)
            if delay:
                return Decision(None, delay / 1000, for_all=code != _SHARE_CODE, daily=code == _DAILY_CODE)
            caller = next(caller for caller in queues if caller.name == name.decode())
            self._local.record(caller)
            return Decision(caller)

        return self._client.call(command, fallback=lambda: self._local.acquire(queues, limits))

    def report(self, queues: Mapping[Caller, Queue]) -> None:
        """See RequestWindow."""
        self._client.call(
            lambda: self._report(keys=self._keys(), args=self._report_of(queues)),
            fallback=lambda: self._local.report(queues),
        )

    def usage(self) -> Usage:
        """See RequestWindow."""

        def command() -> Usage:
            used, reset, today, by_caller, queues = json.loads(
                self._usage(keys=self._keys(), args=[self._window * 1000, DAY_MINUTES])
            )
            waiting: Counter[Caller] = Counter()
            for queue in queues:
                waiting[Caller(queue["name"], queue["weight"], queue["share"])] += queue["waiting"]
            return Usage(used, reset / 1000, today, dict(by_caller), waiting)

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


def _process_name() -> str:
    return f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
