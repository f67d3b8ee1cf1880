"""Both stores of responses: each owner finds its own, across processes, until it is too old or too many."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from custom_handler.history.redis_store import RedisResponseStore
from custom_handler.history.sqlite_store import SqliteResponseStore
from custom_handler.history.store import ResponseStore, StoreFailed, open_responses
from custom_handler.settings import RedisSettings, Settings
from tests.history.conftest import KEEP, PER_KEY
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer


def test_an_owner_finds_its_own_responses_and_items_also_in_another_process(
    open_store: Callable[[], ResponseStore],
) -> None:
    one, other = open_store(), open_store()
    one.put("a", "r1", b"\x00first", {"i1": b"one", "i2": b"two"})
    one.put("b", "r1", b"of b", {"i1": b"of b"})
    assert (other.get("a", "r1"), other.get("b", "r1"), other.get("a", "r2")) == (b"\x00first", b"of b", None)
    assert other.items("a", ["i1", "i2", "i3"]) == {"i1": b"one", "i2": b"two"}
    assert (other.items("b", ["i1", "i2"]), other.items("c", ["i1"]), other.items("a", [])) == ({"i1": b"of b"}, {}, {})


def test_a_response_outlives_the_process_that_kept_it_and_was_killed(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "responses.sqlite3"
    code = (
        "import os, pathlib, signal, sys\n"
        "from custom_handler.history.sqlite_store import SqliteResponseStore\n"
        f"store = SqliteResponseStore(pathlib.Path(sys.argv[1]), {KEEP}, {PER_KEY}, lambda: {clock()})\n"
        "store.put('a', 'r1', b'first', {'i1': b'one'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(file)], check=False, timeout=60)
    assert ended.returncode == -9
    store = SqliteResponseStore(file, KEEP, PER_KEY, clock)
    assert (store.get("a", "r1"), store.items("a", ["i1"])) == (b"first", {"i1": b"one"})
    store.close()


def test_a_deleted_response_is_gone_with_its_items_and_no_other(store: ResponseStore) -> None:
    store.put("a", "r1", b"1", {"i1": b"one"})
    store.put("a", "r2", b"2", {"i2": b"two"})
    store.put("b", "r1", b"3", {})
    assert [store.delete("a", "r1"), store.delete("a", "r1"), store.delete("b", "r2")] == [True, False, False]
    assert [store.get("a", "r1"), store.get("a", "r2"), store.get("b", "r1")] == [None, b"2", b"3"]
    assert store.items("a", ["i1", "i2"]) == {"i2": b"two"}


def test_a_response_that_is_stored_again_is_replaced(store: ResponseStore) -> None:
    store.put("a", "r1", b"1", {"i1": b"one"})
    store.put("a", "r1", b"2", {"i1": b"two"})
    assert (store.get("a", "r1"), store.items("a", ["i1"])) == (b"2", {"i1": b"two"})


def test_of_each_owner_the_newest_responses_are_kept(store: ResponseStore, clock: Clock) -> None:
    store.put("b", "r0", b"of b", {})
    for number in range(PER_KEY + 2):
        clock.now += 1
        store.put("a", f"r{number}", b"1", {f"i{number}": b"item"})
    kept = [f"r{number}" for number in range(PER_KEY + 2) if store.get("a", f"r{number}") is not None]
    assert kept == [f"r{number}" for number in range(2, PER_KEY + 2)]
    assert store.items("a", ["i1", "i2"]) == {"i2": b"item"}
    assert store.get("b", "r0") == b"of b"


def test_many_items_are_found_in_one_call(store: ResponseStore) -> None:
    items = {f"i{number}": b"%d" % number for number in range(1200)}
    store.put("a", "r1", b"1", items)
    assert store.items("a", items) == items


def test_threads_and_processes_write_at_once(open_store: Callable[[], ResponseStore]) -> None:
    stores = [open_store(), open_store()]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].put(f"owner {n}", "r", b"%d" % n, {"i": b"x"}), range(40)))
        found = list(pool.map(lambda n: stores[1 - n % 2].get(f"owner {n}", "r"), range(40)))
    assert found == [b"%d" % n for n in range(40)]


def test_sqlite_forgets_what_is_too_old_and_deletes_it_with_the_next_write(tmp_path: Path) -> None:
    clock = Clock()
    store = SqliteResponseStore(tmp_path / "made" / "r.sqlite3", KEEP, PER_KEY, clock)
    store.put("a", "r1", b"1", {"i1": b"one"})
    clock.now += KEEP + 1
    assert (store.get("a", "r1"), store.items("a", ["i1"]), store.delete("a", "r1")) == (None, {}, False)
    store.put("b", "r2", b"2", {})
    store.close()
    with sqlite3.connect(tmp_path / "made" / "r.sqlite3") as file:
        assert file.execute("select id from response").fetchall() == [("r2",)]
        assert file.execute("select count(*) from item").fetchall() == [(0,)]
    assert stat.S_IMODE((tmp_path / "made" / "r.sqlite3").stat().st_mode) == 0o600


def test_every_key_of_redis_expires(redis_process: RedisServer) -> None:
    with Redis.from_url(redis_process.url) as client:
        client.flushall()
        store = RedisResponseStore(RedisSettings(url=redis_process.url), KEEP, PER_KEY)
        store.put("a", "r1", b"1", {"i1": b"one"})
        names = client.keys("*")
        assert len(names) == 4
        assert all(0 < client.pttl(name) <= KEEP * 1000 for name in names)
        store.delete("a", "r1")
        assert client.keys("*") == []
        store.close()


@pytest.mark.parametrize("address", ["", "redis://127.0.0.1:1/0"], ids=["sqlite", "redis"])
def test_a_store_that_cannot_be_used_says_so(tmp_path: Path, address: str) -> None:
    (tmp_path / "file").write_text("no folder")
    store = open_responses(Settings().changed(jobs={"directory": str(tmp_path / "file")}, redis={"url": address}))
    with pytest.raises(StoreFailed):
        store.put("a", "r", b"", {})
    with pytest.raises(StoreFailed):
        store.get("a", "r")
    with pytest.raises(StoreFailed):
        store.items("a", ["i"])


def test_of_many_that_claim_an_id_one_has_it(open_store: Callable[[], ResponseStore]) -> None:
    one, other = open_store(), open_store()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: (one if n % 2 else other).claim("a", "r1", b"%d" % n), range(24)))
    assert found.count(None) == 1
    winner = b"%d" % found.index(None)
    assert set(found) == {None, winner}
    assert one.get("a", "r1") == winner
    assert one.claim("b", "r1", b"of b") is None


def test_a_claim_counts_and_ends_as_a_response_does(store: ResponseStore, clock: Clock) -> None:
    for number in range(PER_KEY + 1):
        clock.now += 1
        assert store.claim("a", f"r{number}", b"1") is None
    assert [store.claim("a", f"r{PER_KEY}", b"2"), store.get("a", "r0")] == [b"1", None]
    assert store.delete("a", "r2") is True
    assert store.claim("a", "r2", b"2") is None
