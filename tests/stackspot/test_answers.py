"""Where cached answers are kept: in one process, bounded in bytes, and shared through a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from custom_handler import StackspotLLM
from custom_handler.settings import RedisSettings, Settings
from custom_handler.stackspot.state.answers import ENTRY_BYTES, MAX_ANSWER_BYTES, AnswerStore, LocalAnswerStore
from custom_handler.stackspot.state.backend import open_answers
from custom_handler.stackspot.state.redis_answers import RedisAnswerStore
from tests.support.asking import ENTRIES
from tests.support.clock import Clock
from tests.support.waiting import eventually


@pytest.fixture
def shared(redis_server: Any) -> Iterator[RedisAnswerStore]:
    made = RedisAnswerStore(RedisSettings(url=redis_server.url), "r/c", time.monotonic)
    yield made
    made._client.redis.close()


@pytest.fixture(params=["local", "shared"])
def store(request: pytest.FixtureRequest) -> AnswerStore:
    if request.param == "local":
        return LocalAnswerStore(10_000_000, time.monotonic)
    made: AnswerStore = request.getfixturevalue("shared")
    return made


def test_an_answer_is_found_again_and_again(store: AnswerStore) -> None:
    store.put("key", b"\x00\xff", 300)
    assert [store.get("key"), store.get("key"), store.get("other")] == [b"\x00\xff"] * 2 + [None]


def test_the_last_answer_counts(store: AnswerStore) -> None:
    store.put("key", b"one", 300)
    store.put("key", b"two", 300)
    assert store.get("key") == b"two"


def test_a_very_long_answer_is_not_stored(store: AnswerStore) -> None:
    store.put("key", b"x" * MAX_ANSWER_BYTES, 300)
    assert store.get("key") is not None
    store.put("longer", b"x" * (MAX_ANSWER_BYTES + 1), 300)
    assert store.get("longer") is None


def test_redis_forgets_answers_by_itself(shared: RedisAnswerStore) -> None:
    shared.put("key", b"one", 300)
    [name] = shared._client.redis.keys("stackspot:*:answer:key")
    assert 290_000 < shared._client.redis.pttl(name) <= 300_000


def test_a_redis_that_is_away_has_no_answers() -> None:
    store = RedisAnswerStore(RedisSettings(url="redis://127.0.0.1:1/0"), "r/c", time.monotonic)
    store.put("key", b"one", 300)
    assert store.get("key") is None


def test_an_answer_expires_in_its_process_and_frees_its_bytes() -> None:
    clock = Clock()
    store = LocalAnswerStore(10_000, clock)
    store.put("key", b"one", 60)
    clock.now = 59.9
    assert store.get("key") == b"one"
    clock.now = 60
    assert store.get("key") is None
    assert store.bytes == 0


def test_bytes_are_bounded_and_the_least_recently_used_answer_goes_first() -> None:
    size = 1 + 100 + ENTRY_BYTES
    store = LocalAnswerStore(3 * size, Clock())
    for key in "abc":
        store.put(key, b"x" * 100, 60)
    assert store.bytes == 3 * size
    store.get("a")
    store.put("d", b"x" * 100, 60)
    assert [key for key in "abcd" if store.get(key)] == ["a", "c", "d"]
    store.put("e", b"x" * 5000, 60)  # larger than all
    assert [key for key in "abcde" if store.get(key)] == ["a", "c", "d"]
    store.put("f", b"x" * (2 * size), 60)
    assert store.bytes <= 3 * size
    assert store.get("f") is not None


def test_the_settings_choose_the_store() -> None:
    assert isinstance(open_answers(Settings()), LocalAnswerStore)
    assert isinstance(open_answers(Settings(redis=RedisSettings(host="redis.example"))), RedisAnswerStore)


def test_a_child_process_starts_without_answers() -> None:
    store = LocalAnswerStore(10_000, Clock())
    store.put("key", b"one", 60)
    store.reset_after_fork()
    assert (store.get("key"), store.bytes) == (None, 0)


def test_two_processes_share_answers(settings: Any, simulator: Any, hello: Any, redis_server: Any) -> None:
    simulator.script({"text": "um dois", "times": "always"})
    shared = settings.changed(redis={"url": redis_server.url})
    first, second = StackspotLLM(shared), StackspotLLM(shared)
    call = {"litellm_params": {"model_info": {"cache": "key"}}}
    asked = ENTRIES["completion"](first, hello, **call)
    known = RedisAnswerStore(shared.redis, shared.account.name, time.monotonic)
    eventually(lambda: known._client.redis.keys("stackspot:*:answer:*"))
    assert ENTRIES["completion"](second, hello, **call).told() == asked.told()
    assert [request["at"] for request in simulator.requests()] == ["token", "chat"]
    known._client.redis.close()
