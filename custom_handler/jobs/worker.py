"""Run jobs in this process: huey's threads claim them, the proxy's event loop runs their items.

The thread that claimed a job renews its lease while the items run. If the process crashes, the
lease expires, and another worker resumes the job at the first item without an outcome.
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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from huey.consumer import Consumer

from ..errors import JobStoreUnavailable
from ..settings import JobSettings
from .job import COMPLETED, FAILED, Job, OpenItem, Outcome
from .queue import JobQueue

logger = logging.getLogger(__name__)

RunItem = Callable[[Job, int, Any], Awaitable[Outcome]]
"""Return the outcome of an item, given its job, number and payload; raise only CancelledError."""

_T = TypeVar("_T")
_POLL_SECONDS = 1.0
_OUTAGE_SECONDS = 10.0
_STOP_SECONDS = 5.0
_MAX_STORE_THREADS = 16

MAX_CRASHES = 3


class _Consumer(Consumer):  # type: ignore[misc]  # huey has no types
    def _set_signal_handlers(self) -> None:
        """Leave signal handling to the server of this process."""


class Worker:
    """Runs jobs of a queue between `start` and `stop`, several at a time."""

    def __init__(
        self, queue: JobQueue, run_item: RunItem, settings: JobSettings, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._queue, self._store = queue, queue.store
        self._run_item = run_item
        self._settings = settings
        self._loop = loop
        self._name = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._running: dict[str, Future[None]] = {}
        self._stopping = threading.Event()
        # A slow store must not occupy the threads that serve the proxy's requests.
        calls = min(_MAX_STORE_THREADS, settings.workers * settings.concurrency)
        self._store_threads = ThreadPoolExecutor(calls, thread_name_prefix="stackspot-jobs")
        self._maintenance = threading.Thread(target=self._maintain, name="jobs-maintenance", daemon=True)
        queue.on_job = self._run_job
        # A storage that blocks until a message arrives needs no polling, only a pause after errors.
        pause = _OUTAGE_SECONDS if queue.huey.storage.blocking else _POLL_SECONDS
        self._consumer = _Consumer(queue.huey, settings.workers, periodic=False, max_delay=pause, scheduler_interval=60)

    def start(self) -> None:
        """Start to claim jobs."""
        logging.getLogger("huey.consumer.Worker").addFilter(_without_traceback)
        self._consumer.start()
        self._maintenance.start()
        logger.info("The job worker runs %d jobs at once", self._settings.workers)

    def stop(self) -> None:
        """Stop claiming jobs and release the running ones; block for some seconds at most."""
        self._stopping.set()
        self._consumer.stop_flag.set()
        for running in list(self._running.values()):
            running.cancel()
        for _, thread in self._consumer.worker_threads:
            thread.join(_STOP_SECONDS)
        self._store_threads.shutdown(wait=False)

    async def _on_thread(self, call: Callable[..., _T], *args: Any) -> _T:
        return await self._loop.run_in_executor(self._store_threads, call, *args)

    def _run_job(self, job_id: str) -> None:
        """Claim a job and run it to its end, on a thread of huey's."""
        if job_id in self._running:
            return  # its lease expired during an outage of the store; it is renewed after the outage
        if self._stopping.is_set():  # to claim it now could count an attempt that is never made
            with contextlib.suppress(JobStoreUnavailable):
                self._queue.notify(job_id)  # leave the message to other workers
            return
        try:
            job = self._store.find(job_id)
            claimed = job is not None and self._store.claim(job_id, self._name, self._settings.lease)
        except JobStoreUnavailable:
            return  # it stays claimable, and is recovered after the outage
        if job is None or not claimed:
            return
        if (items := self._retry(self._store.open_items, job_id)) is None:
            self._release(job)
            return
        started: set[int] = set()
        running = asyncio.run_coroutine_threadsafe(self._run_items(job, items, started), self._loop)
        self._running[job_id] = running
        try:
            self._renew_lease(job, running)
            self._finish(job, running, started)
        finally:
            del self._running[job_id]

    def _renew_lease(self, job: Job, running: Future[None]) -> None:
        """Renew the lease until the items are done; cancel them if the lease or the job is lost."""
        interval = min(_POLL_SECONDS, self._settings.lease / 3)
        while not self._stopping.is_set() and wait([running], interval).not_done:
            if not self._retry(self._store.renew, job.id, self._name, self._settings.lease):
                break
        running.cancel()

    def _finish(self, job: Job, running: Future[None], started: set[int]) -> None:
        if running.cancelled():
            self._release(job, started)
        elif error := running.exception():
            logger.error("Job %s failed", job.id, exc_info=error)
            self._end(job, FAILED, "The job broke down; the proxy's log says why.")
        elif (now := self._retry(self._store.find, job.id)) is not None:
            if now.failed == now.total:
                self._end(job, FAILED, "Every item failed; `result` says why.")
            else:
                self._end(job, COMPLETED)

    def _end(self, job: Job, status: str, error: str | None = None) -> None:
        if self._retry(self._store.end, job.id, status, error, self._name):
            logger.info("Job %s ended: %s", job.id, status)

    def _release(self, job: Job, started: Collection[int] = ()) -> None:
        try:
            if self._store.release(job.id, self._name, started):
                self._queue.notify(job.id)
        except JobStoreUnavailable:
            logger.warning("Job %s could not be released; it resumes when its lease expires", job.id)

    async def _run_items(self, job: Job, items: list[OpenItem], started: set[int]) -> None:
        """Run the open items in order, several at a time.

        Items during which the process crashed run last and one at a time, so that no other item is
        interrupted if that happens again.
        """
        fresh = [item for item in items if not item.attempts]
        await self._run_all(job, iter(fresh), started, self._settings.concurrency)
        await self._run_all(job, (item for item in items if item.attempts), started, 1)

    async def _run_all(self, job: Job, items: Iterator[OpenItem], started: set[int], concurrency: int) -> None:
        async def run_next() -> None:
            for item in items:
                outcome = await self._outcome(job, item, started)
                # This waits while the store is unavailable, since the call is paid for.
                await self._on_thread(self._retry, self._store.record, job.id, self._name, item.number, outcome)

        tasks = [asyncio.create_task(run_next()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _outcome(self, job: Job, item: OpenItem, started: set[int]) -> Outcome:
        """Count an attempt and run the item; `_release` uncounts it if this worker stops."""
        if item.attempts >= MAX_CRASHES:
            logger.error("Job %s: item %d is abandoned after %d attempts", job.id, item.number, item.attempts)
            return _abandoned(job, item)
        await self._on_thread(self._start, job, item.number, started)
        return await self._run_item(job, item.number, item.payload)

    def _start(self, job: Job, number: int, started: set[int]) -> None:
        if self._retry(self._store.start, job.id, self._name, number):
            started.add(number)

    def _retry(self, call: Callable[..., _T], *args: Any) -> _T | None:
        """Call the store until it responds; return None if it does not before this worker stops."""
        while True:
            with contextlib.suppress(JobStoreUnavailable):
                return call(*args)
            if self._stopping.wait(_POLL_SECONDS):
                return None

    def _maintain(self) -> None:
        """Recover and purge jobs, and replace huey's dead threads, every half lease."""
        while not self._stopping.is_set():
            with contextlib.suppress(JobStoreUnavailable):
                self._queue.recover()
                self._store.purge(self._settings.keep)
            self._consumer.check_worker_health()
            self._stopping.wait(self._settings.lease / 2)


def _abandoned(job: Job, item: OpenItem) -> Outcome:
    message = (
        f"The proxy ended {MAX_CRASHES} times while it worked on this item, so it is not tried again. "
        "Its log may say why; change the item before you send it again."
    )
    ids = {"id": item.payload["id"]} if isinstance(item.payload, dict) and "id" in item.payload else {}
    error = {"message": message, "type": "server_error", "code": "item_abandoned"}
    return Outcome({**error, "request_id": f"{job.id}-{item.number}", **ids}, ok=False)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Shorten huey's log of an unavailable queue to one line."""
    if record.exc_info:
        record.msg, record.exc_info = f"{record.msg}: {record.exc_info[1]}", None
    return True
