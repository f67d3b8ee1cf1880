"""The way to Redis that whatever processes share takes: asked again after a while when it is away, and never an error."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...errors import ConfigurationError
from ...settings import RedisSettings

ANSWER_TIMEOUT = 1.0
ASK_AGAIN = 5.0

_REFUSALS = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class RedisClient:
    """The Redis of the settings, with names of the account's own; `away` and `back` tell the log what follows from either."""

    def __init__(self, settings: RedisSettings, account: str, clock: Callable[[], float], away: str, back: str) -> None:
        self._key = f"stackspot:{hashlib.sha256(account.encode()).hexdigest()[:16]}"
        self._clock = clock
        self._away_means, self._back_means = away, back
        self._ask_again = 0.0
        self._away = False
        names = {"username": settings.username, "password": settings.password}
        credentials: dict[str, Any] = {name: value for name, value in names.items() if value}
        try:
            self.storage = RedisStorage(
                settings.url or _address(settings),
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
        self.redis: redis.Redis = self.storage.get_connection()  # type: ignore[assignment]

    def name(self, what: str) -> str:
        """Return a key of the account's."""
        return f"{self._key}:{what}"

    def ask(self, ask: Callable[[], Answer], instead: Callable[[], Answer]) -> Answer:
        """Ask Redis, but not for a while after it gave no answer."""
        if self._clock() < self._ask_again:
            return instead()
        try:
            answer = ask()
        except redis.RedisError as error:
            if not self._away:
                what = "refuses the credentials" if isinstance(error, _REFUSALS) else "is away"
                logger.warning("Redis %s (%s): %s until it answers", what, type(error).__name__, self._away_means)
            self._away, self._ask_again = True, self._clock() + ASK_AGAIN
            return instead()
        if self._away:
            logger.info("Redis is back: %s", self._back_means)
            self._away = False
        return answer


def _address(settings: RedisSettings) -> str:
    scheme = "rediss" if settings.ssl else "redis"
    return f"{scheme}://{settings.host}:{settings.port}/{settings.db}"
