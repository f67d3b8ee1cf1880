"""The ledger that all processes of an account share, in the Redis that LiteLLM uses too."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...settings import RedisSettings
from .redis_client import RedisClient
from .window import WINDOW, LocalRequestWindow


class RedisRequestWindow:
    """A Ledger that blocks for as long as Redis takes.

    Where Redis is away, the process's own ledger stands in, with the whole budget; it knows what this process has spent. The
    window goes by the clocks of the machines: they must agree to about a second, as any time service sees to.
    """

    instant = False

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float], window: int = WINDOW) -> None:
        self._window = window
        self._local = LocalRequestWindow(clock, window)
        self._link = RedisClient(
            settings, account, clock, "the quota is this process's own", "the quota is shared again"
        )

    def spend(self, budget: int) -> float:
        """See Ledger."""

        def ask() -> float:
            if self._link.storage.acquire_entry("minute", budget, self._window):
                self._local.spend(budget)
                return 0.0
            start, _ = self._link.storage.get_moving_window("minute", budget, self._window)
            return max(0.01, start + self._window - time.time())

        return self._link.ask(ask, lambda: self._local.spend(budget))

    def standing(self, mark: str) -> tuple[int, float]:
        """See Ledger."""

        def ask() -> tuple[int, float]:
            with self._link.redis.pipeline(transaction=False) as pipeline:
                pipeline.get(self._link.name(mark))
                pipeline.pttl(self._link.name(mark))
                value, milliseconds = pipeline.execute()
            return (int(value), milliseconds / 1000) if value is not None and milliseconds > 0 else (0, 0.0)

        return self._link.ask(ask, lambda: self._local.standing(mark))

    def put(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See Ledger."""

        def ask() -> bool:
            return bool(
                self._link.redis.set(self._link.name(mark), value, px=max(1, round(seconds * 1000)), nx=only_new)
            )

        return self._link.ask(ask, lambda: self._local.put(mark, value, seconds, only_new=only_new))

    def forget(self) -> None:
        """See Ledger; the client of Redis sees to itself."""
        self._local.forget()
