"""An event loop on a thread of its own, for callers that block: their calls take the same path as those that await."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

CLOSE_TIMEOUT = 5.0

Result = TypeVar("Result")


class LoopThread:
    """Run coroutines for callers that block; the first call starts the thread.

    The loop ends when this object is collected or the interpreter exits: then all that is open on it is closed.
    `kept` is an object that lives until the loop has ended.
    """

    def __init__(self, kept: object = None) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._loop: _Loop | None = None

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Run what `work` returns, and return its result; an interrupt of the caller cancels it."""
        return self._started().run(work)

    def iterate(self, batches: AsyncGenerator[Result, None]) -> Generator[Result, None, None]:
        """Yield what an asynchronous generator yields; closing the iterator closes it."""
        loop = self._started()
        try:
            while (batch := loop.run(lambda: anext(batches, None))) is not None:
                yield batch
        finally:
            loop.finish(batches)

    def abandon(self) -> None:
        """Give the loop up without closing it, as a fork's child must: the parent uses the same selector and sockets."""
        if self._loop is not None:
            self._loop.inherited = True
        _never_free((self._loop, self._kept))

    def _started(self) -> _Loop:
        with self._lock:
            if self._loop is None or not self._loop.alive:
                self._loop = loop = _Loop()
                weakref.finalize(self, loop.stop, self._kept)
            return self._loop


class _Loop:
    """One loop with its thread; it does not refer to LoopThread, which can so be collected."""

    def __init__(self) -> None:
        self.inherited = False
        self._calls: set[_Call[Any]] = set()
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=_serve, args=(begun, self._calls), name="stackspot-loop", daemon=True)
        self._thread.start()
        self._loop, self._ended = begun.result()

    @property
    def alive(self) -> bool:
        """Whether it takes calls."""
        return self._thread.is_alive() and not self.inherited

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        if threading.current_thread() is self._thread:
            raise RuntimeError("A blocking call was made on the loop of blocking calls: await the asynchronous method.")
        call = _Call(work, self._ended)
        self._calls.add(call)
        try:
            self._submit(call.begin)
            return call.outcome.result()
        except BaseException:
            if not call.outcome.done():  # the caller was interrupted
                self._submit(call.cancel)
                concurrent.futures.wait([call.outcome], CLOSE_TIMEOUT)
            raise
        finally:
            self._calls.discard(call)
            del call  # its outcome may hold an error whose traceback holds this frame

    def finish(self, batches: AsyncGenerator[Any, None]) -> None:
        """Close a generator; the collector may do that at any moment, and on this thread, so it waits for a while only."""
        if self.inherited:
            _never_free(batches)
        elif self.alive and threading.current_thread() is not self._thread:  # else its loop closes it
            call = _Call(batches.aclose, self._ended)
            self._calls.add(call)
            with contextlib.suppress(SystemExit):
                self._submit(call.begin)
                concurrent.futures.wait([call.outcome], CLOSE_TIMEOUT)
            self._calls.discard(call)

    def stop(self, _kept: object) -> None:
        """End the loop: its tasks are cancelled, and its generators closed, which close the connections."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._ended.set)
            if threading.current_thread() is not self._thread:
                self._thread.join(CLOSE_TIMEOUT)

    def _submit(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed
            raise SystemExit from None


class _Call(Generic[Result]):
    """A call as the loop sees it; `begin` and `cancel` are called on it.

    The end of the loop ends a call with SystemExit: only daemon threads make calls when the interpreter exits.
    """

    def __init__(self, work: Callable[[], Awaitable[Result]], ended: asyncio.Event) -> None:
        self.outcome: Future[Result] = Future()
        self._work = work
        self._ended = ended
        self._task: asyncio.Task[Result] | None = None

    def begin(self) -> None:
        if self._ended.is_set():
            return  # `end` follows
        self._task = asyncio.ensure_future(self._worked())
        self._task.add_done_callback(self._note)

    async def _worked(self) -> Result:
        return await self._work()

    def cancel(self) -> None:
        if self._task is None:
            self.outcome.cancel()
        else:
            self._task.cancel()

    def end(self) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(SystemExit())

    def _note(self, task: asyncio.Task[Result]) -> None:
        if task.cancelled():
            self.end()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _serve(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]], calls: set[_Call[Any]]) -> None:
    async def until_ended() -> None:
        ended = asyncio.Event()
        begun.set_result((asyncio.get_running_loop(), ended))
        await ended.wait()

    asyncio.run(until_ended())  # it cancels the tasks, and closes the generators, before it closes the loop
    for call in list(calls):
        call.end()  # the loop closed before it took the call


def _never_free(inherited: object) -> None:
    """Keep an object of a fork's parent for ever: to free a connection's would take it from the selector of both."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
