"""Read and add the spend of API keys, on a thread that a slow store may block."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ..stackspot.state.spend import SpendStore
from .budget_period import Period

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit

TIMEOUT = 0.5
"""Seconds that a request waits for the store; then this process's own count decides."""

_KEPT_SECONDS = 24 * 3600
"""How long a period that has ended is kept."""


@dataclass(slots=True)
class _Account:
    """What is known of a key in a period: the store's sum, and what the store has not yet."""

    stored: float = 0.0
    unsent: float = 0.0


class SpendBook:
    """The spend of keys in USD, by name, for the event loop.

    What the store cannot take is kept, and added with the next amount.
    """

    def __init__(self, store: SpendStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stackspot-spend")
        self._lock = threading.Lock()
        self._accounts: dict[tuple[str, Period], _Account] = {}

    async def read(self, key: str, period: Period) -> float:
        """Return what a key has spent in a period, by the store if it responds in time."""
        try:
            future = self._thread.submit(self._read, key, period)
            async with time_limit(TIMEOUT):
                await asyncio.wrap_future(future)
        except (asyncio.TimeoutError, RuntimeError):  # the store is slow, or the process ends
            pass
        return self.known(key, period)

    def known(self, key: str, period: Period) -> float:
        """Return what this process knows of the spend."""
        with self._lock:
            account = self._account(key, period)
            return account.stored + account.unsent

    def add(self, key: str, period: Period, amount: float) -> Future[None]:
        """Count an amount at once, and return the future of its way to the store."""
        with self._lock:
            self._account(key, period).unsent += amount
        return self._thread.submit(self._send, key, period)

    def close(self) -> None:
        """Wait for the store; it blocks."""
        self._thread.shutdown(wait=True)
        self._store.close()

    def _read(self, key: str, period: Period) -> None:
        if (stored := self._store.read(key, period.start)) is not None:
            with self._lock:
                self._account(key, period).stored = stored

    def _send(self, key: str, period: Period) -> None:
        with self._lock:
            amount = self._account(key, period).unsent
        expires = None if period.end is None else period.end + _KEPT_SECONDS
        stored = self._store.add(key, period.start, amount, expires) if amount else None
        if stored is not None:
            with self._lock:
                account = self._account(key, period)
                account.stored, account.unsent = stored, account.unsent - amount

    def _account(self, key: str, period: Period) -> _Account:
        if (account := self._accounts.get((key, period))) is None:
            ended = [(k, p) for k, p in self._accounts if k == key and p.start < period.start]
            for known in ended:
                if not self._accounts[known].unsent:
                    del self._accounts[known]
            account = self._accounts[key, period] = _Account()
        return account
