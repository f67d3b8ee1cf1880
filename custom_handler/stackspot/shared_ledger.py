"""The ledger that all processes of an account share, in the Redis that LiteLLM uses too."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError
from ..settings import Settings
from .ledger import WINDOW, LocalLedger

ANSWER_TIMEOUT = 1.0
ASK_AGAIN = 5.0

_REFUSALS = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class SharedLedger:
    """A Ledger that blocks for as long as Redis takes.

    Where Redis is away, the process's own ledger stands in, with the whole budget; it knows what this process has spent. The
    window goes by the clocks of the machines: they must agree to about a second, as any time service sees to.
    """

    instant = False

    def __init__(self, settings: Settings, clock: Callable[[], float], window: int = WINDOW) -> None:
        account = hashlib.sha256(f"{settings.realm}/{settings.client_id}".encode()).hexdigest()[:16]
        self._key = f"stackspot:{account}"
        self._window = window
        self._clock = clock
        self._local = LocalLedger(clock, window)
        self._ask_again = 0.0
        self._away = False
        names = {"username": settings.redis_username, "password": settings.redis_password}
        credentials: dict[str, Any] = {name: value for name, value in names.items() if value}
        try:
            self._storage = RedisStorage(
                settings.redis_url or _address(settings),
                key_prefix=self._key,
                socket_timeout=ANSWER_TIMEOUT,
                socket_connect_timeout=ANSWER_TIMEOUT,
                retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]
                **credentials,
            )
        except ValueError:
            raise ConfigurationError(
                "REDIS_URL is no address of a Redis: it begins with redis:// or rediss://."
            ) from None
        self._redis: redis.Redis = self._storage.get_connection()  # type: ignore[assignment]

    def spend(self, budget: int) -> float:
        """See Ledger."""

        def ask() -> float:
            if self._storage.acquire_entry("minute", budget, self._window):
                self._local.spend(budget)
                return 0.0
            start, _ = self._storage.get_moving_window("minute", budget, self._window)
            return max(0.01, start + self._window - time.time())

        return self._shared(ask, lambda: self._local.spend(budget))

    def standing(self, mark: str) -> tuple[int, float]:
        """See Ledger."""

        def ask() -> tuple[int, float]:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.get(self._name(mark))
                pipeline.pttl(self._name(mark))
                value, milliseconds = pipeline.execute()
            return (int(value), milliseconds / 1000) if value is not None and milliseconds > 0 else (0, 0.0)

        return self._shared(ask, lambda: self._local.standing(mark))

    def put(self, mark: str, value: int, seconds: float, *, only_new: bool = False) -> bool:
        """See Ledger."""

        def ask() -> bool:
            return bool(self._redis.set(self._name(mark), value, px=max(1, round(seconds * 1000)), nx=only_new))

        return self._shared(ask, lambda: self._local.put(mark, value, seconds, only_new=only_new))

    def forget(self) -> None:
        """See Ledger; the client of Redis sees to itself."""
        self._local.forget()

    def _name(self, mark: str) -> str:
        return f"{self._key}:{mark}"

    def _shared(self, ask: Callable[[], Answer], instead: Callable[[], Answer]) -> Answer:
        """Ask Redis, but not for a while after it gave no answer."""
        if self._clock() < self._ask_again:
            return instead()
        try:
            answer = ask()
        except redis.RedisError as error:
            if not self._away:
                what = "refuses the credentials" if isinstance(error, _REFUSALS) else "is away"
                logger.warning(
                    "Redis %s (%s): the quota is this process's own until it answers", what, type(error).__name__
                )
            self._away, self._ask_again = True, self._clock() + ASK_AGAIN
            return instead()
        if self._away:
            logger.info("Redis is back: the quota is shared again")
            self._away = False
        return answer


def _address(settings: Settings) -> str:
    scheme = "rediss" if settings.redis_ssl else "redis"
    return f"{scheme}://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
