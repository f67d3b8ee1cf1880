"""The conversation store that the processes of an account share, in the Redis of LiteLLM."""

from __future__ import annotations

from collections.abc import Callable

from ...settings import RedisSettings
from .redis_client import RedisClient


class RedisConversationStore:
    """A ConversationStore whose methods block on Redis; without Redis it finds no conversation."""

    is_local = False

    def __init__(self, settings: RedisSettings, account: str, keep: float, clock: Callable[[], float]) -> None:
        self._milliseconds = max(1, round(keep * 1000))
        self._client = RedisClient(
            settings, account, clock, "each turn starts a new conversation", "conversations continue"
        )

    def take(self, fingerprint: str) -> str | None:
        """See ConversationStore."""

        def command() -> str | None:
            with self._client.redis.pipeline() as pipeline:  # GETDEL needs Redis 6.2
                pipeline.get(self._key(fingerprint))
                pipeline.delete(self._key(fingerprint))
                value, _ = pipeline.execute()
            return None if value is None else bytes(value).decode()

        return self._client.call(command, fallback=lambda: None)

    def put(self, fingerprint: str, conversation_id: str) -> None:
        """See ConversationStore."""
        self._client.call(
            lambda: self._client.redis.set(self._key(fingerprint), conversation_id, px=self._milliseconds),
            fallback=lambda: None,
        )

    def reset_after_fork(self) -> None:
        """See ConversationStore; there is no local state, and redis-py handles forks itself."""

    def _key(self, fingerprint: str) -> str:
        return self._client.key(f"conversation:{fingerprint}")
