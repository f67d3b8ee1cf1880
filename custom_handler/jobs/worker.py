"""Works on jobs in this process: huey's threads take them, and their questions are asked on the proxy's own event loop.

A thread that has claimed a job holds it by a lease, which it renews while the items are answered. What a worker leaves
behind when it is killed is queued again as soon as its lease has run out, and goes on at the first item without an outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import threading
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from huey.consumer import Consumer

from ..errors import JobStoreUnavailable
from ..settings import JobSettings
from .job import COMPLETED, FAILED, Job, OpenItem, Outcome
from .queue import JobQueue

logger = logging.getLogger(__name__)

Ask = Callable[[Job, int, Any], Awaitable[Outcome]]
"""Ask for the outcome of a job's item, by its number; raises nothing but CancelledError."""

_T = TypeVar("_T")
_PAUSE_SECONDS = 1.0
_OUTAGE_SECONDS = 10.0
_STOP_SECONDS = 5.0

MAX_DEATHS = 3


class _Consumer(Consumer):  # type: ignore[misc]  # huey has no types
    def _set_signal_handlers(self) -> None:
        """Leave the signals to the server in whose process this runs."""


class Worker:
    """Takes jobs from a queue between `start` and `stop`; `settings` say how many at once, and for how long they are kept."""

    def __init__(self, queue: JobQueue, ask: Ask, settings: JobSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._queue, self._store = queue, queue.store
        self._ask = ask
        self._settings = settings
        self._loop = loop
        self._name = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._running: dict[str, Future[None]] = {}
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="jobs-keeper", daemon=True)
        queue.work = self._work
        # Where a thread need not poll, it sleeps after errors only.
        pause = _OUTAGE_SECONDS if queue.huey.storage.blocking else _PAUSE_SECONDS
        self._consumer = _Consumer(queue.huey, settings.workers, periodic=False, max_delay=pause, scheduler_interval=60)

    def start(self) -> None:
        """Begin to take jobs."""
        logging.getLogger("huey.consumer.Worker").addFilter(_briefly)
        self._consumer.start()
        self._keeper.start()
        logger.info("%d jobs at once are worked on here", self._settings.workers)

    def stop(self) -> None:
        """Stop taking jobs, and give back those that run; blocks for some seconds at most."""
        self._stopping.set()
        self._consumer.stop_flag.set()
        for running in list(self._running.values()):
            running.cancel()
        for _, thread in self._consumer.worker_threads:
            thread.join(_STOP_SECONDS)

    def _work(self, job_id: str) -> None:
        """Carry out a job, on a thread of huey's, unless it has ended or another thread or worker has it."""
        if job_id in self._running:
            return  # its lease ran out while the store was away; it is renewed as soon as that is back
        try:
            job = self._store.find(job_id)
            claimed = job is not None and self._store.claim(job_id, self._name, self._settings.lease)
        except JobStoreUnavailable:
            return  # it is stranded, and recovered when the store is back
        if job is None or not claimed:
            return
        if (items := self._persistent(self._store.open_items, job_id)) is None:
            self._give_back(job)
            return
        started: set[int] = set()
        running = asyncio.run_coroutine_threadsafe(self._answer(job, items, started), self._loop)
        self._running[job_id] = running
        try:
            self._hold(job, running)
            self._finish(job, running, started)
        finally:
            del self._running[job_id]

    def _hold(self, job: Job, running: Future[None]) -> None:
        """Renew the lease until the job is done; cancel it where it is lost, be it to a client who cancels it."""
        tick = min(_PAUSE_SECONDS, self._settings.lease / 3)
        while not self._stopping.is_set() and wait([running], tick).not_done:
            if not self._persistent(self._store.renew, job.id, self._name, self._settings.lease):
                break
        running.cancel()

    def _finish(self, job: Job, running: Future[None], started: set[int]) -> None:
        if running.cancelled():
            self._give_back(job, started)
        elif error := running.exception():
            logger.error("Job %s broke down", job.id, exc_info=error)
            self._end(job, FAILED, "The job broke down; the proxy's log says why.")
        elif (now := self._persistent(self._store.find, job.id)) is not None:
            whole = now.failed == now.total
            self._end(job, *((FAILED, "Every item failed; `result` says why.") if whole else (COMPLETED, None)))

    def _end(self, job: Job, status: str, error: str | None) -> None:
        if self._persistent(self._store.end, job.id, status, error, self._name):
            logger.info("Job %s ended: %s", job.id, status)

    def _give_back(self, job: Job, started: Collection[int] = ()) -> None:
        try:
            if self._store.release(job.id, self._name, started):
                self._queue.ring(job.id)
        except JobStoreUnavailable:
            logger.warning("Job %s could not be given back: it goes on when its lease has run out", job.id)

    async def _answer(self, job: Job, items: list[OpenItem], started: set[int]) -> None:
        """Ask for each item that has no outcome yet, so many at once, in order.

        Items at which a process died come last and one by one, so that no other item is in flight if that happens again.
        """
        fresh = [item for item in items if not item.attempts]
        await self._ask_all(job, iter(fresh), started, self._settings.concurrency)
        await self._ask_all(job, (item for item in items if item.attempts), started, 1)

    async def _ask_all(self, job: Job, todo: Iterator[OpenItem], started: set[int], at_once: int) -> None:
        async def lane() -> None:
            for item in todo:
                await self._record(job, item.number, await self._outcome(job, item, started))

        lanes = [asyncio.create_task(lane()) for _ in range(at_once)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for one in lanes:
                one.cancel()

    async def _outcome(self, job: Job, item: OpenItem, started: set[int]) -> Outcome:
        """Ask for an item; the attempt is counted before, and does not count if this worker gives the job back."""
        if item.attempts >= MAX_DEATHS:
            logger.error("Job %s: item %d is given up after %d attempts", job.id, item.number, item.attempts)
            return _given_up(job, item)
        await asyncio.to_thread(self._start, job, item.number, started)
        return await self._ask(job, item.number, item.item)

    def _start(self, job: Job, number: int, started: set[int]) -> None:
        if self._persistent(self._store.start, job.id, self._name, number):
            started.add(number)

    async def _record(self, job: Job, number: int, outcome: Outcome) -> None:
        """Keep an outcome, however long it takes until the store can: it has been paid for."""
        await asyncio.to_thread(self._persistent, self._store.record, job.id, self._name, number, outcome)

    def _persistent(self, call: Callable[..., _T], *args: Any) -> _T | None:
        """Call the store until it answers; None where this worker stops before. Even one that stops tries once."""
        while True:
            with contextlib.suppress(JobStoreUnavailable):
                return call(*args)
            if self._stopping.wait(_PAUSE_SECONDS):
                return None

    def _keep(self) -> None:
        """Recover and forget jobs, and replace threads of huey's that died, from time to time."""
        while not self._stopping.is_set():
            with contextlib.suppress(JobStoreUnavailable):
                self._queue.recover()
                self._store.purge(self._settings.keep)
            self._consumer.check_worker_health()
            self._stopping.wait(self._settings.lease / 2)


def _given_up(job: Job, item: OpenItem) -> Outcome:
    message = (
        f"The proxy ended {MAX_DEATHS} times while it worked on this item, so it is not tried again. "
        "Its log may say why; change the item before you send it again."
    )
    name = {"id": item.item["id"]} if isinstance(item.item, dict) and "id" in item.item else {}
    error = {"message": message, "type": "server_error", "code": "item_abandoned"}
    return Outcome({**error, "request_id": f"{job.id}-{item.number}", **name}, ok=False)


def _briefly(record: logging.LogRecord) -> bool:
    """Say in one line what huey logs with a traceback whenever the queue does not answer."""
    if record.exc_info:
        record.msg, record.exc_info = f"{record.msg}: {record.exc_info[1]}", None
    return True
