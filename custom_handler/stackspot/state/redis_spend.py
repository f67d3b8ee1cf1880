"""What API keys have spent, in the Redis that the processes share."""

from __future__ import annotations

import time

from ...settings import RedisSettings
from .redis_client import RedisClient

_SCOPE = "KEYS_FILE"  # not the account: its client id may change


class RedisSpendStore:
    """A SpendStore for the processes of several machines."""

    def __init__(self, settings: RedisSettings) -> None:
        self._client = RedisClient(
            settings, _SCOPE, time.monotonic, "each process counts the spend of API keys by itself", "they share it"
        )

    def read(self, key: str, period: int) -> float | None:
        """See SpendStore."""

        def command() -> float:
            value = self._client.redis.get(self._name(key, period))
            return 0.0 if value is None else float(bytes(value))  # type: ignore[arg-type]

        return self._client.call(command, fallback=lambda: None)

    def add(self, key: str, period: int, amount: float, expires: int | None = None) -> float | None:
        """See SpendStore."""

        def command() -> float:
            with self._client.redis.pipeline() as pipeline:
                pipeline.incrbyfloat(self._name(key, period), amount)
                if expires is not None:
                    pipeline.expireat(self._name(key, period), expires)
                return float(pipeline.execute()[0])

        return self._client.call(command, fallback=lambda: None)

    def close(self) -> None:
        """See SpendStore."""
        self._client.redis.close()

    def _name(self, key: str, period: int) -> str:
        return self._client.key(f"spend:{period}:{key}")
