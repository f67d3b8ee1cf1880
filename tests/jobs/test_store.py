"""Both job stores keep the same promises."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from custom_handler.errors import JobStoreUnavailable
from custom_handler.jobs.job import Outcome
from custom_handler.jobs.queue import JobQueue

DONE = Outcome({"content": "olá"})
ERROR = Outcome({"message": "no"}, ok=False)


@pytest.fixture
def store(queue):
    return queue.store


@pytest.fixture
def kept(store, new_job):
    """A job of three items, in the store."""
    job = new_job(3)
    store.add(job, ["a", "b", "c"])
    return job


def test_a_job_is_found_as_it_was_added(store, kept):
    assert store.find(kept.id) == kept


def test_an_unknown_job_is_not_found(store):
    assert store.find("nobody") is None
    assert not store.claim("nobody", "w", 9)
    assert not store.end("nobody", "cancelled")


def test_an_owner_sees_its_own_jobs_the_newest_first(store, new_job):
    jobs = [dataclasses.replace(new_job(owner=owner), created=float(at)) for at, owner in enumerate("aabab")]
    for job in jobs:
        store.add(job, ["x"])
    assert [job.created for job in store.newest("a", 10)] == [3, 1, 0]
    assert [job.created for job in store.newest(None, 2)] == [4, 3]


def test_one_worker_alone_claims_a_job(open_queue, kept):
    start, claimed = threading.Barrier(8), []

    def claim(worker):
        store = open_queue().store
        start.wait()
        claimed.append(store.claim(kept.id, worker, 9))

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [False] * 7 + [True]


def test_a_claimed_job_runs_and_is_not_stranded(store, kept):
    assert store.stranded() == [kept.id]
    assert store.claim(kept.id, "w", 9)
    assert store.find(kept.id).status == "running"
    assert store.stranded() == []


def test_a_lease_that_ran_out_can_be_taken_over_and_its_holder_writes_no_more(store, kept):
    store.claim(kept.id, "dead", 0.01)
    time.sleep(0.02)
    assert store.stranded() == [kept.id]
    assert store.claim(kept.id, "w", 9)
    assert not store.renew(kept.id, "dead", 9)
    assert not store.record(kept.id, "dead", 0, DONE)
    assert not store.end(kept.id, "completed", None, "dead")
    assert store.renew(kept.id, "w", 9)


def test_a_renewed_lease_is_held_on(store, kept):
    store.claim(kept.id, "w", 0.01)
    assert store.renew(kept.id, "w", 9)
    time.sleep(0.02)
    assert not store.claim(kept.id, "other", 9)


def test_what_a_worker_recorded_is_not_asked_again(store, kept):
    store.claim(kept.id, "w", 9)
    assert store.record(kept.id, "w", 1, ERROR)
    assert [(item.number, item.item) for item in store.open_items(kept.id)] == [(0, "a"), (2, "c")]
    assert store.outcomes(kept.id) == {1: ERROR}
    assert dataclasses.astuple(store.find(kept.id))[-5:] == ("running", 1, 1, None, None)


def test_the_first_outcome_of_an_item_stays(store, kept):
    store.claim(kept.id, "w", 9)
    assert store.record(kept.id, "w", 0, DONE)
    assert not store.record(kept.id, "w", 0, ERROR)
    assert store.outcomes(kept.id) == {0: DONE}
    assert (store.find(kept.id).done, store.find(kept.id).failed) == (1, 0)


def test_a_job_ends_once_and_forgets_its_caller(store, kept):
    store.claim(kept.id, "w", 9)
    before = time.time()
    assert store.end(kept.id, "cancelled")
    assert not store.end(kept.id, "completed", None, "w")
    ended = store.find(kept.id)
    assert (ended.status, ended.caller, ended.error) == ("cancelled", None, None)
    assert before <= ended.ended <= time.time()
    assert not store.renew(kept.id, "w", 9)
    assert not store.claim(kept.id, "w", 9)
    assert store.stranded() == []


def test_of_many_that_end_a_job_one_does(open_queue, kept):
    stores, ended = [open_queue().store for _ in range(6)], []
    threads = [threading.Thread(target=lambda s=s: ended.append(s.end(kept.id, "completed", "why"))) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended.count(True) == 1
    assert stores[0].find(kept.id).error == "why"


def test_a_job_that_is_given_back_waits_for_another_worker(store, kept):
    store.claim(kept.id, "w", 9)
    assert not store.release(kept.id, "other")
    assert store.release(kept.id, "w")
    assert store.find(kept.id).status == "queued"
    assert store.claim(kept.id, "other", 9)


def test_jobs_are_forgotten_some_time_after_they_ended(store, kept, new_job):
    other = new_job()
    store.add(other, ["x"])
    store.end(kept.id, "completed")
    assert store.purge(60) == 0
    time.sleep(0.01)
    assert store.purge(0) == 1
    assert store.find(kept.id) is None
    assert store.outcomes(kept.id) == {}
    assert store.open_items(kept.id) == []
    assert store.newest("ana", 9) == [other]


def test_a_bell_is_rung_again_only_for_who_does_not_wait_in_the_queue(queue, new_job):
    rung, lost, held = (new_job() for _ in range(3))
    queue.add(rung, ["x"])
    for job in (lost, held):
        queue.store.add(job, ["x"])
    queue.store.claim(held.id, "w", 9)
    queue.recover()
    queue.recover()
    assert [task.id for task in queue.huey.pending()] == [rung.id, lost.id]


def test_what_is_queued_is_signed(settings, queue, new_job):
    """To read what is queued is to run code: what another secret signed is not read."""
    queue.add(new_job(), ["x"])
    forged = JobQueue.open(settings, "another secret").huey
    with pytest.raises(ValueError, match="mismatch"):
        forged.dequeue()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_file_is_its_owners_alone(settings, queue, kept):
    modes = {stat.S_IMODE(file.stat().st_mode) for file in Path(settings.jobs.directory).iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(Path(settings.jobs.directory).stat().st_mode) == 0o700


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_full_disk_is_told_and_leaves_no_half_of_a_job(queue, new_job):
    queue.huey.storage.conn.execute("pragma max_page_count=40")  # what SQLite then says is what it says of a full disk
    job = new_job(500)
    with pytest.raises(JobStoreUnavailable, match="database or disk is full") as error:
        queue.add(job, ["x" * 1000] * 500)
    assert (error.value.status_code, error.value.retry_after) == (503, 5.0)
    assert queue.store.find(job.id) is None
    assert queue.store.open_items(job.id) == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_folder_that_cannot_be_made_is_told(settings):
    Path(settings.jobs.directory).write_text("a file is in the way")
    with pytest.raises(JobStoreUnavailable, match=r"File exists|Not a directory"):
        JobQueue.open(settings, "secret")


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_redis_that_is_away_is_told_soon(settings):
    away = settings.changed(redis={"url": "redis://:hunter2@127.0.0.1:1/0"})
    queue = JobQueue.open(away, "secret")
    with pytest.raises(JobStoreUnavailable, match="Redis does not answer") as error:
        queue.store.newest(None, 1)
    assert "hunter2" not in str(error.value)
    assert "127.0.0.1" not in str(error.value)


def attempts(store, job):
    return [item.attempts for item in store.open_items(job.id)]


def test_an_attempt_counts_unless_its_worker_gives_the_job_back(store, kept):
    assert attempts(store, kept) == [0, 0, 0]
    assert not store.start(kept.id, "w", 0)  # not its own yet
    assert store.claim(kept.id, "w", 9)
    assert store.start(kept.id, "w", 0)
    assert store.start(kept.id, "w", 1)
    assert attempts(store, kept) == [1, 1, 0]
    assert store.release(kept.id, "w", [0, 1])
    assert attempts(store, kept) == [0, 0, 0]


def test_an_attempt_of_a_worker_that_died_stays_counted(store, kept):
    assert store.claim(kept.id, "w", 0)  # a lease that has run out
    assert store.start(kept.id, "w", 2)
    assert store.claim(kept.id, "another", 9)
    assert attempts(store, kept) == [0, 0, 1]
    assert not store.release(kept.id, "w", [2])
    assert attempts(store, kept) == [0, 0, 1]


def test_a_file_of_an_older_release_gets_the_count(tmp_path):
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
    assert (item.item, item.attempts) == (1, 0)
