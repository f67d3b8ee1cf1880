"""A worker completes jobs despite crashes, restarts, outages of the store and cancellations."""

from __future__ import annotations

import asyncio
import collections
import threading
import time

import pytest

from custom_handler.jobs.job import Outcome
from custom_handler.jobs.worker import MAX_CRASHES

SOON = 0.6  # seconds: a lease that expires within a test; recovery and purge run twice as often


class CountingAgent:
    """Answers items; counts the requests for each, and the concurrent ones."""

    def __init__(self) -> None:
        self.asked = collections.Counter()
        self.at_once = self.most = 0
        self.repeats = 1  # of the text of an answer
        self.open = threading.Event()
        self.open.set()

    async def __call__(self, job, number, item) -> Outcome:
        self.asked[job.id, number] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            while not self.open.is_set():  # noqa: ASYNC110  it is set by another thread
                await asyncio.sleep(0.005)
        finally:
            self.at_once -= 1
        if item == "break":
            raise ValueError("an internal error")
        return Outcome({"content": f"re: {item}" * self.repeats}, ok=item != "bad")


@pytest.fixture
def agent():
    return CountingAgent()


@pytest.fixture
def add(queue, new_job):
    def put(*items: str):
        job = new_job(len(items))
        queue.add(job, list(items))
        return job

    return put


@pytest.fixture
def status(queue, eventually):
    """Wait until a job has a status, and return it."""

    def wait(job, *wanted: str):
        return eventually(lambda: (now := queue.store.find(job.id)).status in wanted and now)

    return wait


def test_a_job_is_answered_item_by_item(queue, add, work, agent, status):
    job = add("a", "bad", "c")
    work(queue, agent)
    ended = status(job, "completed", "failed")
    assert (ended.status, ended.done, ended.failed, ended.error) == ("completed", 3, 1, None)
    found = queue.store.outcomes(job.id)
    assert [(number, one.answer["content"], one.ok) for number, one in found.items()] == [
        (0, "re: a", True),
        (1, "re: bad", False),
        (2, "re: c", True),
    ]


def test_a_job_whose_items_all_failed_has_failed(queue, add, work, agent, status):
    job = add("bad", "bad")
    work(queue, agent)
    ended = status(job, "completed", "failed")
    assert (ended.status, ended.error) == ("failed", "Every item failed; `result` says why.")


def test_an_internal_error_ends_the_job_and_not_the_worker(queue, add, work, agent, status, caplog):
    broken, sane = add("break"), add("a")
    work(queue, agent)
    assert status(broken, "failed").error == "The job broke down; the proxy's log says why."
    assert status(sane, "completed")
    assert f"Job {broken.id} failed" in caplog.text


def test_jobs_and_items_run_concurrently_up_to_the_settings(queue, add, work, agent, status, eventually):
    agent.open.clear()
    jobs = [add(*"abcdef") for _ in range(3)]
    work(queue, agent, workers=2, concurrency=3)
    eventually(lambda: agent.at_once == 6)
    agent.open.set()
    for job in jobs:
        status(job, "completed")
    assert agent.most == 6


def test_a_running_job_that_is_cancelled_stops_at_once(queue, add, work, agent, status, eventually):
    agent.open.clear()
    job = add("a", "b", "c")
    work(queue, agent)
    eventually(lambda: agent.at_once == 2)
    assert queue.store.end(job.id, "cancelled")
    eventually(lambda: agent.at_once == 0)
    assert (agent.asked.total(), status(job, "cancelled").done) == (2, 0)


def test_a_queued_job_that_is_cancelled_never_starts(queue, add, work, agent, status):
    cancelled, other = add("a"), add("b")
    queue.store.end(cancelled.id, "cancelled")
    work(queue, agent)
    status(other, "completed")
    assert set(agent.asked) == {(other.id, 0)}


def test_a_worker_that_stops_releases_its_jobs_soon(queue, open_queue, add, work, agent, status, eventually):
    job = add("a", "b", "c")
    hang = CountingAgent()
    hang.open.clear()

    async def first_only(job, number, item):
        return await (agent if number == 0 else hang)(job, number, item)

    leaving = work(queue, first_only)
    eventually(lambda: hang.at_once == 2)
    eventually(lambda: queue.store.find(job.id).done == 1)
    leaving.stop()  # it does not wait for the item that hangs
    assert queue.store.find(job.id).status == "queued"
    assert hang.at_once == 0
    work(open_queue(), agent)
    assert status(job, "completed").done == 3
    assert agent.asked == {(job.id, number): 1 for number in range(3)}


def test_an_item_answered_during_a_stop_is_recorded(queue, add, work, agent, eventually, status):
    agent.open.clear()
    job = add("a")
    leaving = work(queue, agent)
    eventually(lambda: agent.at_once == 1)
    leaving._stopping.set()
    agent.open.set()
    assert status(job, "completed").done == 1


def test_the_job_of_a_dead_worker_resumes_at_the_first_open_item(queue, add, work, agent, status):
    job = add("a", "b", "c")
    queue.huey.dequeue()
    queue.store.claim(job.id, "dead", 0.3)
    queue.store.record(job.id, "dead", 0, Outcome({"content": "before"}))
    work(queue, agent, lease=SOON)
    assert status(job, "completed").done == 3
    assert queue.store.outcomes(job.id)[0].answer == {"content": "before"}
    assert sorted(agent.asked.elements()) == [(job.id, 1), (job.id, 2)]


