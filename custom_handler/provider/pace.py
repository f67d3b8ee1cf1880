"""Makes the chunks of a long stream fewer, because LiteLLM keeps each until the stream ends.

A chunk takes some 3 kB, even of one character: an agent that sends a word every millisecond for ten
minutes would take 2 GB. Everything that arrives during a pause becomes one chunk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

FREE = 1_000
"""The chunks of a stream that leave as soon as their text arrives; most answers have fewer."""

STEP = 0.0001
MOST = 0.25


class Pace:
    """The seconds between two chunks of a stream: 0 at first, STEP more for each after FREE.

    So a stream has at most some 5,000 chunks in ten minutes.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._chunks = 0
        self._last = 0.0

    async def wait(self) -> None:
        """Wait until the next chunks may be built; what arrives meanwhile is in them."""
        pause = min(MOST, (self._chunks - FREE) * STEP)
        if pause > 0 and (left := self._last + pause - self._clock()) > 0:
            await self._sleep(left)

    def count(self, chunks: int) -> None:
        """Count chunks that have been built."""
        self._chunks += chunks
        self._last = self._clock()
