"""Reads an answer ahead of whoever takes it, so that everything that has arrived by then is taken together.

    network ──▶ pump (a task) ──▶ what has arrived, bounded ──▶ take

Nothing waits for more: a lone piece is there to be taken at once. The longer its taker is busy, the more is taken together, and so
the work for an answer falls as the load rises. The connection is not read on while `limit` bytes wait: a slow client slows its agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

LIMIT = 256 * 1024


class Pump:
    """One answer's bytes, read by a task of its own from the moment at which the pump is made."""

    def __init__(self, pieces: AsyncIterator[bytes], limit: int = LIMIT) -> None:
        self._pieces = pieces
        self._limit = limit
        self._arrived: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()  # there is something to take, or the end
        self._emptied = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def take(self) -> bytes | None:
        """Return all that has arrived, at least one piece, or None at the end; raises what ended the reading."""
        await self._filled.wait()
        if self._arrived:
            taken = b"".join(self._arrived)
            self._arrived.clear()
            self._size = 0
            self._emptied.set()
            if not self._task.done():
                self._filled.clear()
            return taken
        await self._task
        return None

    async def aclose(self) -> None:
        """Stop reading, now."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            async for piece in self._pieces:
                self._arrived.append(piece)
                self._size += len(piece)
                self._filled.set()
                if self._size >= self._limit:
                    self._emptied.clear()
                    await self._emptied.wait()
        finally:
            self._filled.set()
