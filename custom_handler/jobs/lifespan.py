"""The jobs of one process of the proxy: the queue, opened when it is needed, and the worker, if there is one here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading

from ..errors import ConfigurationError, JobStoreUnavailable
from ..proxy.client import ProxyClient
from ..proxy.lifecycle import at_shutdown, at_startup
from ..settings import Settings
from .credentials import secret
from .queue import JobQueue
from .run_item import ItemRunner
from .worker import Ask, Worker

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 5.0


class JobsLifespan:
    """Opens the queue and starts the worker in a proxy that has started, and stops it when that stops."""

    def __init__(self, ask: Ask, settings: Settings) -> None:
        self._ask = ask
        self._settings = settings
        self._opening = threading.Lock()
        self._queue: JobQueue | None = None
        self._worker: Worker | None = None
        self._starting: asyncio.Task[None] | None = None

    @classmethod
    def of_this_proxy(cls, router: ProxyClient, settings: Settings) -> JobsLifespan:
        """Make the jobs of the proxy that runs in this process; they start and stop with it."""
        jobs = cls(ItemRunner(router), settings)
        proxy = sys.modules["litellm.proxy.proxy_server"]
        at_startup(proxy, jobs.start)
        at_shutdown(proxy, jobs.stop)
        return jobs

    def queue(self) -> JobQueue:
        """Return the queue; blocks while it is opened; raises JobStoreUnavailable and ConfigurationError."""
        with self._opening:
            if self._queue is None:
                self._queue = JobQueue.open(self._settings, secret())
            return self._queue

    def start(self) -> None:
        """Start the worker as soon as the store can be opened; must be called on the event loop."""
        if self._settings.jobs.work_here:
            self._starting = asyncio.create_task(self._start())

    async def stop(self) -> None:
        """Give back what runs here."""
        if self._starting is not None:
            self._starting.cancel()
        if self._worker is not None:
            await asyncio.to_thread(self._worker.stop)
        if self._queue is not None:
            await asyncio.to_thread(self._queue.close)

    async def _start(self) -> None:
        try:
            queue = await self._opened()
        except ConfigurationError as error:
            logger.error("No jobs are worked on: %s", error)
        else:
            self._worker = Worker(queue, self._ask, self._settings.jobs, asyncio.get_running_loop())
            await asyncio.to_thread(self._worker.start)

    async def _opened(self) -> JobQueue:
        while True:
            with contextlib.suppress(JobStoreUnavailable):
                return await asyncio.to_thread(self.queue)
            await asyncio.sleep(_PAUSE_SECONDS)
