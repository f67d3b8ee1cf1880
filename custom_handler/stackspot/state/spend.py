"""What API keys have spent, in a store that survives a restart."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ...settings import Settings

_TABLE = """
create table if not exists spend (
    key text not null, period integer not null, amount real not null, primary key (key, period)) without rowid
"""
_ADD = """
insert into spend (key, period, amount) values (?, ?, ?)
on conflict (key, period) do update set amount = amount + excluded.amount
"""
_BUSY_SECONDS = 5

FILE_NAME = "spend.sqlite3"

logger = logging.getLogger(__name__)


class SpendStore(Protocol):
    """The spend in USD by key and by the start of its period; all methods block.

    One thread calls them. None is returned where the store is unavailable.
    """

    def read(self, key: str, period: int) -> float | None:
        """Return what a key has spent in a period."""

    def add(self, key: str, period: int, amount: float, expires: int | None = None) -> float | None:
        """Add an amount, and return the sum; `expires` is when the period may be forgotten."""

    def close(self) -> None:
        """Close the connection."""


def open_spend_store(settings: Settings) -> SpendStore:
    """Return the store of the processes: Redis where it is configured, else a file of SQLite."""
    if not settings.redis.configured:
        return SqliteSpendStore(Path(settings.jobs.directory) / FILE_NAME)
    from .redis_spend import RedisSpendStore  # noqa: PLC0415  loads redis only where it is used

    return RedisSpendStore(settings.redis)


class SqliteSpendStore:
    """A SpendStore for the processes of one machine; the file is opened by the first call."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._failed = False

    def read(self, key: str, period: int) -> float | None:
        """See SpendStore."""
        return self._run(lambda connection: _sum(connection, key, period))

    def add(self, key: str, period: int, amount: float, expires: int | None = None) -> float | None:  # noqa: ARG002
        """See SpendStore; earlier periods of the key are removed."""

        def transaction(connection: sqlite3.Connection) -> float:
            with connection:
                connection.execute(_ADD, (key, period, amount))
                connection.execute("delete from spend where key = ? and period < ?", (key, period))
                return _sum(connection, key, period)

        return self._run(transaction)

    def close(self) -> None:
        """See SpendStore."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, command: Callable[[sqlite3.Connection], float]) -> float | None:
        try:
            if self._connection is None:
                self._connection = _open(self._file)
            result = command(self._connection)
        except (sqlite3.Error, OSError) as error:
            if not self._failed:
                logger.warning(
                    "The spend of API keys cannot be written to %s (%s): until it can, each process counts by itself, "
                    "and a restart forgets it. Set JOBS_DIR to a folder that can be written to, or REDIS_URL",
                    self._file,
                    type(error).__name__,
                )
            self._failed = True
            return None
        self._failed = False
        return result


def _open(file: Path) -> sqlite3.Connection:
    """Open the file, which only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, check_same_thread=False)
    with contextlib.suppress(sqlite3.OperationalError):  # a filesystem without shared memory
        connection.execute("pragma journal_mode=wal")
    connection.execute(_TABLE)
    return connection


def _sum(connection: sqlite3.Connection, key: str, period: int) -> float:
    row = connection.execute("select amount from spend where key = ? and period = ?", (key, period)).fetchone()
    return 0.0 if row is None else float(row[0])
