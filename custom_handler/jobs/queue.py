"""The queue of jobs: huey on SQLite, or on Redis where there is one, beside the store on the same back end.

The store is the truth, and the queue only a bell: it says that a job is there to be taken. A bell that rings twice, or for
a job that has ended, does nothing; for one that was lost with its worker, `recover` rings again.
"""

from __future__ import annotations

import contextlib
import logging
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
from .job import Job, JobStore, unavailable
from .redis_store import RedisJobStore
from .sqlite_store import JobStorage, SqliteJobStore

logger = logging.getLogger(__name__)

NAME = "stackspot"
_FILE = "jobs.db"


class JobQueue:
    """Takes jobs in, and rings for whoever works here; its methods block and raise JobStoreUnavailable."""

    def __init__(self, huey: Huey, store: JobStore) -> None:
        self.huey = huey
        self.store = store
        self.work: Callable[[str], None] = self._decline
        self._ring = huey.task(name="job")(self._answer)

    @classmethod
    def open(cls, settings: Settings, secret: str) -> JobQueue:
        """Open the back end that the settings name; `secret` signs what is queued, for to read it is to run code."""
        options = {"results": False, "serializer": SignedSerializer(secret)}
        if settings.redis.url:
            huey = RedisHuey(NAME, connection_pool=_pool(settings.redis.url), **options)
            return cls(huey, RedisJobStore(huey.storage.conn))
        with unavailable(sqlite3.Error, OSError):
            huey = Huey(NAME, storage_class=JobStorage, filename=Path(settings.jobs.directory) / _FILE, **options)
        return cls(huey, SqliteJobStore(huey.storage))

    def add(self, job: Job, items: list[Any]) -> None:
        """Keep a job and queue it; once it is kept, it will be run."""
        self.store.add(job, items)
        with contextlib.suppress(JobStoreUnavailable):
            self.ring(job.id)

    def ring(self, job_id: str) -> None:
        """Queue a job that is in the store."""
        with unavailable(sqlite3.Error, OSError, RedisError):
            self.huey.enqueue(self._ring.s(job_id, id=job_id))

    def recover(self) -> None:
        """Queue the jobs whose worker died, or whose message did."""
        stranded = self.store.stranded()
        with unavailable(sqlite3.Error, OSError, RedisError):
            waiting = {task.id for task in self.huey.pending()}
        for job_id in stranded:
            if job_id not in waiting:
                logger.info("Job %s is queued again", job_id)
                self.ring(job_id)

    def close(self) -> None:
        """Close the connections to the back end."""
        self.huey.storage.close()
        if isinstance(self.huey, RedisHuey):
            self.huey.storage.pool.disconnect()

    def _answer(self, job_id: str) -> None:
        self.work(job_id)

    def _decline(self, job_id: str) -> None:
        raise RuntimeError(f"Nobody works here; job {job_id} stays in the store.")


def _pool(url: str) -> ConnectionPool:
    """Connect to Redis; a request is told quickly that Redis is away, a worker asks again by itself."""
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
    return ConnectionPool.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30, retry=retry
    )
