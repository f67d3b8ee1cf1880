"""A job, its items, and the interface of the job stores.

queued ──claim──> running ──end──> completed | failed
   │  <──release──   │
   └──────end────────┴──────────> cancelled
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..data_class import data_class
from ..errors import JobStoreUnavailable

QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


@contextmanager
def store_errors(*errors: type[Exception], reason: str = "") -> Iterator[None]:
    """Raise JobStoreUnavailable for these errors of a back end; `reason` replaces their text."""
    try:
        yield
    except errors as error:
        logger.warning("The job store failed: %s", error)
        cause = reason or getattr(error, "strerror", None) or error
        message = f"The job store cannot be used right now: {cause}. Try again later."
        raise JobStoreUnavailable(message, retry_after=_RETRY_SECONDS) from error


def require_before(deadline: float) -> None:
    """Raise JobStoreUnavailable if the deadline (of `time.monotonic`) is over."""
    if time.monotonic() >= deadline:
        raise stored_too_late()


def stored_too_late() -> JobStoreUnavailable:
    """Return the error for a job that is not stored, because its deadline is over."""
    return JobStoreUnavailable(
        "The job store was too slow, so the job is not stored. Send it again.", retry_after=_RETRY_SECONDS
    )


@data_class
class Job:
    """A job without its items; times are seconds since the epoch.

    `owner` is a hash of the API key that may see the job. `call` holds the request fields that all
    items share. `caller` holds the caller's encrypted headers, and is erased when the job ends.
    `done` counts the items with an outcome, `failed` those among them whose outcome is an error.
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


@data_class
class Outcome:
    """The result of one item: `answer` is the response for the client, or an error if not `ok`."""

    answer: dict[str, Any]
    ok: bool = True


@data_class
class OpenItem:
    """An item without an outcome; `attempts` counts those during which the process crashed."""

    number: int
    payload: Any
    attempts: int = 0


class JobStore(Protocol):
    """Storage of jobs. Methods block, are thread-safe, and raise JobStoreUnavailable.

    A worker claims a job for the duration of a lease. Calls by a worker without the lease have no
    effect and return False, so that a job ends once and an item has one outcome.
    """

    def add(self, job: Job, items: list[Any], deadline: float = math.inf) -> None:
        """Store a new job and all its items in one transaction.

        After the deadline (of `time.monotonic`) raises JobStoreUnavailable and stores nothing, as
        the client has got an error: a job of its second attempt would run beside this one.
        """

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None if the id is unknown."""

    def newest(self, owner: str | None, limit: int) -> list[Job]:
        """Return an owner's jobs (all owners' for None), the newest first."""

    def outcomes(self, job_id: str) -> dict[int, Outcome]:
        """Return the outcomes of a job so far, by item number."""

    def open_items(self, job_id: str) -> list[OpenItem]:
        """Return the items without an outcome, in order."""

    def start(self, job_id: str, worker: str, number: int) -> bool:
        """Count an attempt at an item; call this before the attempt."""

    def claim(self, job_id: str, worker: str, seconds: float) -> bool:
        """Lease a job; return False if it has ended or another worker holds it."""

    def renew(self, job_id: str, worker: str, seconds: float) -> bool:
        """Extend the lease to `seconds` from now; False if the job ended or was taken over."""

    def record(self, job_id: str, worker: str, number: int, outcome: Outcome) -> bool:
        """Store the outcome of an item; return False if it already has one."""

    def release(self, job_id: str, worker: str, started: Collection[int] = ()) -> bool:
        """Return a job to the queue; uncount the attempts at the `started` items still open."""

    def end(self, job_id: str, status: str, error: str | None = None, worker: str | None = None) -> bool:
        """End a job and erase `caller`; without `worker`, whether or not a worker holds it."""

    def claimable(self) -> list[str]:
        """Return the ids of the jobs that have not ended and have no valid lease, oldest first."""

    def purge(self, seconds: float) -> int:
        """Delete the jobs that ended more than `seconds` ago; return their number."""
