"""Open the job queue and run the worker during the lifespan of one proxy process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ConfigurationError, JobStoreUnavailable
from ..proxy.client import ProxyClient
from ..proxy.lifecycle import at_shutdown, at_startup
from ..proxy_module import running_proxy
from ..settings import Settings
from .credentials import encryption_key
from .queue import JobQueue
from .run_item import ItemRunner
from .store_executor import StoreExecutor
from .worker import RunItem, Worker

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


class JobsLifespan:
    """Start the worker when the proxy has started, and stop it when the proxy stops."""

    def __init__(self, run_item: RunItem, settings: Settings) -> None:
        self._run_item = run_item
        self._settings = settings
        self._lock = threading.Lock()
        self._queue: JobQueue | None = None
        self._worker: Worker | None = None
        self._start_task: asyncio.Task[None] | None = None
        self._executor = StoreExecutor()

    @classmethod
    def of_running_proxy(cls, client: ProxyClient, settings: Settings) -> JobsLifespan:
        """Create the jobs of this process's proxy, and hook them into its startup and shutdown."""
        jobs = cls(ItemRunner(client), settings)
        proxy = running_proxy()
        at_startup(proxy, jobs.start)
        at_shutdown(proxy, jobs.stop)
        return jobs

    def queue(self) -> JobQueue:
        """Return the queue, opened on first use. Raises JobStoreUnavailable, ConfigurationError."""
        with self._lock:
            if self._queue is None:
                self._queue = JobQueue.open(self._settings, encryption_key())
            return self._queue

    async def run(self, call: Callable[[JobQueue], Result], undo: Callable[[Result], Any] | None = None) -> Result:
        """Return the result of a call with the queue, on the threads of the store (StoreExecutor).

        Raises JobStoreUnavailable, ConfigurationError.
        """
        return await self._executor.run(lambda: call(self.queue()), undo)

    def start(self) -> None:
        """Start the worker once the store can be opened; call this on the event loop."""
        if self._settings.jobs.work_here:
            self._start_task = asyncio.create_task(self._start())

    async def stop(self) -> None:
        """Stop the worker, which releases its running jobs, and close the queue."""
        if self._start_task is not None:
            self._start_task.cancel()
        if self._worker is not None:
            await asyncio.to_thread(self._worker.stop)
        self._executor.close()
        if self._queue is not None:
            await asyncio.to_thread(self._queue.close)

    async def _start(self) -> None:
        try:
            queue = await self._wait_for_queue()
        except ConfigurationError as error:
            logger.error("The job worker does not start: %s", error)
        else:
            self._worker = Worker(queue, self._run_item, self._settings.jobs, asyncio.get_running_loop())
            await asyncio.to_thread(self._worker.start)

    async def _wait_for_queue(self) -> JobQueue:
        while True:
            with contextlib.suppress(JobStoreUnavailable):
                return await self.run(lambda queue: queue)
            await asyncio.sleep(_RETRY_SECONDS)
