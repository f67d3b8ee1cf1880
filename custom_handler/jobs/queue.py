"""Notify workers of new jobs through huey, on SQLite or Redis, beside the job store.

The store decides who runs a job; a queued message only says that one may be claimable. Duplicate
and outdated messages have no effect. `recover` replaces messages lost with a crashed worker.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import Huey, RedisHuey
from huey.serializer import SignedSerializer
from redis import ConnectionPool, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from ..errors import JobStoreUnavailable
from ..settings import Settings
from .job import Job, JobStore, store_errors
from .redis_store import RedisJobStore
from .sqlite_store import JobStorage, SqliteJobStore

logger = logging.getLogger(__name__)

NAME = "stackspot"
_FILE = "jobs.db"


class JobQueue:
    """A job store and its message queue. Methods block and raise JobStoreUnavailable.

    The worker of this process sets `on_job`, which huey's threads call with the id of a job.
    """

    on_job: Callable[[str], None]

    def __init__(self, huey: Huey, store: JobStore) -> None:
        self.huey = huey
        self.store = store
        self._task = huey.task(name="job")(self._on_message)

    @classmethod
    def open(cls, settings: Settings, secret: str) -> JobQueue:
        """Open the back end of the settings.

        `secret` signs the messages, because huey unpickles them: a forged one could run any code.
        """
        options = {"results": False, "serializer": SignedSerializer(secret)}
        if settings.redis.url:
            huey = RedisHuey(NAME, connection_pool=_pool(settings.redis.url), **options)
            return cls(huey, RedisJobStore(huey.storage.conn))
        with store_errors(sqlite3.Error, OSError):
            huey = Huey(NAME, storage_class=JobStorage, filename=Path(settings.jobs.directory) / _FILE, **options)
        return cls(huey, SqliteJobStore(huey.storage))

    def add(self, job: Job, items: list[Any], deadline: float = math.inf) -> None:
        """Store a job and notify the workers; a stored job runs even if the message is lost.

        After the deadline (of `time.monotonic`) nothing is stored; see JobStore.add.
        """
        self.store.add(job, items, deadline)
        with contextlib.suppress(JobStoreUnavailable):
            self.notify(job.id)

    def notify(self, job_id: str) -> None:
        """Queue a message that a stored job may be claimable."""
        with store_errors(sqlite3.Error, OSError, RedisError):
            self.huey.enqueue(self._task.s(job_id, id=job_id))

    def recover(self) -> None:
        """Notify the workers of claimable jobs that have no message in the queue."""
        claimable = self.store.claimable()
        with store_errors(sqlite3.Error, OSError, RedisError):
            pending = {task.id for task in self.huey.pending()}
        for job_id in claimable:
            if job_id not in pending:
                logger.info("Job %s is queued again", job_id)
                self.notify(job_id)

    def close(self) -> None:
        """Close the connections to the back end."""
        self.huey.storage.close()
        if isinstance(self.huey, RedisHuey):
            self.huey.storage.pool.disconnect()

    def _on_message(self, job_id: str) -> None:
        self.on_job(job_id)


def _pool(url: str) -> ConnectionPool:
    """Connect to Redis with few quick retries: HTTP requests fail fast, and workers retry later."""
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
    return ConnectionPool.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30, retry=retry
    )
