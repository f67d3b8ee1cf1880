"""Send one item of a job to its model, through the proxy and with the caller's headers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..proxy.client import ProxyClient, ProxyResponseError
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..proxy.reply_body import reply_body
from .credentials import decrypt_headers
from .job import Job, Outcome

logger = logging.getLogger(__name__)

_MAX_ATTEMPTS = 5
_MAX_WAIT_SECONDS = 120.0
_ROUTE = "/ingest"


class ItemRunner:
    """Run items through a ProxyClient; retry 429 and 503 responses that have `retry-after`."""

    def __init__(self, client: ProxyClient) -> None:
        self._client = client

    async def __call__(self, job: Job, number: int, item: dict[str, Any]) -> Outcome:
        """Return the outcome of an item; raise nothing but CancelledError."""
        ids = {"request_id": f"{job.id}-{number}"} | ({"id": item["id"]} if "id" in item else {})
        headers = decrypt_headers(job.id, job.caller or "")
        if headers is None:
            message = "The key of this job can no longer be read: the proxy's own key has changed. Send the job again."
            return Outcome({"message": message, "type": "auth_error", "code": "401"} | ids, ok=False)
        body = {**job.call, "messages": item["messages"]}
        try:
            return await self._ask(body, headers | {REQUEST_ID: ids["request_id"]}, ids)
        except ProxyResponseError as error:
            return Outcome(error.body() | ids, ok=False)
        except Exception as error:  # noqa: BLE001  one item must not end the job
            logger.error("Item %d of job %s failed: %s", number, job.id, type(error).__name__)
            return Outcome(
                {"message": "The proxy failed.", "type": type(error).__name__, "code": "500"} | ids, ok=False
            )

    async def _ask(self, body: dict[str, Any], headers: dict[str, str], ids: dict[str, str]) -> Outcome:
        for attempts_left in reversed(range(_MAX_ATTEMPTS)):
            started = time.perf_counter()
            try:
                completion = await self._client.ask(body, headers, service_route=_ROUTE)
                return Outcome(reply_body(completion, time.perf_counter() - started) | ids)
            except ProxyResponseError as error:
                delay = _retry_delay(error)
                if not attempts_left or delay is None:
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("unreachable")


def _retry_delay(error: ProxyResponseError) -> float | None:
    """Return the seconds until a retry, or None if the response does not allow one."""
    value = error.headers.get("retry-after", "")
    return min(float(value), _MAX_WAIT_SECONDS) if error.status in {429, 503} and value.isdecimal() else None
