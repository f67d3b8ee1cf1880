"""Store responses in the Redis that the processes of several machines share.

Every key expires after RESPONSES_KEEP. The ids of an owner's responses are a sorted set, by time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

from ..settings import RedisSettings
from ..stackspot.state.redis_client import RedisClient
from .store import StoreFailed

Result = TypeVar("Result")

_ACCOUNT = "responses"  # they belong to API keys, not to an account of StackSpot


class RedisResponseStore:
    """A ResponseStore; without Redis each call raises StoreFailed."""

    def __init__(
        self,
        settings: RedisSettings,
        keep: float,
        per_key: int,
        clock: Callable[[], float] = time.time,
        retry_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = RedisClient(settings, _ACCOUNT, retry_clock, "no response is kept", "responses are kept")
        self._keep, self._per_key = keep, per_key
        self._clock = clock

    def put(self, owner: str, response_id: str, content: bytes, items: Mapping[str, bytes]) -> None:
        """See ResponseStore."""

        def command() -> None:
            milliseconds = max(1, round(self._keep * 1000))
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(self._key("response", owner, response_id), content, px=milliseconds)
                for item_id, item in items.items():
                    pipe.set(self._key("item", owner, item_id), item, px=milliseconds)
                members = self._key("items", owner, response_id)
                pipe.delete(members)
                if items:
                    pipe.sadd(members, *items)
                    pipe.pexpire(members, milliseconds)
                self._list(pipe, owner, response_id)
                pipe.execute()
            self._drop_old(owner)

        self._run(command)

    def claim(self, owner: str, response_id: str, content: bytes) -> bytes | None:
        """See ResponseStore."""
        name, milliseconds = self._key("response", owner, response_id), max(1, round(self._keep * 1000))

        def command() -> bytes | None:
            while not self._redis.set(name, content, px=milliseconds, nx=True):
                if isinstance(found := self._redis.get(name), bytes):  # else it has just expired
                    return found
            with self._redis.pipeline(transaction=True) as pipe:
                self._list(pipe, owner, response_id)
                pipe.execute()
            self._drop_old(owner)
            return None

        return self._run(command)

    def get(self, owner: str, response_id: str) -> bytes | None:
        """See ResponseStore."""

        def command() -> bytes | None:
            content = self._redis.get(self._key("response", owner, response_id))
            return content if isinstance(content, bytes) else None

        return self._run(command)

    def items(self, owner: str, item_ids: Collection[str]) -> dict[str, bytes]:
        """See ResponseStore."""
        if not (ids := list(item_ids)):
            return {}
        contents = self._run(lambda: self._redis.mget([self._key("item", owner, item_id) for item_id in ids]))
        return {item_id: content for item_id, content in zip(ids, contents, strict=True) if content is not None}

    def delete(self, owner: str, response_id: str) -> bool:
        """See ResponseStore."""
        return self._run(lambda: self._delete(owner, response_id))

    def close(self) -> None:
        """See ResponseStore."""
        self._redis.close()

    def _list(self, pipe: Any, owner: str, response_id: str) -> None:
        """Add the commands that put a response on the list of its owner."""
        now, index = self._clock(), self._key("all", owner)
        pipe.zadd(index, {response_id: now})
        pipe.zremrangebyscore(index, 0, now - self._keep)
        pipe.pexpire(index, max(1, round(self._keep * 1000)))

    def _drop_old(self, owner: str) -> None:
        """Delete the oldest responses of an owner that has more than the limit."""
        for old in self._redis.zrange(self._key("all", owner), 0, -(self._per_key + 1)):
            self._delete(owner, old.decode())

    def _delete(self, owner: str, response_id: str) -> bool:
        members = self._key("items", owner, response_id)
        items = [self._key("item", owner, item.decode()) for item in self._redis.smembers(members)]
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(self._key("response", owner, response_id))
            pipe.unlink(members, *items)
            pipe.zrem(self._key("all", owner), response_id)
            return bool(pipe.execute()[0])

    @property
    def _redis(self) -> Any:
        return self._client.redis

    def _run(self, command: Callable[[], Result]) -> Result:
        return self._client.call(command, _fail)

    def _key(self, *parts: str) -> str:
        return self._client.key(":".join(("responses", *parts)))


def _fail() -> NoReturn:
    raise StoreFailed("Redis")
