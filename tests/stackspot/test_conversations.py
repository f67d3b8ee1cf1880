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
from custom_handler.stackspot.state.conversations import Conversations, LocalConversations, new_conversation_id
from custom_handler.stackspot.state.redis_client import ASK_AGAIN
from custom_handler.stackspot.state.redis_conversations import SharedConversations


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shared(server: Any) -> Iterator[Callable[..., SharedConversations]]:
    made: list[SharedConversations] = []

    def make(
        clock: Any = time.monotonic, keep: float = 1800.0, account: str = "r/c", **redis: Any
    ) -> SharedConversations:
        settings = RedisSettings(**{"url": server.url, **redis})
        made.append(SharedConversations(settings, account, keep, clock))
        return made[-1]

    yield make
    for conversations in made:
        conversations._link.redis.close()


@pytest.fixture(params=["local", "shared"])
def known(request: pytest.FixtureRequest) -> Conversations:
    """The conversations of one process, and those in Redis."""
    if request.param == "local":
        return LocalConversations(30, time.monotonic)
    made: Conversations = request.getfixturevalue("shared")()
    return made


def test_a_conversation_is_found_once(known):
    known.keep("print", "01A")
    assert [known.take("print"), known.take("print")] == ["01A", None]


def test_one_that_nobody_kept_is_not_known(known):
    known.keep("print", "01A")
    assert known.take("other") is None


def test_the_last_one_kept_counts(known):
    known.keep("print", "01A")
    known.keep("print", "01B")
    assert known.take("print") == "01B"


def test_of_many_that_want_it_at_once_one_has_it(known):
    known.keep("print", "01A")
    together = threading.Barrier(8)

    def take(_: int) -> str | None:
        together.wait(10)
        return known.take("print")

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(take, range(8)))
    assert sorted(found, key=str) == ["01A"] + [None] * 7


def test_a_conversation_fades():
    clock = Clock()
    known = LocalConversations(30, clock)
    known.keep("print", "01A")
    known.keep("other", "01B")
    clock.now = 29.9
    assert known.take("print") == "01A"
    clock.now = 30.0
    assert known.take("other") is None


def test_of_too_many_the_oldest_go():
    known = LocalConversations(30, Clock(), most=3)
    for number in range(5):
        known.keep(str(number), f"01{number}")
    assert [known.take(str(number)) for number in range(5)] == [None, None, "012", "013", "014"]


def test_a_forks_child_knows_none():
    known = LocalConversations(30, Clock())
    known.keep("print", "01A")
    known.forget()
    assert known.take("print") is None


def test_what_one_process_keeps_another_finds(shared):
    shared().keep("print", "01A")
    assert shared().take("print") == "01A"


def test_accounts_do_not_share(shared):
    shared(account="a/c").keep("print", "01A")
    assert shared(account="b/c").take("print") is None


def test_redis_forgets_by_itself_and_holds_nothing_but_fingerprint_and_id(shared, server):
    shared(keep=90.0).keep("print", "01A")
    with redis.Redis(port=server.port) as client:
        [key] = client.scan_iter()
        assert re.fullmatch(rb"stackspot:[0-9a-f]{16}:conversation:print", key)
        assert client.get(key) == b"01A"
        assert 85_000 < client.pttl(key) <= 90_000


def test_without_redis_conversations_begin_anew_with_one_warning(shared, server, caplog):
    clock = Clock()
    known = shared(clock)
    known.keep("print", "01A")
    with caplog.at_level(logging.INFO, "custom_handler"):
        server.stop()
        assert known.take("print") is None
        known.keep("print", "01B")
        clock.now += ASK_AGAIN + 1
        assert known.take("print") is None
        server.start()
        clock.now += ASK_AGAIN + 1
        known.keep("print", "01C")
        assert known.take("print") == "01C"
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" (")[0] for text in told] == ["Redis is away", "Redis is back: conversations go on"]
    assert "conversations begin anew" in told[0]


@pytest.mark.parametrize(("address", "kind"), [("", LocalConversations), ("redis://127.0.0.1:1", SharedConversations)])
def test_the_settings_say_where_conversations_are_kept(address, kind):
    assert isinstance(open_state(Settings(redis=RedisSettings(url=address)))[1], kind)


def test_an_id_is_a_ulid_and_no_two_are_the_same():
    made = {new_conversation_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", identifier) for identifier in made)
