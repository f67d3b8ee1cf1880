"""A stream that is awaited until its first events, and closed with its HTTP request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

from ..request.context import current_request

Event = TypeVar("Event")


class StartedStream(AsyncIterator[Sequence[Event]]):
    """A stream whose early errors are raised by `wait`, before the client receives a 200.

    Batches that arrive between the first events and the first reader are joined to one.
    """

    AHEAD = 8  # batches read before there is a reader; the connection bounds the size of each

    def __init__(self, batches: AsyncGenerator[Sequence[Event], None]) -> None:
        self._batches = batches
        self._early: list[Event] = []
        self._ahead: asyncio.Task[None] | None = None
        self._has_reader = False
        self._closing: asyncio.Future[None] | None = None
        self._request = current_request()
        if self._request is not None:
            self._request.unfinished.add(self)

    async def wait(self, timeout: float) -> None:
        """Wait for the first events, `timeout` seconds at most; raises StackspotError.

        After the timeout the stream counts as started: a client should not wait longer for its
        headers. The reader then receives the first events, or the error.
        """
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ahead = ahead = asyncio.ensure_future(self._read_ahead(started))
        try:
            await asyncio.wait({ahead, started}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if not self._early and ahead.done() and (error := ahead.exception()) is not None:
            raise error

    async def _read_ahead(self, started: asyncio.Future[None]) -> None:
        for _ in range(self.AHEAD):
            events = await anext(self._batches)
            self._early += events
            if not started.done():
                started.set_result(None)
            if self._has_reader:
                return

    async def __anext__(self) -> Sequence[Event]:
        """Return the events that arrived together."""
        self._has_reader = True
        try:
            if not self._early and (ahead := self._ahead) is not None:
                self._ahead = None
                await ahead
            if self._early:
                events, self._early = self._early, []
                return events
            return await anext(self._batches)
        except BaseException:
            self._unregister()
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        self._unregister()
        if (ahead := self._ahead) is not None:
            self._ahead = None
            ahead.cancel()
            await asyncio.wait({ahead})
        await self._batches.aclose()

    def abandon(self) -> None:
        """Start to close the stream, unless a reader is awaiting it."""
        if self._ahead is not None or not getattr(self._batches, "ag_running", False):
            self._closing = asyncio.ensure_future(self.aclose())

    def _unregister(self) -> None:
        if self._request is not None:
            self._request.unfinished.discard(self)
