"""A Redis client that falls back to local state while Redis is unavailable, and raises no error."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...errors import ConfigurationError
from ...settings import RedisSettings

RESPONSE_TIMEOUT = 1.0
RETRY_SECONDS = 5.0

_AUTH_ERRORS = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class RedisClient:
    """The Redis of the settings, with a key prefix for each account.

    `on_loss` and `on_return` complete the log lines about losing Redis and finding it again.
    """

    def __init__(
        self, settings: RedisSettings, account: str, clock: Callable[[], float], on_loss: str, on_return: str
    ) -> None:
        self._prefix = f"stackspot:{hashlib.sha256(account.encode()).hexdigest()[:16]}"
        self._clock = clock
        self._on_loss, self._on_return = on_loss, on_return
        self._retry_at = 0.0
        self._lost = False
        login = {"username": settings.username, "password": settings.password}
        credentials: dict[str, Any] = {name: value for name, value in login.items() if value}
        try:
            self.redis: redis.Redis = redis.Redis.from_url(
                settings.url or _url(settings),
                socket_timeout=RESPONSE_TIMEOUT,
                socket_connect_timeout=RESPONSE_TIMEOUT,
                # Once, for a connection that was closed meanwhile; a Redis that is silent stays so.
                retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
                **credentials,
            )
        except ValueError:
            raise ConfigurationError(
                "REDIS_URL is not a valid Redis URL: it must begin with redis:// or rediss://."
            ) from None

    def key(self, name: str) -> str:
        """Return the account's key for a name."""
        return f"{self._prefix}:{name}"

    def call(self, command: Callable[[], Result], fallback: Callable[[], Result]) -> Result:
        """Return the result of `command`; of `fallback` for RETRY_SECONDS after Redis failed."""
        if self._clock() < self._retry_at:
            return fallback()
        try:
            result = command()
        except redis.RedisError as error:
            if not self._lost:
                problem = "rejects the credentials" if isinstance(error, _AUTH_ERRORS) else "is unavailable"
                logger.warning("Redis %s (%s): %s until it responds", problem, type(error).__name__, self._on_loss)
            self._lost, self._retry_at = True, self._clock() + RETRY_SECONDS
            return fallback()
        if self._lost:
            logger.info("Redis is available again: %s", self._on_return)
            self._lost = False
        return result


def _url(settings: RedisSettings) -> str:
    scheme = "rediss" if settings.ssl else "redis"
    return f"{scheme}://{settings.host}:{settings.port}/{settings.db}"
