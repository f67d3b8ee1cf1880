"""A store of responses on both back ends: SQLite in a temporary folder, Redis in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from custom_handler.history.redis_store import RedisResponseStore
from custom_handler.history.sqlite_store import SqliteResponseStore
from custom_handler.history.store import ResponseStore
from custom_handler.settings import RedisSettings
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer, running_redis

KEEP, PER_KEY = 1000.0, 5


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], ResponseStore]]:
    """Open the store, as each of the processes does that share it."""
    opened: list[ResponseStore] = []
    settings = RedisSettings()
    if request.param == "redis":
        settings = RedisSettings(url=request.getfixturevalue("redis_process").url)
        with Redis.from_url(settings.url) as client:
            client.flushall()

    def open_one() -> ResponseStore:
        store: ResponseStore = (
            RedisResponseStore(settings, KEEP, PER_KEY, clock)
            if settings.url
            else SqliteResponseStore(tmp_path / "jobs" / "responses.sqlite3", KEEP, PER_KEY, clock)
        )
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ResponseStore]) -> ResponseStore:
    return open_store()
