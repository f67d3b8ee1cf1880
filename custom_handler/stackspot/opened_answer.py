"""An answer that is waited for until it begins, and that ends with its request at the latest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

Event = TypeVar("Event")

_opened: ContextVar[set[OpenedAnswer[Any]] | None] = ContextVar("stackspot_opened_answers", default=None)


@contextlib.contextmanager
def closing_abandoned() -> Iterator[None]:
    """Hang up, at the end of a request, whatever was opened for it and is still open.

    A client may leave at a moment when the proxy does not wait for the answer; on /v1/responses it then drops it unclosed.
    """
    opened: set[OpenedAnswer[Any]] = set()
    before = _opened.set(opened)
    try:
        yield
    finally:
        _opened.reset(before)
        for answer in list(opened):
            answer.leave()


class OpenedAnswer(AsyncIterator[Sequence[Event]]):
    """An answer whose failures before its beginning are raised by `wait`, before a client is told 200.

    An agent may take longer to begin than a client can be left without a sign: after `patience` seconds the answer counts as
    opened, and its first events, or its error, come when it is read.
    """

    def __init__(self, batches: AsyncGenerator[Sequence[Event], None]) -> None:
        self._batches = batches
        self._first: asyncio.Task[Sequence[Event]] | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._siblings = _opened.get()
        if self._siblings is not None:
            self._siblings.add(self)

    async def wait(self, patience: float) -> None:
        """Wait for the first events; raises StackspotError."""
        self._first = asyncio.ensure_future(anext(self._batches))
        try:
            done, _ = await asyncio.wait({self._first}, timeout=patience)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if done and (error := self._first.exception()) is not None:
            raise error

    async def __anext__(self) -> Sequence[Event]:
        """Return the events that arrived together."""
        try:
            if (first := self._first) is not None:
                self._first = None
                return await first
            return await anext(self._batches)
        except BaseException:
            self._forget()
            raise

    async def aclose(self) -> None:
        """Hang up."""
        self._forget()
        if (first := self._first) is not None:
            self._first = None
            first.cancel()
            await asyncio.wait({first})
        await self._batches.aclose()

    def leave(self) -> None:
        """Begin to hang up, unless somebody reads on."""
        if self._first is not None or not getattr(self._batches, "ag_running", False):
            self._leaving = asyncio.ensure_future(self.aclose())

    def _forget(self) -> None:
        if self._siblings is not None:
            self._siblings.discard(self)
