"""Both job stores behave alike."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from custom_handler.errors import JobStoreUnavailable
from custom_handler.jobs.job import Outcome
from custom_handler.jobs.queue import JobQueue
from custom_handler.jobs.redis_store import RedisJobStore

DONE = Outcome({"content": "olá"})
ERROR = Outcome({"message": "no"}, ok=False)


@pytest.fixture
def store(queue):
    return queue.store


@pytest.fixture
def stored(store, new_job):
    """A job of three items, in the store."""
    job = new_job(3)
    store.add(job, ["a", "b", "c"])
    return job


def test_a_job_is_found_as_it_was_added(store, stored):
    assert store.find(stored.id) == stored


def test_a_job_is_not_stored_after_its_deadline(queue, new_job):
    job = new_job(1)
    with pytest.raises(JobStoreUnavailable, match="Send it again"):
        queue.add(job, ["x"], deadline=time.monotonic())
    assert queue.store.find(job.id) is None
    queue.add(job, ["x"], deadline=time.monotonic() + 3600)
    assert queue.store.find(job.id) == job


def test_a_frozen_redis_stores_no_job_after_its_deadline(redis_process, new_job, monkeypatch):
    """It runs later what it was sent before, when the client has got its error."""
    job, deadline = new_job(1), time.monotonic() + 0.5
    with Redis.from_url(redis_process.url) as client:
        store = RedisJobStore(client)
        from_now = store._from_now

        def freeze(deadline: float) -> str:
            found = from_now(deadline)
            redis_process.freeze()
            return found

        def thaw() -> None:
            while time.monotonic() < deadline:
                time.sleep(0.01)
            redis_process.thaw()

        monkeypatch.setattr(store, "_from_now", freeze)
        thawing = threading.Thread(target=thaw)
        thawing.start()
        with pytest.raises(JobStoreUnavailable, match="Send it again"):
            store.add(job, ["x"], deadline)
        thawing.join()
        assert store.find(job.id) is None
        assert job.id not in store.claimable()


def test_a_command_that_redis_gets_twice_starts_no_job_again(redis_process, new_job):
    job = new_job(1)
    with Redis.from_url(redis_process.url) as client:
        store = RedisJobStore(client)
        store.add(job, ["x"])
        assert store.claim(job.id, "w", 600)
        store.add(job, ["x"])
        assert job.id not in store.claimable()
        assert store.renew(job.id, "w", 600)


def test_an_unknown_job_is_not_found(store):
    assert store.find("unknown") is None
    assert not store.claim("unknown", "w", 9)
    assert not store.end("unknown", "cancelled")


def test_an_owner_sees_its_own_jobs_the_newest_first(store, new_job):
    jobs = [dataclasses.replace(new_job(owner=owner), created=float(at)) for at, owner in enumerate("aabab")]
    for job in jobs:
        store.add(job, ["x"])
    assert [job.created for job in store.newest("a", 10)] == [3, 1, 0]
    assert [job.created for job in store.newest(None, 2)] == [4, 3]


def test_one_worker_alone_claims_a_job(open_queue, stored):
    start, claimed = threading.Barrier(8), []

    def claim(worker):
        store = open_queue().store
        start.wait()
        claimed.append(store.claim(stored.id, worker, 9))

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [False] * 7 + [True]


def test_a_claimed_job_runs_and_is_not_claimable(store, stored):
    assert store.claimable() == [stored.id]
    assert store.claim(stored.id, "w", 9)
    assert store.find(stored.id).status == "running"
    assert store.claimable() == []


def test_an_expired_lease_is_taken_over_and_its_worker_locked_out(store, stored):
    store.claim(stored.id, "dead", 0.01)
    time.sleep(0.02)
    assert store.claimable() == [stored.id]
    assert store.claim(stored.id, "w", 9)
    assert not store.renew(stored.id, "dead", 9)
    assert not store.record(stored.id, "dead", 0, DONE)
    assert not store.end(stored.id, "completed", None, "dead")
    assert store.renew(stored.id, "w", 9)


def test_a_renewed_lease_is_valid(store, stored):
    store.claim(stored.id, "w", 0.01)
    assert store.renew(stored.id, "w", 9)
    time.sleep(0.02)
    assert not store.claim(stored.id, "other", 9)


def test_a_recorded_item_is_not_open(store, stored):
    store.claim(stored.id, "w", 9)
    assert store.record(stored.id, "w", 1, ERROR)
    assert [(item.number, item.payload) for item in store.open_items(stored.id)] == [(0, "a"), (2, "c")]
    assert store.outcomes(stored.id) == {1: ERROR}
    assert dataclasses.astuple(store.find(stored.id))[-5:] == ("running", 1, 1, None, None)


def test_the_first_outcome_of_an_item_stays(store, stored):
    store.claim(stored.id, "w", 9)
    assert store.record(stored.id, "w", 0, DONE)
    assert not store.record(stored.id, "w", 0, ERROR)
    assert store.outcomes(stored.id) == {0: DONE}
    assert (store.find(stored.id).done, store.find(stored.id).failed) == (1, 0)


def test_a_job_ends_once_and_forgets_its_caller(store, stored):
    store.claim(stored.id, "w", 9)
    before = time.time()
    assert store.end(stored.id, "cancelled")
    assert not store.end(stored.id, "completed", None, "w")
    ended = store.find(stored.id)
    assert (ended.status, ended.caller, ended.error) == ("cancelled", None, None)
    assert before <= ended.ended <= time.time()
    assert not store.renew(stored.id, "w", 9)
    assert not store.claim(stored.id, "w", 9)
    assert store.claimable() == []


def test_of_concurrent_ends_of_a_job_one_succeeds(open_queue, stored):
    stores, ended = [open_queue().store for _ in range(6)], []
    threads = [threading.Thread(target=lambda s=s: ended.append(s.end(stored.id, "completed", "why"))) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended.count(True) == 1
    assert stores[0].find(stored.id).error == "why"


def test_a_released_job_can_be_claimed_by_another_worker(store, stored):
    store.claim(stored.id, "w", 9)
    assert not store.release(stored.id, "other")
    assert store.release(stored.id, "w")
    assert store.find(stored.id).status == "queued"
    assert store.claim(stored.id, "other", 9)


def test_jobs_are_purged_some_time_after_they_ended(store, stored, new_job):
    other = new_job()
    store.add(other, ["x"])
    store.end(stored.id, "completed")
    assert store.purge(60) == 0
    time.sleep(0.01)
    assert store.purge(0) == 1
    assert store.find(stored.id) is None
    assert store.outcomes(stored.id) == {}
    assert store.open_items(stored.id) == []
    assert store.newest("ana", 9) == [other]


def test_only_a_claimable_job_without_a_message_is_queued_again(queue, new_job):
    notified, lost, held = (new_job() for _ in range(3))
    queue.add(notified, ["x"])
    for job in (lost, held):
        queue.store.add(job, ["x"])
    queue.store.claim(held.id, "w", 9)
    queue.recover()
    queue.recover()
    assert [task.id for task in queue.huey.pending()] == [notified.id, lost.id]


def test_queue_messages_are_signed(store_settings, queue, new_job):
    """huey unpickles messages, which can run code: a message with another signature is rejected."""
    queue.add(new_job(), ["x"])
    forged = JobQueue.open(store_settings, "another secret").huey
    with pytest.raises(ValueError, match="mismatch"):
        forged.dequeue()


@pytest.mark.parametrize("store_settings", ["sqlite"], indirect=True)
def test_only_the_owner_can_read_the_file(store_settings, queue, stored):
    modes = {stat.S_IMODE(file.stat().st_mode) for file in Path(store_settings.jobs.directory).iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(Path(store_settings.jobs.directory).stat().st_mode) == 0o700


@pytest.mark.parametrize("store_settings", ["sqlite"], indirect=True)
def test_a_full_disk_is_an_error_and_no_partial_job_is_stored(queue, new_job):
    queue.huey.storage.conn.execute("pragma max_page_count=40")  # the error is that of a full disk
    job = new_job(500)
    with pytest.raises(JobStoreUnavailable, match="database or disk is full") as error:
        queue.add(job, ["x" * 1000] * 500)
    assert (error.value.status_code, error.value.retry_after) == (503, 5.0)
    assert queue.store.find(job.id) is None
    assert queue.store.open_items(job.id) == []


@pytest.mark.parametrize("store_settings", ["sqlite"], indirect=True)
def test_a_folder_that_cannot_be_created_is_an_error(store_settings):
    Path(store_settings.jobs.directory).write_text("a file is in the way")
    with pytest.raises(JobStoreUnavailable, match=r"File exists|Not a directory"):
        JobQueue.open(store_settings, "secret")


@pytest.mark.parametrize("store_settings", ["redis"], indirect=True)
def test_an_unreachable_redis_is_an_error_soon(store_settings):
    unreachable = store_settings.changed(redis={"url": "redis://:hunter2@127.0.0.1:1/0"})
    queue = JobQueue.open(unreachable, "secret")
    with pytest.raises(JobStoreUnavailable, match="Redis does not answer") as error:
        queue.store.newest(None, 1)
    assert "hunter2" not in str(error.value)
    assert "127.0.0.1" not in str(error.value)


def attempts(store, job):
    return [item.attempts for item in store.open_items(job.id)]


def test_an_attempt_counts_unless_its_worker_releases_the_job(store, stored):
    assert attempts(store, stored) == [0, 0, 0]
    assert not store.start(stored.id, "w", 0)  # not its own yet
    assert store.claim(stored.id, "w", 9)
    assert store.start(stored.id, "w", 0)
    assert store.start(stored.id, "w", 1)
    assert attempts(store, stored) == [1, 1, 0]
    assert store.release(stored.id, "w", [0, 1])
    assert attempts(store, stored) == [0, 0, 0]


def test_an_attempt_of_a_crashed_worker_stays_counted(store, stored):
    assert store.claim(stored.id, "w", 0)  # an expired lease
    assert store.start(stored.id, "w", 2)
    assert store.claim(stored.id, "another", 9)
    assert attempts(store, stored) == [0, 0, 1]
    assert not store.release(stored.id, "w", [2])
    assert attempts(store, stored) == [0, 0, 1]


def test_a_file_of_an_older_release_gets_the_column_of_attempts(tmp_path):
    from custom_handler.jobs.sqlite_store import JobStorage, SqliteJobStore

    file = tmp_path / "jobs.db"
    with contextlib.closing(sqlite3.connect(file)) as older:
        older.execute(
            "create table item (job text not null, number integer not null, item text not null, outcome text, "
            "ok integer, primary key (job, number)) without rowid"
        )
        older.execute("insert into item values ('j', 0, '1', null, null)")
        older.commit()
    for _ in range(2):
        storage = JobStorage("stackspot", file)
        [item] = SqliteJobStore(storage).open_items("j")
        storage.close()
    assert (item.payload, item.attempts) == (1, 0)
