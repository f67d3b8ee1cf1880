"""A job and its items, as every part of this package knows them.

queued ──claim──> running ──end──> completed | failed
   │  <──release──   │
   └──────end────────┴──────────> cancelled
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import JobStoreUnavailable

QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


@contextmanager
def unavailable(*errors: type[Exception], reason: str = "") -> Iterator[None]:
    """Turn the errors of a back end into JobStoreUnavailable; `reason` stands in place of their own text."""
    try:
        yield
    except errors as error:
        logger.warning("The job store fails: %s", error)
        told = reason or getattr(error, "strerror", None) or error
        message = f"The job store cannot be used right now: {told}. Try again later."
        raise JobStoreUnavailable(message, retry_after=_RETRY_SECONDS) from error


@dataclass(frozen=True, slots=True)
class Job:
    """What a store knows of a job, but for its items; times are seconds since the epoch.

    `owner` is a hash of who may see it. `call` is what all items share; `caller` is what the caller said of itself, its key
    among it, encrypted, until the job ends. `done` counts the items that have an outcome, `failed` those of them that are
    errors.
    """

    id: str
    owner: str
    call: dict[str, Any]
    caller: str | None
    created: float
    total: int
    status: str = QUEUED
    done: int = 0
    failed: int = 0
    ended: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: `answer` as a client is shown it, or an error in its place."""

    answer: dict[str, Any]
    ok: bool = True


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item without an outcome; `attempts` counts those that ended with the death of the process that made them."""

    number: int
    item: Any
    attempts: int = 0


class JobStore(Protocol):
    """Where jobs are kept. Its methods block, may be called by any thread, and raise JobStoreUnavailable.

    A worker that has claimed a job holds a lease; what it does without one has no effect, so a job ends once, and an item
    has one outcome.
    """

    def add(self, job: Job, items: list[Any]) -> None:
        """Keep a new job, all of it or nothing."""

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where there is none of that id."""

    def newest(self, owner: str | None, limit: int) -> list[Job]:
        """Return an owner's jobs, or everybody's for None, the newest first."""

    def outcomes(self, job_id: str) -> dict[int, Outcome]:
        """Return the outcomes that a job has, by the number of the item."""

    def open_items(self, job_id: str) -> list[OpenItem]:
        """Return the items that have no outcome, in order."""

    def start(self, job_id: str, worker: str, number: int) -> bool:
        """Count an attempt at an item, before it is made; False where the job is not the worker's."""

    def claim(self, job_id: str, worker: str, seconds: float) -> bool:
        """Take a job for so long, unless it has ended or another worker holds it."""

    def renew(self, job_id: str, worker: str, seconds: float) -> bool:
        """Hold a job for so long from now; False where it is lost: it has ended, or another worker took it."""

    def record(self, job_id: str, worker: str, number: int, outcome: Outcome) -> bool:
        """Keep the outcome of an item; False where the job is not the worker's, or the item has one."""

    def release(self, job_id: str, worker: str, started: Collection[int] = ()) -> bool:
        """Give a job back to the queue; the attempts at the items that were `started` and have no outcome do not count."""

    def end(self, job_id: str, status: str, error: str | None = None, worker: str | None = None) -> bool:
        """End a job, forget the caller's key; False where it has ended, or is not the worker's."""

    def stranded(self) -> list[str]:
        """Name the jobs that have not ended and that nobody holds: they wait in the queue, or their worker died."""

    def purge(self, seconds: float) -> int:
        """Forget the jobs that ended longer ago than that; return how many."""
