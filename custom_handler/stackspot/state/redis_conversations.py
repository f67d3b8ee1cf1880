"""The conversations that all processes of an account share, in the Redis that LiteLLM uses too."""

from __future__ import annotations

from collections.abc import Callable

from ...settings import RedisSettings
from .redis_client import RedisClient


class SharedConversations:
    """Conversations that block for as long as Redis takes; where it is away, none is known."""

    instant = False

    def __init__(self, settings: RedisSettings, account: str, keep: float, clock: Callable[[], float]) -> None:
        self._milliseconds = max(1, round(keep * 1000))
        self._link = RedisClient(settings, account, clock, "conversations begin anew", "conversations go on")

    def take(self, fingerprint: str) -> str | None:
        """See Conversations."""

        def ask() -> str | None:
            with self._link.redis.pipeline() as pipeline:  # GETDEL came with Redis 6.2
                pipeline.get(self._name(fingerprint))
                pipeline.delete(self._name(fingerprint))
                value, _ = pipeline.execute()
            return None if value is None else bytes(value).decode()

        return self._link.ask(ask, lambda: None)

    def keep(self, fingerprint: str, conversation_id: str) -> None:
        """See Conversations."""

        def ask() -> None:
            self._link.redis.set(self._name(fingerprint), conversation_id, px=self._milliseconds)

        self._link.ask(ask, lambda: None)

    def forget(self) -> None:
        """See Conversations; each can be taken once, whoever shares it, and the client of Redis sees to itself."""

    def _name(self, fingerprint: str) -> str:
        return self._link.name(f"conversation:{fingerprint}")
