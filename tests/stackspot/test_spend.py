"""The stores of what keys have spent: both add atomically, survive a restart, and never fail a request."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from custom_handler.settings import RedisSettings, Settings
from custom_handler.stackspot.state.redis_spend import RedisSpendStore
from custom_handler.stackspot.state.spend import FILE_NAME, SpendStore, SqliteSpendStore, open_spend_store
from tests.support.redis_server import RedisServer, running_redis

MONTH = 1_796_083_200


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "sqlite":
        yield Settings.from_mapping({"JOBS_DIR": str(tmp_path / "jobs")})
        return
    with running_redis(tmp_path) as server:
        yield Settings.from_mapping({"REDIS_URL": server.url})


def test_amounts_of_two_processes_add_up_by_key_and_period(settings: Settings) -> None:
    one, other = open_spend_store(settings), open_spend_store(settings)
    assert one.read("team", 0) == 0
    assert one.add("team", 0, 0.25) == 0.25
    assert other.add("team", 0, 0.5) == 0.75
    assert (one.read("team", 0), one.read("other", 0), one.read("team", MONTH)) == (0.75, 0, 0)
    one.close()
    other.close()
    assert open_spend_store(settings).read("team", 0) == 0.75


def test_no_amount_is_lost_between_processes(settings: Settings) -> None:
    def process(_: int) -> None:
        store = open_spend_store(settings)
        for _ in range(25):
            store.add("team", 0, 1)
        store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(process, range(4)))
    assert open_spend_store(settings).read("team", 0) == 100


def test_a_period_that_is_over_is_removed(settings: Settings) -> None:
    store = open_spend_store(settings)
    store.add("team", 0, 1, expires=int(time.time()) - 1)
    store.add("team", MONTH, 2, expires=int(time.time()) + 60)
    assert (store.read("team", 0), store.read("team", MONTH)) == (0, 2)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    SqliteSpendStore(tmp_path / "jobs" / FILE_NAME).add("team", 0, 1)
    assert stat.S_IMODE((tmp_path / "jobs" / FILE_NAME).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_to_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "jobs").write_text("a file")
    store: SpendStore = SqliteSpendStore(tmp_path / "jobs" / FILE_NAME)
    with caplog.at_level(logging.WARNING):
        assert [store.read("team", 0), store.add("team", 0, 1), store.read("team", 0)] == [None, None, None]
    [record] = caplog.records
    assert "Set JOBS_DIR to a folder that can be written to, or REDIS_URL" in record.getMessage()


def test_without_redis_there_is_no_sum(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = RedisSpendStore(RedisSettings(url=server.url))
    assert store.read("team", 0) is None
    assert store.add("team", 0, 1) is None
