"""The request window that the processes of an account share, in the Redis of LiteLLM."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...settings import RedisSettings
from .redis_client import RedisClient
from .window import WINDOW, LocalRequestWindow


class RedisRequestWindow:
    """A RequestWindow whose methods block on Redis.

    Without Redis, a local window with the whole budget replaces it, which counts the requests of
    this process at all times. The clocks of the machines must agree to a second.
    """

    is_local = False

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float], window: int = WINDOW) -> None:
        self._window = window
        self._local = LocalRequestWindow(clock, window)
        self._client = RedisClient(
            settings, account, clock, "each process counts its own quota", "the quota is shared again"
        )

    def acquire(self, budget: int) -> float:
        """See RequestWindow."""

        def command() -> float:
            if self._client.storage.acquire_entry("minute", budget, self._window):
                self._local.acquire(budget)
                return 0.0
            start, _ = self._client.storage.get_moving_window("minute", budget, self._window)
            return max(0.01, start + self._window - time.time())

        return self._client.call(command, fallback=lambda: self._local.acquire(budget))

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
        self._local.reset_after_fork()
