"""Store jobs in Redis: hashes of each job, its items, outcomes and attempts, and sets as indexes.

Conditional updates are Lua scripts, which Redis runs atomically. Leases use the clock of Redis, so
that all machines share one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection
from functools import partial
from typing import Any

from redis import RedisError

from .job import QUEUED, Job, OpenItem, Outcome, require_before, store_errors, stored_too_late

_redis_errors = partial(store_errors, RedisError, OSError, reason="Redis does not answer")

_NOW = "local time = redis.call('TIME') local now = time[1] + time[2] / 1e6 "
_FROM_NOW = "string.format('%.6f', now + ARGV[2])"
# ARGV: the deadline, the id, `created`, the number of fields, their names and values, the items.
# A client repeats a command whose connection broke, so the job may be there already.
_ADD = (
    _NOW
    + """
    if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
    if ARGV[1] ~= '' and now >= tonumber(ARGV[1]) then return 0 end
    local first_item = 5 + 2 * ARGV[4]
    for index = 5, first_item - 1, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
    for index = first_item, #ARGV do redis.call('HSET', KEYS[2], index - first_item, ARGV[index]) end
    redis.call('SADD', KEYS[3], ARGV[2])
    redis.call('ZADD', KEYS[4], ARGV[3], ARGV[2])
    redis.call('ZADD', KEYS[5], ARGV[3], ARGV[2])
    return 1"""
)
_REQUIRE_OPEN = (
    "if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 0 end "
)
_REQUIRE_LEASE = _REQUIRE_OPEN + "if redis.call('HGET', KEYS[1], 'worker') ~= ARGV[1] then return 0 end "

# KEYS[1] is the job's hash and ARGV[1] the worker. Each script returns 1 if it changed the job.
_CLAIM = (
    _NOW
    + _REQUIRE_OPEN
    + "if tonumber(redis.call('HGET', KEYS[1], 'lease')) >= now then return 0 end "
    + f"redis.call('HSET', KEYS[1], 'status', 'running', 'worker', ARGV[1], 'lease', {_FROM_NOW}) return 1"
)
_RENEW = _NOW + _REQUIRE_LEASE + f"redis.call('HSET', KEYS[1], 'lease', {_FROM_NOW}) return 1"
_START = _REQUIRE_LEASE + "redis.call('HINCRBY', KEYS[2], ARGV[2], 1) return 1"
_RELEASE = (
    _REQUIRE_LEASE
    + """
    for index = 2, #ARGV do
        if redis.call('HEXISTS', KEYS[3], ARGV[index]) == 0 then redis.call('HINCRBY', KEYS[2], ARGV[index], -1) end
    end
    redis.call('HSET', KEYS[1], 'status', 'queued', 'worker', '', 'lease', 0)
    return 1"""
)
_RECORD = (
    _REQUIRE_LEASE
    + """
    if redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3]) == 0 then return 0 end
    redis.call('HINCRBY', KEYS[1], 'done', 1)
    redis.call('HINCRBY', KEYS[1], 'failed', ARGV[4])
    return 1"""
)
_END = (
    _NOW
    + _REQUIRE_OPEN
    + """
    if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'worker') ~= ARGV[1] then return 0 end
    local ended = string.format('%.6f', now)
    redis.call('HSET', KEYS[1], 'status', ARGV[2], 'error', ARGV[3], 'ended', ended, 'worker', '')
    redis.call('HDEL', KEYS[1], 'caller')
    redis.call('SREM', KEYS[2], ARGV[4])
    redis.call('ZADD', KEYS[3], ended, ARGV[4])
    return 1"""
)


class RedisJobStore:
    """A JobStore for workers on several machines."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def add(self, job: Job, items: list[Any], deadline: float = math.inf) -> None:
        """See JobStore.

        Redis compares the deadline with its own clock as it stores the job: a Redis that did not
        answer for a while runs later what it was sent before.
        """
        fields = {"owner": job.owner, "call": json.dumps(job.call), "caller": job.caller or "", "status": QUEUED}
        fields |= {"created": str(job.created), "total": str(job.total), "lease": "0"}
        names = (("job", job.id), ("items", job.id), ("open",), ("all",), ("owner", job.owner))
        members = [member for field in fields.items() for member in field]
        expires = "" if math.isinf(deadline) else self._from_now(deadline)
        arguments = [expires, job.id, job.created, len(fields), *members, *map(json.dumps, items)]
        require_before(deadline)
        if not self._run(_ADD, [_key(*name) for name in names], *arguments):
            raise stored_too_late()

    def find(self, job_id: str) -> Job | None:
        with _redis_errors():
            return _job(job_id, self._redis.hgetall(_key("job", job_id)))

    def newest(self, owner: str | None, limit: int) -> list[Job]:
        with _redis_errors():
            index = _key("all") if owner is None else _key("owner", owner)
            ids = [name.decode() for name in self._redis.zrevrange(index, 0, limit - 1)]
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hgetall(_key("job", job_id))
                found = map(_job, ids, pipe.execute())
            return [job for job in found if job is not None]

    def outcomes(self, job_id: str) -> dict[int, Outcome]:
        with _redis_errors():
            found = self._redis.hgetall(_key("outcomes", job_id))
        return {int(number): Outcome(**json.loads(found[number])) for number in sorted(found, key=int)}

    def open_items(self, job_id: str) -> list[OpenItem]:
        with _redis_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(_key("items", job_id)).hkeys(_key("outcomes", job_id))
            items, done, attempts = pipe.hgetall(_key("attempts", job_id)).execute()
        return [
            OpenItem(int(number), json.loads(items[number]), int(attempts.get(number, 0)))
            for number in sorted(items.keys() - set(done), key=int)
        ]

    def start(self, job_id: str, worker: str, number: int) -> bool:
        return self._run(_START, [_key("job", job_id), _key("attempts", job_id)], worker, number)

    def claim(self, job_id: str, worker: str, seconds: float) -> bool:
        return self._run(_CLAIM, [_key("job", job_id)], worker, seconds)

    def renew(self, job_id: str, worker: str, seconds: float) -> bool:
        return self._run(_RENEW, [_key("job", job_id)], worker, seconds)

    def record(self, job_id: str, worker: str, number: int, outcome: Outcome) -> bool:
        text = json.dumps({"answer": outcome.answer, "ok": outcome.ok})
        keys = [_key("job", job_id), _key("outcomes", job_id)]
        return self._run(_RECORD, keys, worker, number, text, int(not outcome.ok))

    def release(self, job_id: str, worker: str, started: Collection[int] = ()) -> bool:
        keys = [_key(part, job_id) for part in ("job", "attempts", "outcomes")]
        return self._run(_RELEASE, keys, worker, *started)

    def end(self, job_id: str, status: str, error: str | None = None, worker: str | None = None) -> bool:
        keys = [_key("job", job_id), _key("open"), _key("ended")]
        return self._run(_END, keys, worker or "", status, error or "", job_id)

    def claimable(self) -> list[str]:
        with _redis_errors():
            now = self._now()
            ids = [name.decode() for name in self._redis.smembers(_key("open"))]
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hmget(_key("job", job_id), "lease", "created")
                known = [(job_id, *map(float, found)) for job_id, found in zip(ids, pipe.execute(), strict=True)]
        return [job_id for _, job_id in sorted((created, job_id) for job_id, lease, created in known if lease < now)]

    def purge(self, seconds: float) -> int:
        with _redis_errors():
            before = self._now() - seconds
            ids = [name.decode() for name in self._redis.zrangebyscore(_key("ended"), 0, before)]
            for job_id in ids:
                self._delete(job_id)
        return len(ids)

    def _delete(self, job_id: str) -> None:
        owner = (self._redis.hget(_key("job", job_id), "owner") or b"").decode()
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*(_key(part, job_id) for part in ("job", "items", "outcomes", "attempts")))
            for index in (_key("ended"), _key("all"), _key("owner", owner)):
                pipe.zrem(index, job_id)
            pipe.execute()

    def _run(self, script: str, keys: list[str], *values: Any) -> bool:
        with _redis_errors():
            return bool(self._redis.register_script(script)(keys, values))

    def _from_now(self, deadline: float) -> str:
        """Return a time of `time.monotonic` by the clock of Redis."""
        with _redis_errors():
            now = self._now()
        return f"{now + deadline - time.monotonic():.6f}"  # earlier by the time that the answer took

    def _now(self) -> float:
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)


def _key(*parts: str) -> str:
    return ":".join(("stackspot:jobs", *parts))


def _job(job_id: str, found: dict[bytes, bytes]) -> Job | None:
    fields = {name.decode(): value.decode() for name, value in found.items()}
    if not fields:
        return None
    return Job(
        id=job_id,
        owner=fields["owner"],
        call=json.loads(fields["call"]),
        caller=fields.get("caller") or None,
        created=float(fields["created"]),
        total=int(fields["total"]),
        status=fields["status"],
        done=int(fields.get("done", 0)),
        failed=int(fields.get("failed", 0)),
        ended=float(fields["ended"]) if "ended" in fields else None,
        error=fields.get("error") or None,
    )
