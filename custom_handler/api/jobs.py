"""The routes of jobs: `POST /ingest`, `GET /status/{job_id}`, `GET /jobs`, `DELETE /jobs/{job_id}`.

A job is its key's: for every other key but the master key it does not exist.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS
from litellm.proxy._types import UserAPIKeyAuth

from ..errors import ConfigurationError, JobStoreUnavailable
from ..jobs.credentials import encrypt_headers
from ..jobs.job import CANCELLED, QUEUED, Job, Outcome
from ..jobs.lifespan import JobsLifespan
from ..jobs.queue import JobQueue
from ..proxy.auth import Caller
from ..proxy.client import ProxyResponseError, forwarded_headers
from ..request.correlation_id import HEADER, MISSING, correlation_id
from ..settings import Settings
from .job_schemas import IngestBody
from .responses import api_router

_T = TypeVar("_T")
Limit = Annotated[int, Query(ge=1, le=1000)]


def routes(jobs: JobsLifespan, settings: Settings) -> APIRouter:
    """The routes of jobs."""
    part: APIRouter = api_router(tags=["jobs"])

    @part.post("/ingest", status_code=202)
    async def ingest(request: Request, response: Response, caller: Caller, asked: IngestBody) -> dict[str, Any]:
        """Take a job."""
        items = _bounded(asked, settings)
        headers = _headers(request, settings)

        def take(queue: JobQueue) -> str:
            job = _job(asked, len(items), _owner(caller), headers, settings)
            queue.add(job, items)
            return job.id

        job_id = await _stored(jobs, take)
        response.headers["location"] = f"/status/{job_id}"
        return {"job_id": job_id, "status": QUEUED}

    @part.get("/status/{job_id}")
    async def status(job_id: str, caller: Caller) -> dict[str, Any]:
        """Tell how far a job is, and its results when it has ended."""
        return await _stored(jobs, lambda queue: _status(queue, _found(queue, job_id, caller)))

    @part.get("/jobs")
    async def list_jobs(caller: Caller, limit: Limit = 100) -> dict[str, Any]:
        """List the jobs of the caller's key, the newest first; those of all keys for the master key."""
        owner = None if _is_master(caller) else _owner(caller)
        return {"jobs": [_told(job) for job in await _stored(jobs, lambda queue: queue.store.newest(owner, limit))]}

    @part.delete("/jobs/{job_id}")
    async def cancel(job_id: str, caller: Caller) -> dict[str, Any]:
        """Cancel a job that waits or runs; what it has by then is kept."""
        return await _stored(jobs, lambda queue: _cancelled(queue, _found(queue, job_id, caller)))

    return part


async def _stored(jobs: JobsLifespan, do: Callable[[JobQueue], _T]) -> _T:
    """Do something with the queue on a thread of its own; raises Refused."""
    try:
        return await asyncio.to_thread(lambda: do(jobs.queue()))
    except (JobStoreUnavailable, ConfigurationError) as error:
        later = {"retry-after": f"{error.retry_after:.0f}"} if error.retry_after else {}
        raise ProxyResponseError(
            error.status_code, {"message": error.message, "type": "service_unavailable"}, later
        ) from None


def _bounded(asked: IngestBody, settings: Settings) -> list[dict[str, Any]]:
    if asked.count() > settings.jobs.max_items:
        raise _refused(
            422, f"a job has at most {settings.jobs.max_items} items, not {asked.count()}: make several jobs"
        )
    try:
        return asked.items(settings.jobs.max_bytes)
    except ValueError as error:
        raise _refused(422, str(error)) from None


def _headers(request: Request, settings: Settings) -> dict[str, str]:
    """Take what the caller said of itself; its call's own id is no item's."""
    headers = {name: value for name, value in forwarded_headers(request).items() if name != "x-litellm-call-id"}
    if settings.requests.require_correlation_id and correlation_id(headers) is None:
        raise _refused(400, MISSING)
    return headers


def _job(asked: IngestBody, total: int, owner: str, headers: dict[str, str], settings: Settings) -> Job:
    job_id = str(uuid.uuid4())
    if correlation_id(headers) is None:
        headers = headers | {HEADER: job_id}
    call = {**asked.params.body(), "model": asked.model or settings.services.default_model}
    return Job(job_id, owner, call, encrypt_headers(job_id, headers), time.time(), total)


def _found(queue: JobQueue, job_id: str, caller: UserAPIKeyAuth) -> Job:
    job = queue.store.find(job_id)
    if job is None or not (_is_master(caller) or job.owner == _owner(caller)):
        raise _refused(404, f"There is no job {job_id!r} of this key.", "not_found_error")
    return job


def _cancelled(queue: JobQueue, job: Job) -> dict[str, Any]:
    if not queue.store.end(job.id, CANCELLED):
        raise _refused(409, f"The job has ended already: {_found_status(queue, job)}.", "conflict_error")
    return {"job_id": job.id, "status": CANCELLED}


def _found_status(queue: JobQueue, job: Job) -> str:
    now = queue.store.find(job.id)
    return now.status if now is not None else job.status


def _status(queue: JobQueue, job: Job) -> dict[str, Any]:
    if job.ended is None:
        return _told(job) | {"result": None}
    outcomes = queue.store.outcomes(job.id)
    return _told(job) | {"result": [_result(number, outcome) for number, outcome in outcomes.items()]}


def _result(number: int, outcome: Outcome) -> dict[str, Any]:
    return {"item": number} | (outcome.answer if outcome.ok else {"error": outcome.answer})


def _told(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "status": job.status,
        "progress": {"total": job.total, "done": job.done, "failed": job.failed},
        "error": {"message": job.error} if job.error else None,
        "model": job.call["model"],
        "created_at": round(job.created, 3),
        "ended_at": None if job.ended is None else round(job.ended, 3),
    }


def _owner(caller: UserAPIKeyAuth) -> str:
    """Name whose a job is, by a hash of what the proxy calls its key."""
    return hashlib.sha256((caller.api_key or caller.user_id or "").encode()).hexdigest()


def _is_master(caller: UserAPIKeyAuth) -> bool:
    return bool(caller.api_key == LITELLM_PROXY_MASTER_KEY_ALIAS)


def _refused(status: int, message: str, kind: str = "invalid_request_error") -> ProxyResponseError:
    return ProxyResponseError(status, {"message": message, "type": kind}, {})
