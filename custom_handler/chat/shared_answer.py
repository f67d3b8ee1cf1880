"""One answer of the agent that several clients read while it arrives."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Sequence

from ..events import Finish, ReplyEvent
from ..instrumentation import KnowledgeSearched, Measurement
from .cached_answer import CachedAnswer
from .turn import Turn


class SharedAnswer:
    """Read the batches of a turn once for all readers; each gets every event, whenever it joined.

    The reader that needs more events than have arrived starts the next read, which runs as a task
    of its own in the context of the first reader: a reader that leaves ends no read of another.
    When the last one leaves, the connection is closed. `on_end` is called once: at the end of the
    answer, of an error, or when all readers have left.
    """

    def __init__(
        self,
        batches: AsyncGenerator[Sequence[ReplyEvent], None],
        turn: Turn,
        on_end: Callable[[SharedAnswer], None],
    ) -> None:
        self.turn = turn
        self.complete = False
        self._sources: tuple[str, ...] | None = None
        self._hook, turn.hook = turn.hook, self._note_sources
        self._events: list[ReplyEvent] = []
        self._batches = batches
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._readers = 0
        self._over = False
        self._failure: Exception | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def answer(self) -> CachedAnswer:
        """The answer as far as it has arrived."""
        return CachedAnswer.of(self._events, self._sources)

    def _note_sources(self, measurement: Measurement) -> None:
        if isinstance(measurement, KnowledgeSearched):
            self._sources = measurement.sources
        self._hook(measurement)

    async def read(self) -> AsyncGenerator[Sequence[ReplyEvent], None]:
        """Yield all events, those that have arrived in one batch; raises the agent's errors."""
        self._readers += 1
        position = 0
        try:
            while True:
                if events := self._events[position:]:
                    position += len(events)
                    yield events
                elif self._failure is not None:
                    raise self._failure
                elif self._over:
                    return
                else:
                    await asyncio.wait({self._next_read()})
        finally:
            self._readers -= 1
            if not self._readers:
                await self._close()

    def _next_read(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = self._context.run(asyncio.ensure_future, self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            events = await anext(self._batches)
        except StopAsyncIteration:
            self._end()
        except Exception as error:  # noqa: BLE001  each reader raises it
            self._failure = error
            self._end()
        else:
            self._events += events
            if isinstance(events[-1], Finish):  # a client may leave without reading on
                self.complete = True
                self._end()
        finally:
            self._reading = None

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._on_end(self)

    async def _close(self) -> None:
        """Close the connection, even if the last reader is cancelled meanwhile."""
        self._end()
        if (reading := self._reading) is not None:
            reading.cancel()
        self._closing = self._context.run(asyncio.ensure_future, self._close_batches(reading))
        await asyncio.wait({self._closing})

    async def _close_batches(self, reading: asyncio.Task[None] | None) -> None:
        if reading is not None:
            await asyncio.wait({reading})
        await self._batches.aclose()