def test_workers_that_share_a_queue_run_each_job_once(open_queue, add, work, agent, status):
    jobs = [add("a", "b") for _ in range(30)]
    for _ in range(3):
        work(open_queue(), agent)
    for job in jobs:
        status(job, "completed")
    assert set(agent.asked.values()) == {1}
    assert len(agent.asked) == 60


@pytest.mark.slow
def test_a_thousand_jobs_are_completed(queue, add, work, agent, eventually):
    jobs = [add("a") for _ in range(1000)]
    work(queue, agent, workers=8)
    eventually(lambda: queue.store.newest(None, 1000)[-1].status == "completed", 60)
    eventually(lambda: all(job.status == "completed" for job in queue.store.newest(None, 1000)), 60)
    assert agent.asked == {(job.id, 0): 1 for job in jobs}


def test_old_jobs_are_purged(queue, add, work, agent, eventually):
    job = add("a")
    work(queue, agent, keep=0.01, lease=SOON)
    eventually(lambda: queue.store.find(job.id) is None)


@pytest.mark.parametrize("store_settings", ["redis"], indirect=True)
def test_a_job_survives_a_restart_of_redis(queue, add, work, agent, status, redis_process, eventually):
    agent.open.clear()
    job = add("a", "b", "c", "d")
    work(queue, agent, lease=SOON)
    eventually(lambda: agent.at_once == 2)
    redis_process.stop()
    agent.open.set()  # outcomes now wait until they can be stored
    time.sleep(1)
    redis_process.start()
    assert status(job, "completed").done == 4
    assert agent.asked == {(job.id, number): 1 for number in range(4)}


def limit_pages(queue, most: int) -> None:
    """Let the database's file grow to so many pages only, as on a disk that is full."""
    with queue.huey.storage.db() as cursor:
        cursor.execute(f"pragma max_page_count={most}")


@pytest.mark.parametrize("store_settings", ["sqlite"], indirect=True)
def test_outcomes_wait_while_the_disk_is_full(queue, add, work, agent, status, eventually):
    agent.repeats = 20_000  # an outcome that needs pages of its own
    agent.open.clear()
    job = add(*"abcdef")
    work(queue, agent)
    eventually(lambda: agent.at_once == 2)
    limit_pages(queue, 1)  # fewer than in use: the file cannot grow
    agent.open.set()
    eventually(lambda: agent.at_once == 0)
    time.sleep(0.5)
    assert queue.store.find(job.id).done == 0
    limit_pages(queue, 100_000)
    assert status(job, "completed").done == 6
    assert agent.asked == {(job.id, number): 1 for number in range(6)}


def crash(queue, job, *numbers: int):
    """Leave a job as a process does that crashes while it runs these items."""
    queue.huey.dequeue()
    assert queue.store.claim(job.id, "dead", 0)
    assert all(queue.store.start(job.id, "dead", number) for number in numbers)


def test_an_item_with_three_crashes_is_abandoned(queue, add, work, agent, status):
    job = add("a", "poison")
    for _ in range(MAX_CRASHES):
        crash(queue, job, 1)
    work(queue, agent)
    ended = status(job, "completed")
    assert (ended.done, ended.failed) == (2, 1)
    assert list(agent.asked.elements()) == [(job.id, 0)]
    abandoned = queue.store.outcomes(job.id)[1]
    assert abandoned.ok is False
    assert abandoned.answer["code"] == "item_abandoned"
    assert "ended 3 times" in abandoned.answer["message"]


def test_an_item_with_fewer_crashes_is_tried_again(queue, add, work, agent, status):
    job = add("a")
    for _ in range(MAX_CRASHES - 1):
        crash(queue, job, 0)
    work(queue, agent)
    assert status(job, "completed").failed == 0


def test_items_with_crashes_run_last_and_one_at_a_time(queue, add, work, agent, status, eventually):
    job = add("suspect", "suspect", "b", "c", "d")
    crash(queue, job, 0, 1)
    agent.open.clear()
    work(queue, agent, concurrency=2)
    eventually(lambda: agent.at_once == 2)
    assert set(agent.asked) == {(job.id, 2), (job.id, 3)}
    agent.open.set()
    status(job, "completed")
    assert [number for _, number in agent.asked][-2:] == [0, 1]


def test_an_orderly_stop_counts_no_attempt(queue, add, work, agent, eventually):
    job = add("a")
    agent.open.clear()
    worker = work(queue, agent)
    eventually(lambda: agent.at_once == 1)
    worker.stop()
    assert [item.attempts for item in queue.store.open_items(job.id)] == [0]


def test_a_worker_that_stops_claims_no_job(queue, add, work, agent, monkeypatch):
    worker = work(queue, agent)
    worker.stop()
    job = add("a")
    queue.huey.dequeue()
    monkeypatch.setattr(queue.store, "claim", lambda *_: pytest.fail("it was claimed"))
    worker._run_job(job.id)  # as a thread that has not noticed the stop
    assert job.id in [task.id for task in queue.huey.pending()]
