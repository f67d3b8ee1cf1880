"""The routes of jobs: `POST /ingest`, `GET /status/{job_id}`, `GET /jobs`, `DELETE /jobs/{job_id}`.

A job is visible to the API key that created it, and to the master key.
"""

from __future__ import annotations

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
from ..jobs.store_executor import TIMEOUT
from ..proxy.auth import Caller
from ..proxy.client import ProxyResponseError, forwarded_headers
from ..request.correlation_id import HEADER, MISSING, correlation_id
from ..settings import Settings
from .job_schemas import IngestBody
from .responses import api_router

_T = TypeVar("_T")
Limit = Annotated[int, Query(ge=1, le=1000)]


def routes(jobs: JobsLifespan, settings: Settings) -> APIRouter:
    """Return the routes of jobs."""
    router: APIRouter = api_router(tags=["jobs"])

    @router.post("/ingest", status_code=202)
    async def ingest(request: Request, response: Response, caller: Caller, body: IngestBody) -> dict[str, Any]:
        """Queue a job."""
        items = _items(body, settings)
        headers = _headers(request, settings)

        def add(queue: JobQueue) -> str:
            job = _job(body, len(items), _owner(caller), headers, settings)
            queue.add(job, items, deadline)
            return job.id

        deadline = time.monotonic() + TIMEOUT

        job_id = await _with_queue(jobs, add, lambda job_id: jobs.queue().store.end(job_id, CANCELLED))
        response.headers["location"] = f"/status/{job_id}"
        return {"job_id": job_id, "status": QUEUED}

    @router.get("/status/{job_id}")
    async def status(job_id: str, caller: Caller) -> dict[str, Any]:
        """Return the progress of a job, and its results if it has ended."""
        return await _with_queue(jobs, lambda queue: _status(queue, _find(queue, job_id, caller)))

    @router.get("/jobs")
    async def list_jobs(caller: Caller, limit: Limit = 100) -> dict[str, Any]:
        """List the jobs of the caller's key, newest first; the master key gets all jobs."""
        owner = None if _is_master(caller) else _owner(caller)
        found = await _with_queue(jobs, lambda queue: queue.store.newest(owner, limit))
        return {"jobs": [_job_object(job) for job in found]}

    @router.delete("/jobs/{job_id}")
    async def cancel(job_id: str, caller: Caller) -> dict[str, Any]:
        """Cancel a queued or running job; results that exist are kept."""
        return await _with_queue(jobs, lambda queue: _cancel(queue, _find(queue, job_id, caller)))

    return router


async def _with_queue(jobs: JobsLifespan, do: Callable[[JobQueue], _T], undo: Callable[[_T], Any] | None = None) -> _T:
    """Call `do` with the queue; raises ProxyResponseError if the store fails or is too slow.

    `undo` gets the result that came too late for the client.
    """
    try:
        return await jobs.run(do, undo)
    except (JobStoreUnavailable, ConfigurationError) as error:
        headers = {"retry-after": f"{error.retry_after:.0f}"} if error.retry_after else {}
        raise ProxyResponseError(
            error.status_code, {"message": error.message, "type": "service_unavailable"}, headers
        ) from None


def _items(body: IngestBody, settings: Settings) -> list[dict[str, Any]]:
    if body.count() > settings.jobs.max_items:
        raise _error(422, f"a job has at most {settings.jobs.max_items} items, not {body.count()}: make several jobs")
    try:
        return body.items(settings.jobs.max_bytes)
    except ValueError as error:
        raise _error(422, str(error)) from None


def _headers(request: Request, settings: Settings) -> dict[str, str]:
    """Return the caller's headers for the items, without the id of this call."""
    headers = {name: value for name, value in forwarded_headers(request).items() if name != "x-litellm-call-id"}
    if settings.requests.require_correlation_id and correlation_id(headers) is None:
        raise _error(400, MISSING)
    return headers


def _job(body: IngestBody, total: int, owner: str, headers: dict[str, str], settings: Settings) -> Job:
    job_id = str(uuid.uuid4())
    if correlation_id(headers) is None:
        headers = headers | {HEADER: job_id}
    call = {**body.params.completion_fields(), "model": body.model or settings.services.default_model}
    return Job(job_id, owner, call, encrypt_headers(job_id, headers), time.time(), total)


def _find(queue: JobQueue, job_id: str, caller: UserAPIKeyAuth) -> Job:
    job = queue.store.find(job_id)
    if job is None or not (_is_master(caller) or job.owner == _owner(caller)):
        raise _error(404, f"There is no job {job_id!r} of this key.", "not_found_error")
    return job


def _cancel(queue: JobQueue, job: Job) -> dict[str, Any]:
    if not queue.store.end(job.id, CANCELLED):
        current = queue.store.find(job.id) or job
        raise _error(409, f"The job has ended already: {current.status}.", "conflict_error")
    return {"job_id": job.id, "status": CANCELLED}


def _status(queue: JobQueue, job: Job) -> dict[str, Any]:
    if job.ended is None:
        return _job_object(job) | {"result": None}
    outcomes = queue.store.outcomes(job.id)
    return _job_object(job) | {"result": [_result(number, outcome) for number, outcome in outcomes.items()]}


def _result(number: int, outcome: Outcome) -> dict[str, Any]:
    return {"item": number} | (outcome.answer if outcome.ok else {"error": outcome.answer})


def _job_object(job: Job) -> dict[str, Any]:
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
    """Return the owner of the caller's jobs: a hash of the key's id in the proxy."""
    return hashlib.sha256((caller.api_key or caller.user_id or "").encode()).hexdigest()


def _is_master(caller: UserAPIKeyAuth) -> bool:
    return bool(caller.api_key == LITELLM_PROXY_MASTER_KEY_ALIAS)


def _error(status: int, message: str, kind: str = "invalid_request_error") -> ProxyResponseError:
    return ProxyResponseError(status, {"message": message, "type": kind}, {})
