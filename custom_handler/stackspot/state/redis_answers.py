"""The store of answers that several processes share, in the Redis of LiteLLM."""

from __future__ import annotations

from collections.abc import Callable

from ...settings import RedisSettings
from .answers import MAX_ANSWER_BYTES
from .redis_client import RedisClient


class RedisAnswerStore:
    """An AnswerStore whose methods block on Redis; without Redis it finds no answer."""

    is_local = False

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float]) -> None:
        self._client = RedisClient(settings, account, clock, "no answer is cached", "answers are cached")

    def get(self, key: str) -> bytes | None:
        """See AnswerStore."""

        def command() -> bytes | None:
            answer = self._client.redis.get(self._key(key))
            return answer if isinstance(answer, bytes) else None

        return self._client.call(command, fallback=lambda: None)

    def put(self, key: str, answer: bytes, seconds: float) -> None:
        """See AnswerStore."""
        if len(answer) > MAX_ANSWER_BYTES:
            return
        milliseconds = max(1, round(seconds * 1000))
        self._client.call(
            lambda: self._client.redis.set(self._key(key), answer, px=milliseconds), fallback=lambda: None
        )

    def reset_after_fork(self) -> None:
        """See AnswerStore; there is no local state, and redis-py handles forks itself."""

    def _key(self, key: str) -> str:
        return self._client.key(f"answer:{key}")
