"""An event loop on its own thread, which runs the asynchronous code path for blocking callers."""

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
    """Run coroutines for blocking callers; the first call starts the thread.

    The loop ends when this object is collected or the interpreter exits, and closes what is open on
    it. It keeps a reference to `resource` until then.

    >>> LoopThread().run(lambda: asyncio.sleep(0, result="done"))
    'done'
    """

    def __init__(self, resource: object = None) -> None:
        self._resource = resource
        self._lock = threading.Lock()
        self._loop: _Loop | None = None

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of the awaitable that `work` returns; KeyboardInterrupt cancels it."""
        return self._running_loop().run(work)

    def iterate(self, batches: AsyncGenerator[Result, None]) -> Generator[Result, None, None]:
        """Yield the items of an asynchronous generator; closing the iterator closes it."""
        loop = self._running_loop()
        try:
            while (batch := loop.run(lambda: anext(batches, None))) is not None:
                yield batch
        finally:
            loop.close_generator(batches)

    def abandon(self) -> None:
        """Drop the loop unclosed, in a child process: the parent uses its selector and sockets."""
        if self._loop is not None:
            self._loop.inherited = True
        _leak((self._loop, self._resource))

    def _running_loop(self) -> _Loop:
        with self._lock:
            if self._loop is None or not self._loop.alive:
                self._loop = loop = _Loop()
                weakref.finalize(self, loop.stop, self._resource)
            return self._loop


class _Loop:
    """One loop and its thread; without a reference to LoopThread, so that this can be collected."""

    def __init__(self) -> None:
        self.inherited = False
        self._calls: set[_Call[Any]] = set()
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=_serve, args=(started, self._calls), name="stackspot-loop", daemon=True)
        self._thread.start()
        self._loop, self._stopping = started.result()

    @property
    def alive(self) -> bool:
        """Whether it accepts calls."""
        return self._thread.is_alive() and not self.inherited

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        if threading.current_thread() is self._thread:
            raise RuntimeError("A blocking call was made on the loop of blocking calls: await the asynchronous method.")
        call = _Call(work, self._stopping)
        self._calls.add(call)
        try:
            self._submit(call.start)
            return call.outcome.result()
        except BaseException:
            if not call.outcome.done():  # the caller was interrupted
                self._submit(call.cancel)
                concurrent.futures.wait([call.outcome], CLOSE_TIMEOUT)
            raise
        finally:
            self._calls.discard(call)
            del call  # avoids a reference cycle: an error in its outcome refers to this frame

    def close_generator(self, batches: AsyncGenerator[Any, None]) -> None:
        """Close a generator, and wait for that CLOSE_TIMEOUT seconds at most.

        The garbage collector can call this at any time, and on the thread of the loop.
        """
        if self.inherited:
            _leak(batches)
        elif self.alive and threading.current_thread() is not self._thread:  # else the loop closes it
            call = _Call(batches.aclose, self._stopping)
            self._calls.add(call)
            with contextlib.suppress(SystemExit):
                self._submit(call.start)
                concurrent.futures.wait([call.outcome], CLOSE_TIMEOUT)
            self._calls.discard(call)

    def stop(self, _resource: object) -> None:
        """End the loop: cancel its tasks, and close its generators, which close the connections."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._stopping.set)
            if threading.current_thread() is not self._thread:
                self._thread.join(CLOSE_TIMEOUT)

    def _submit(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed
            raise SystemExit from None


class _Call(Generic[Result]):
    """One call of `run`; the loop calls its methods.

    The end of the loop ends a call with SystemExit: at exit only daemon threads still make calls.
    """

    def __init__(self, work: Callable[[], Awaitable[Result]], stopping: asyncio.Event) -> None:
        self.outcome: Future[Result] = Future()
        self._work = work
        self._stopping = stopping
        self._task: asyncio.Task[Result] | None = None

    def start(self) -> None:
        if self._stopping.is_set():
            return  # `_serve` calls `abort`
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._set_outcome)

    async def _run(self) -> Result:
        return await self._work()

    def cancel(self) -> None:
        if self._task is None:
            self.outcome.cancel()
        else:
            self._task.cancel()

    def abort(self) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(SystemExit())

    def _set_outcome(self, task: asyncio.Task[Result]) -> None:
        if task.cancelled():
            self.abort()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _serve(started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]], calls: set[_Call[Any]]) -> None:
    async def wait_for_stop() -> None:
        stopping = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()

    asyncio.run(wait_for_stop())  # cancels the tasks and closes the generators before it closes the loop
    for call in list(calls):
        call.abort()  # submitted too late for the loop


def _leak(inherited: object) -> None:
    """Never free an object of a fork's parent: that would change the selector they share."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
