"""Store responses in a file of SQLite, which the processes of one machine share."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .store import StoreFailed

_TABLES = """
create table if not exists response (
    owner text not null, id text not null, created real not null, content blob not null, primary key (owner, id));
create index if not exists response_owner on response (owner, created);
create index if not exists response_created on response (created);
create table if not exists item (
    owner text not null, id text not null, response text not null, content blob not null, primary key (owner, id),
    foreign key (owner, response) references response on delete cascade);
create index if not exists item_response on item (owner, response);
"""
_PUT = "insert or replace into response (owner, id, created, content) values (?, ?, ?, ?)"
_PUT_ITEM = "insert or replace into item (owner, id, response, content) values (?, ?, ?, ?)"
# A transaction deletes some of the old rows only, so that none takes long.
_PURGE = "delete from response where rowid in (select rowid from response where created < ? order by created limit 200)"
_LIMIT = (
    "delete from response where rowid in "
    "(select rowid from response where owner = ? order by created desc, rowid desc limit 200 offset ?)"
)
_BUSY_SECONDS = 2.0
_BATCH = 500  # of the values of a statement


class SqliteResponseStore:
    """A ResponseStore; each thread opens a connection of its own at its first call."""

    def __init__(self, file: Path, keep: float, per_key: int, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._keep, self._per_key = keep, per_key
        self._clock = clock
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    def put(self, owner: str, response_id: str, content: bytes, items: Mapping[str, bytes]) -> None:
        """See ResponseStore."""
        now = self._clock()
        with self._transaction() as connection:
            connection.execute(_PUT, (owner, response_id, now, content))
            rows = [(owner, item_id, response_id, item) for item_id, item in items.items()]
            connection.executemany(_PUT_ITEM, rows)
            self._limit(connection, owner, now)

    def claim(self, owner: str, response_id: str, content: bytes) -> bytes | None:
        """See ResponseStore."""
        now = self._clock()
        with self._transaction() as connection:
            connection.execute("begin immediate")  # no other process between the statements
            query = "select content from response where owner = ? and id = ? and created >= ?"
            row = connection.execute(query, (owner, response_id, now - self._keep)).fetchone()
            if row is None:
                connection.execute(_PUT, (owner, response_id, now, content))
                self._limit(connection, owner, now)
        return None if row is None else bytes(row[0])

    def get(self, owner: str, response_id: str) -> bytes | None:
        """See ResponseStore."""
        query = "select content from response where owner = ? and id = ? and created >= ?"
        with self._transaction() as connection:
            row = connection.execute(query, (owner, response_id, self._clock() - self._keep)).fetchone()
        return None if row is None else bytes(row[0])

    def items(self, owner: str, item_ids: Collection[str]) -> dict[str, bytes]:
        """See ResponseStore."""
        found: dict[str, bytes] = {}
        ids, after = list(item_ids), self._clock() - self._keep
        with self._transaction() as connection:
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                query = (
                    "select item.id, item.content from item join response "  # noqa: S608  it has marks only
                    "on response.owner = item.owner and response.id = item.response "
                    f"where item.owner = ? and item.id in ({marks}) and response.created >= ?"
                )
                found |= dict(connection.execute(query, (owner, *batch, after)))
        return found

    def delete(self, owner: str, response_id: str) -> bool:
        """See ResponseStore."""
        query = "delete from response where owner = ? and id = ? and created >= ?"
        with self._transaction() as connection:
            return connection.execute(query, (owner, response_id, self._clock() - self._keep)).rowcount == 1

    def purge(self) -> None:
        """Delete up to 200 responses that are too old."""
        with self._transaction() as connection:
            connection.execute(_PURGE, (self._clock() - self._keep,))

    def close(self) -> None:
        """See ResponseStore."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _limit(self, connection: sqlite3.Connection, owner: str, now: float) -> None:
        connection.execute(_PURGE, (now - self._keep,))
        connection.execute(_LIMIT, (owner, self._per_key))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = getattr(self._local, "connection", None) or self._open()
            with connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(type(error).__name__) from error

    def _open(self) -> sqlite3.Connection:
        """Open the file, which only its owner can read."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, check_same_thread=False)
        with contextlib.suppress(sqlite3.OperationalError):  # a filesystem without shared memory
            connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")
        connection.execute("pragma foreign_keys=on")
        connection.executescript(_TABLES)
        self._local.connection = connection
        with self._lock:
            self._connections.append(connection)
        return connection
