"""One answer of the agent that several clients read while it arrives."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from collections.abc import AsyncGenerator, Callable, Sequence

from ..errors import StackspotError
from ..events import Finish, ReplyEvent
from ..instrumentation import KnowledgeSearched, Measurement
from .cached_answer import CachedAnswer
from .turn import Turn


class SharedAnswer:
    """Read the batches of a turn once for all readers; each gets every event, whenever it joined.

    The reader that needs more events than have arrived starts the next read, which runs as a task
    of its own in the context of the first reader: a reader that leaves ends no read of another.
    At the end of the answer, or when the last one leaves, the connection is closed. `admitted` is
    set when the request has a slot. `on_end` is called once: at the end of the answer, of an error,
    or when all readers have left.
    """

    def __init__(
        self,
        batches: AsyncGenerator[Sequence[ReplyEvent], None],
        turn: Turn,
        admitted: asyncio.Event,
        on_end: Callable[[SharedAnswer], None],
    ) -> None:
        self.turn = turn
        self.complete = False
        self._admitted = admitted
        self._sources: tuple[str, ...] | None = None
        self._hook, turn.hook = turn.hook, self._note_sources
        self._events: list[ReplyEvent] = []
        self._batches = batches
        self._on_end = on_end
        self._context = contextvars.copy_context()
        self._readers = 0
        self._over = False
        self._closed = False  # the connection is closed
        self._failure: Exception | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def answer(self) -> CachedAnswer:
        """The answer as far as it has arrived."""
        return CachedAnswer.of(self._events, self._sources)

    @property
    def admitted(self) -> bool:
        """Whether the request has had a slot: it does not wait for one any more."""
        return self._admitted.is_set()

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
                    raise self._taken_failure(self._failure)
                elif self._over:
                    return
                else:
                    await asyncio.wait({self._next_read()})
        finally:
            self._readers -= 1
            if not (self._readers or self._closed):  # after an error no reader waits, all go on together
                await self._close()

    def _taken_failure(self, failure: Exception) -> Exception:
        """Return the failure, and keep a copy: each raise of one object adds frames to it."""
        if isinstance(failure, StackspotError):
            self._failure = copy.copy(failure)
        return failure

    def _next_read(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = self._context.run(asyncio.ensure_future, self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            events = await anext(self._batches)
        except StopAsyncIteration:
            self._closed = True
            self._end()
        except Exception as error:  # noqa: BLE001  each reader raises it
            self._failure, self._closed = error, True
            self._end()
        else:
            self._events += events
            if isinstance(events[-1], Finish):  # a client may leave without reading on
                self.complete = True
                self._end()
                self._close_batches()  # the slot is free, however slowly a reader goes on
        finally:
            self._reading = None

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._on_end(self)

    async def _close(self) -> None:
        """Close the connection, even if the last reader is cancelled meanwhile."""
        self._end()
        if self._closing is None and (reading := self._reading) is not None:
            reading.cancel()
        await asyncio.wait({self._close_batches()})

    def _close_batches(self) -> asyncio.Task[None]:
        """Return the task that closes the connection, after the read that is running."""
        if self._closing is None:
            self._closing = self._context.run(asyncio.ensure_future, self._aclose(self._reading))
        return self._closing

    async def _aclose(self, reading: asyncio.Task[None] | None) -> None:
        if reading is not None:
            await asyncio.wait({reading})
        await self._batches.aclose()
