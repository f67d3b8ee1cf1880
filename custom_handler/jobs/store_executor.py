"""Threads for the job store's blocking calls, apart from the pool that serves chat requests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import JobStoreUnavailable

Result = TypeVar("Result")

THREADS = 4
MAX_PENDING = 16
TIMEOUT = 2.5
RETRY_AFTER = 5.0


class StoreExecutor:
    """Runs the job store's calls on a few threads, with a limit of calls and a deadline for each.

    A slow store (a locked SQLite file, a Redis that does not answer) can block these threads and
    nothing else: a call beyond the limit fails at once, any other within `timeout` seconds.
    """

    def __init__(self, threads: int = THREADS, pending: int = MAX_PENDING, timeout: float = TIMEOUT) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stackspot-job-store")
        self._free = threading.BoundedSemaphore(threads + pending)
        self._timeout = timeout

    async def run(self, call: Callable[[], Result], undo: Callable[[Result], Any] | None = None) -> Result:
        """Return the result of a call.

        A call that has not begun at its timeout never runs. One that has begun runs to its end;
        `undo` then gets its result, so the client can send its request again.

        Raises:
            JobStoreUnavailable: too many calls wait, or this one has not ended within the timeout.
        """
        if not self._free.acquire(blocking=False):
            raise _unavailable("too many requests wait for it")
        future = self._pool.submit(call)
        future.add_done_callback(lambda _: self._free.release())
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._timeout)
        except (asyncio.TimeoutError, asyncio.CancelledError) as error:
            if not future.cancel():
                future.add_done_callback(lambda done: self._undo(done, undo))
            if isinstance(error, asyncio.CancelledError):
                raise
            raise _unavailable(f"no answer within {self._timeout:g} s") from None

    def close(self) -> None:
        """Cancel the calls that have not begun, and wait for no other."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _undo(self, done: Future[Result], undo: Callable[[Result], Any] | None) -> None:
        """Undo a call that ended after its caller had stopped waiting."""
        if undo is None or done.cancelled() or done.exception() is not None:
            return
        with contextlib.suppress(RuntimeError):  # the pool is closed
            self._pool.submit(undo, done.result())


def _unavailable(reason: str) -> JobStoreUnavailable:
    return JobStoreUnavailable(
        f"The job store is busy ({reason}): try again in {RETRY_AFTER:.0f} s.", retry_after=RETRY_AFTER
    )
