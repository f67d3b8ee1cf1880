"""Store jobs in SQLite: two tables in the file of the queue, each change in one transaction."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huey.storage import SqliteStorage

from .job import QUEUED, RUNNING, Job, OpenItem, Outcome, require_before, store_errors

# The columns of `job` are the fields of Job in their order, then the worker and its lease.
_TABLES = """
create table if not exists job (
    id text primary key, owner text not null, call text not null, caller text, created real not null, total integer not null,
    status text not null, done integer not null default 0, failed integer not null default 0, ended real, error text,
    worker text, lease real not null default 0);
create index if not exists job_owner on job (owner, created);
create index if not exists job_created on job (created);
create index if not exists job_ended on job (ended);
create index if not exists job_open on job (lease) where ended is null;
create table if not exists item (
    job text not null references job on delete cascade, number integer not null, item text not null, outcome text, ok integer,
    attempts integer not null default 0, primary key (job, number)) without rowid
"""
_ADD_ATTEMPTS = "alter table item add column attempts integer not null default 0"  # for a file of an older release
_BUSY_SECONDS = 30


class JobStorage(SqliteStorage):  # type: ignore[misc]  # huey has no types
    """huey's storage with the tables of the jobs; only the file's owner can read it."""

    ddl = (*SqliteStorage.ddl, *_TABLES.split(";"))

    def __init__(self, name: str, filename: Path) -> None:
        filename.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(filename, os.O_CREAT | os.O_RDWR, 0o600))
        # fsync: a job that was accepted must survive a power failure.
        super().__init__(name, str(filename), fsync=True, timeout=_BUSY_SECONDS, strict_fifo=True)
        with contextlib.suppress(sqlite3.OperationalError), self.db(commit=True) as cursor:  # the column exists
            cursor.execute(_ADD_ATTEMPTS)

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        connection.execute("pragma foreign_keys=on")
        return connection


class SqliteJobStore:
    """A JobStore for the processes of one machine, on the connection of the queue."""

    def __init__(self, storage: JobStorage) -> None:
        self._storage = storage

    def add(self, job: Job, items: list[Any], deadline: float = math.inf) -> None:
        with self._transaction() as cursor:
            require_before(deadline)  # now that the lock of the file is held
            cursor.execute(
                "insert into job (id, owner, call, caller, created, total, status) values (?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.owner, json.dumps(job.call), job.caller, job.created, job.total, QUEUED),
            )
            rows = ((job.id, number, json.dumps(item)) for number, item in enumerate(items))
            cursor.executemany("insert into item (job, number, item) values (?, ?, ?)", rows)

    def find(self, job_id: str) -> Job | None:
        rows = self._read("select * from job where id = ?", job_id)
        return _job(rows[0]) if rows else None

    def newest(self, owner: str | None, limit: int) -> list[Job]:
        if owner is None:
            rows = self._read("select * from job order by created desc limit ?", limit)
        else:
            rows = self._read("select * from job where owner = ? order by created desc limit ?", owner, limit)
        return [_job(row) for row in rows]

    def outcomes(self, job_id: str) -> dict[int, Outcome]:
        query = "select number, outcome, ok from item where job = ? and outcome is not null order by number"
        return {number: Outcome(json.loads(text), bool(ok)) for number, text, ok in self._read(query, job_id)}

    def open_items(self, job_id: str) -> list[OpenItem]:
        query = "select number, item, attempts from item where job = ? and outcome is null order by number"
        return [OpenItem(number, json.loads(text), attempts) for number, text, attempts in self._read(query, job_id)]

    def start(self, job_id: str, worker: str, number: int) -> bool:
        query = (
            "update item set attempts = attempts + 1 where job = ? and number = ? "
            "and exists (select 1 from job where id = ? and worker = ? and ended is null)"
        )
        return self._write(query, job_id, number, job_id, worker)

    def claim(self, job_id: str, worker: str, seconds: float) -> bool:
        now = time.time()
        query = "update job set status = ?, worker = ?, lease = ? where id = ? and ended is null and lease < ?"
        return self._write(query, RUNNING, worker, now + seconds, job_id, now)

    def renew(self, job_id: str, worker: str, seconds: float) -> bool:
        query = "update job set lease = ? where id = ? and worker = ? and ended is null"
        return self._write(query, time.time() + seconds, job_id, worker)

    def record(self, job_id: str, worker: str, number: int, outcome: Outcome) -> bool:
        with self._transaction() as cursor:
            cursor.execute(
                "update item set outcome = ?, ok = ? where job = ? and number = ? and outcome is null "
                "and exists (select 1 from job where id = ? and worker = ? and ended is null)",
                (json.dumps(outcome.answer), outcome.ok, job_id, number, job_id, worker),
            )
            if recorded := cursor.rowcount == 1:
                count = "update job set done = done + 1, failed = failed + ? where id = ?"
                cursor.execute(count, (not outcome.ok, job_id))
            return recorded

    def release(self, job_id: str, worker: str, started: Collection[int] = ()) -> bool:
        query = "update job set status = ?, worker = null, lease = 0 where id = ? and worker = ? and ended is null"
        with self._transaction() as cursor:
            cursor.execute(query, (QUEUED, job_id, worker))
            if released := cursor.rowcount == 1:
                undo = "update item set attempts = attempts - 1 where job = ? and number = ? and outcome is null"
                cursor.executemany(undo, [(job_id, number) for number in started])
            return released

    def end(self, job_id: str, status: str, error: str | None = None, worker: str | None = None) -> bool:
        query = (
            "update job set status = ?, error = ?, ended = ?, worker = null, caller = null "
            "where id = ? and ended is null and worker is coalesce(?, worker)"
        )
        return self._write(query, status, error, time.time(), job_id, worker)

    def claimable(self) -> list[str]:
        query = "select id from job where ended is null and lease < ? order by created"
        return [job_id for (job_id,) in self._read(query, time.time())]

    def purge(self, seconds: float) -> int:
        with self._transaction() as cursor:
            cursor.execute("delete from job where ended < ?", (time.time() - seconds,))
            return int(cursor.rowcount)

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with store_errors(sqlite3.Error, OSError):
            rows: list[tuple[Any, ...]] = self._storage.sql(query, values, results=True)
            return rows

    def _write(self, query: str, *values: Any) -> bool:
        with self._transaction() as cursor:
            cursor.execute(query, values)
            return bool(cursor.rowcount == 1)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with store_errors(sqlite3.Error, OSError), self._storage.db(commit=True) as cursor:
            yield cursor


def _job(row: tuple[Any, ...]) -> Job:
    job_id, owner, call, *rest = row[:-2]
    return Job(job_id, owner, json.loads(call), *rest)
