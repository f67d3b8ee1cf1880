"""Which conversations are known: in one process, and shared through a real Redis."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from custom_handler.settings import RedisSettings, Settings
from custom_handler.stackspot.state.backend import open_state
from custom_handler.stackspot.state.conversations import ConversationStore, LocalConversationStore, new_conversation_id
from custom_handler.stackspot.state.redis_client import RETRY_SECONDS
from custom_handler.stackspot.state.redis_conversations import RedisConversationStore
from tests.support.clock import Clock


@pytest.fixture
def shared(redis_server: Any) -> Iterator[Callable[..., RedisConversationStore]]:
    made: list[RedisConversationStore] = []

    def make(
        clock: Any = time.monotonic, keep: float = 1800.0, account: str = "r/c", **redis: Any
    ) -> RedisConversationStore:
        settings = RedisSettings(**{"url": redis_server.url, **redis})
        made.append(RedisConversationStore(settings, account, keep, clock))
        return made[-1]

    yield make
    for conversations in made:
        conversations._client.redis.close()


@pytest.fixture(params=["local", "shared"])
def known(request: pytest.FixtureRequest) -> ConversationStore:
    """The conversations of one process, and those in Redis."""
    if request.param == "local":
        return LocalConversationStore(30, time.monotonic)
    made: ConversationStore = request.getfixturevalue("shared")()
    return made


def test_a_conversation_is_found_once(known):
    known.put("print", "01A")
    assert [known.take("print"), known.take("print")] == ["01A", None]


def test_an_unknown_fingerprint_finds_none(known):
    known.put("print", "01A")
    assert known.take("other") is None


def test_the_last_one_stored_counts(known):
    known.put("print", "01A")
    known.put("print", "01B")
    assert known.take("print") == "01B"


def test_one_of_many_concurrent_callers_takes_it(known):
    known.put("print", "01A")
    together = threading.Barrier(8)

    def take(_: int) -> str | None:
        together.wait(10)
        return known.take("print")

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(take, range(8)))
    assert sorted(found, key=str) == ["01A"] + [None] * 7


def test_a_conversation_expires():
    clock = Clock()
    known = LocalConversationStore(30, clock)
    known.put("print", "01A")
    known.put("other", "01B")
    clock.now = 29.9
    assert known.take("print") == "01A"
    clock.now = 30.0
    assert known.take("other") is None


def test_beyond_the_limit_the_oldest_are_dropped():
    known = LocalConversationStore(30, Clock(), max_size=3)
    for number in range(5):
        known.put(str(number), f"01{number}")
    assert [known.take(str(number)) for number in range(5)] == [None, None, "012", "013", "014"]


def test_a_child_process_has_none():
    known = LocalConversationStore(30, Clock())
    known.put("print", "01A")
    known.reset_after_fork()
    assert known.take("print") is None


def test_one_process_finds_what_another_stored(shared):
    shared().put("print", "01A")
    assert shared().take("print") == "01A"


def test_accounts_do_not_share(shared):
    shared(account="a/c").put("print", "01A")
    assert shared(account="b/c").take("print") is None


def test_redis_stores_only_fingerprint_and_id_and_expires_them(shared, redis_server):
    shared(keep=90.0).put("print", "01A")
    with redis.Redis(port=redis_server.port) as client:
        [key] = client.scan_iter()
        assert re.fullmatch(rb"stackspot:[0-9a-f]{16}:conversation:print", key)
        assert client.get(key) == b"01A"
        assert 85_000 < client.pttl(key) <= 90_000


def test_without_redis_none_is_found_and_one_warning_logged(shared, redis_server, caplog):
    clock = Clock()
    known = shared(clock)
    known.put("print", "01A")
    with caplog.at_level(logging.INFO, "custom_handler"):
        redis_server.stop()
        assert known.take("print") is None
        known.put("print", "01B")
        clock.now += RETRY_SECONDS + 1
        assert known.take("print") is None
        redis_server.start()
        clock.now += RETRY_SECONDS + 1
        known.put("print", "01C")
        assert known.take("print") == "01C"
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" (")[0] for text in told] == [
        "Redis is unavailable",
        "Redis is available again: conversations continue",
    ]
    assert "each turn starts a new conversation" in told[0]


@pytest.mark.parametrize(
    ("address", "kind"), [("", LocalConversationStore), ("redis://127.0.0.1:1", RedisConversationStore)]
)
def test_the_settings_choose_the_store(address, kind):
    assert isinstance(open_state(Settings(redis=RedisSettings(url=address)))[1], kind)


def test_each_id_is_a_new_ulid():
    made = {new_conversation_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", identifier) for identifier in made)
