"""Threads for the calls of a store, apart from the pool that serves chat requests."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit

Result = TypeVar("Result")

THREADS = 4
MAX_CALLS = 64
TIMEOUT = 0.5


class StoreThreads:
    """Runs blocking calls on a few threads; a call that cannot end in time has no result.

    A Redis that does not answer blocks these threads and nothing else: a turn without the result
    sends the whole conversation, or is not remembered. `timeout` is in seconds, None for TIMEOUT.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="stackspot-store")
        self._free = threading.BoundedSemaphore(MAX_CALLS)

    async def run(self, method: Callable[..., Result | None], *arguments: object) -> Result | None:
        """Return the result of a call; None where it is late, or where MAX_CALLS already wait."""
        if not self._free.acquire(blocking=False):
            return None
        try:
            future = self._pool.submit(method, *arguments)
        except RuntimeError:  # the interpreter exits
            self._free.release()
            return None
        future.add_done_callback(lambda _: self._free.release())
        try:
            async with time_limit(TIMEOUT if self._timeout is None else self._timeout):
                return await asyncio.wrap_future(future)
        except asyncio.TimeoutError:  # one class with TimeoutError since Python 3.11
            return None
