"""An answer that is waited for until it begins, and that ends with its request at the latest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

Event = TypeVar("Event")

_opened: ContextVar[set[StartedStream[Any]] | None] = ContextVar("stackspot_opened_answers", default=None)


@contextlib.contextmanager
def close_abandoned_streams() -> Iterator[None]:
    """Hang up, at the end of a request, whatever was opened for it and is still open.

    A client may leave at a moment when the proxy does not wait for the answer; on /v1/responses it then drops it unclosed.
    """
    opened: set[StartedStream[Any]] = set()
    before = _opened.set(opened)
    try:
        yield
    finally:
        _opened.reset(before)
        for answer in list(opened):
            answer.leave()


class StartedStream(AsyncIterator[Sequence[Event]]):
    """An answer whose failures before its beginning are raised by `wait`, before a client is told 200.

    An agent may take longer to begin than a client can be left without a sign: after `patience` seconds the answer counts as
    opened, and its first events, or its error, come when it is read. What arrives between its beginning and its first reader
    leaves together.
    """

    AHEAD = 8  # batches that are read before there is a reader, each of at most what the connection keeps

    def __init__(self, batches: AsyncGenerator[Sequence[Event], None]) -> None:
        self._batches = batches
        self._early: list[Event] = []
        self._ahead: asyncio.Task[None] | None = None
        self._wanted = False
        self._leaving: asyncio.Future[None] | None = None
        self._siblings = _opened.get()
        if self._siblings is not None:
            self._siblings.add(self)

    async def wait(self, patience: float) -> None:
        """Wait for the first events; raises StackspotError."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ahead = ahead = asyncio.ensure_future(self._read_ahead(begun))
        try:
            await asyncio.wait({ahead, begun}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if not self._early and ahead.done() and (error := ahead.exception()) is not None:
            raise error

    async def _read_ahead(self, begun: asyncio.Future[None]) -> None:
        for _ in range(self.AHEAD):
            events = await anext(self._batches)
            self._early += events
            if not begun.done():
                begun.set_result(None)
            if self._wanted:
                return

    async def __anext__(self) -> Sequence[Event]:
        """Return the events that arrived together."""
        self._wanted = True
        try:
            if not self._early and (ahead := self._ahead) is not None:
                self._ahead = None
                await ahead
            if self._early:
                events, self._early = self._early, []
                return events
            return await anext(self._batches)
        except BaseException:
            self._forget()
            raise

    async def aclose(self) -> None:
        """Hang up."""
        self._forget()
        if (ahead := self._ahead) is not None:
            self._ahead = None
            ahead.cancel()
            await asyncio.wait({ahead})
        await self._batches.aclose()

    def leave(self) -> None:
        """Begin to hang up, unless somebody reads on."""
        if self._ahead is not None or not getattr(self._batches, "ag_running", False):
            self._leaving = asyncio.ensure_future(self.aclose())

    def _forget(self) -> None:
        if self._siblings is not None:
            self._siblings.discard(self)
