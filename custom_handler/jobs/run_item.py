"""Asks the model about one item of a job, in its caller's name, as any client would."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..proxy.asgi_transport import service_route
from ..proxy.client import ProxyClient, ProxyResponseError
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..proxy.reply_body import reply_body
from .credentials import decrypt_headers
from .job import Job, Outcome

logger = logging.getLogger(__name__)

_TRIES = 5
_MOST_SECONDS = 120.0


class ItemRunner:
    """Asks through a router. Told to come later, it comes later: a job has time, and no other client to do that for it."""

    def __init__(self, router: ProxyClient) -> None:
        self._router = router

    async def __call__(self, job: Job, number: int, item: dict[str, Any]) -> Outcome:
        """Return what became of an item; raises nothing but CancelledError."""
        name = {"request_id": f"{job.id}-{number}"} | ({"id": item["id"]} if "id" in item else {})
        headers = decrypt_headers(job.id, job.caller or "")
        if headers is None:
            message = "The key of this job can no longer be read: the proxy's own key has changed. Send the job again."
            return Outcome({"message": message, "type": "auth_error", "code": "401"} | name, ok=False)
        body = {**job.call, "messages": item["messages"]}
        service_route.set("/ingest")
        try:
            return await self._ask(body, headers | {REQUEST_ID: name["request_id"]}, name)
        except ProxyResponseError as refused:
            return Outcome(refused.body() | name, ok=False)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this item's
            logger.error("Item %d of job %s failed: %s", number, job.id, type(error).__name__)
            return Outcome(
                {"message": "The proxy failed.", "type": type(error).__name__, "code": "500"} | name, ok=False
            )

    async def _ask(self, body: dict[str, Any], headers: dict[str, str], name: dict[str, str]) -> Outcome:
        for left in reversed(range(_TRIES)):
            began = time.perf_counter()
            try:
                answer = await self._router.ask(body, headers)
                return Outcome(reply_body(answer, time.perf_counter() - began) | name)
            except ProxyResponseError as refused:
                wait = _wait(refused)
                if not left or wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")


def _wait(refused: ProxyResponseError) -> float | None:
    """Return the seconds after which a refused call may be made again, where it may."""
    told = refused.headers.get("retry-after", "")
    return min(float(told), _MOST_SECONDS) if refused.status in {429, 503} and told.isdecimal() else None
