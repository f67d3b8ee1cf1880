"""Append JSON lines to a file on a background thread, so that no call waits for the disk.

Several processes may share the file: each write appends a whole line, and the first process that
finds the file too large renames it. A full disk is logged once; lines wait in a bounded queue.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 50 * 2**20
MAX_WAITING = 20_000
RETRY_SECONDS = 1.0
BATCH_SECONDS = 0.25  # waking the thread for each line costs the event loop more than the line

logger = logging.getLogger(__name__)


class JsonLinesWriter:
    """Writes JSON lines to the file that `locate`, called on the writer's thread, returns.

    `limit` is the size in bytes at which the file is renamed. `waiting` is the maximum number of
    lines that wait for the disk; further lines are dropped.
    """

    def __init__(self, locate: Callable[[], Path], *, limit: int = MAX_FILE_BYTES, waiting: int = MAX_WAITING) -> None:
        self._locate = locate
        self._limit = limit
        self._waiting = waiting
        self._path: Path | None = None
        self._failing = False
        self._truncated = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._queue: queue.Queue[Mapping[str, Any] | threading.Event] = queue.Queue(self._waiting)
        self._backlog: deque[bytes] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._flush_now = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, which calls `locate`, before the first line."""
        if self._pid != os.getpid():  # a fork has no threads, and its parent writes the queued lines
            self._reset()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                self._thread.start()

    def write(self, line: Mapping[str, Any]) -> None:
        """Queue a line without blocking; its values must not change afterwards."""
        self.start()
        try:
            self._queue.put_nowait(line)
        except queue.Full:  # the disk hangs
            self._dropped += 1

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait up to `timeout` seconds for the queued lines; return whether all are written."""
        if self._thread is None or self._pid != os.getpid():
            return True
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout)
        except queue.Full:
            return False
        self._flush_now.set()
        return done.wait(timeout) and not self._backlog

    def _run(self) -> None:
        self._drain()  # calls `locate`
        while True:
            waiters = self._collect()
            self._drain()
            for waiter in waiters:
                waiter.set()

    def _collect(self) -> list[threading.Event]:
        """Wait for lines and move them to the backlog; return the events of waiting `flush` calls.

        With a backlog left by a failing disk, return after RETRY_SECONDS at the latest.
        """
        waiters: list[threading.Event] = []
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=RETRY_SECONDS if self._backlog else None)
            self._flush_now.wait(BATCH_SECONDS)
            self._flush_now.clear()
            while True:
                if isinstance(item, threading.Event):
                    waiters.append(item)
                else:
                    self._backlog.append(_encode(item))
                item = self._queue.get_nowait()
        return waiters

    def _drain(self) -> None:
        try:
            self._path = self._path or self._locate()
            while self._backlog:
                self._append(self._path)
        except OSError as error:
            self._log_failure(error)
            while len(self._backlog) > self._waiting:
                self._backlog.popleft()
                self._dropped += 1
        else:
            self._log_recovery()

    def _append(self, path: Path) -> None:
        """Write the backlog until it is empty or the file has reached the limit."""
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while self._backlog:
                if os.fstat(file).st_size >= self._limit:
                    with contextlib.suppress(FileNotFoundError):  # another process has renamed it
                        path.rename(path.with_name(f"{path.stem}.{time.time_ns()}{path.suffix}"))
                    return
                self._write_line(file, self._backlog[0])
                self._backlog.popleft()
        finally:
            os.close(file)

    def _write_line(self, file: int, line: bytes) -> None:
        """Write one line with one system call; after a truncated line, start a new one first."""
        data = b"\n" + line if self._truncated else line
        written = os.write(file, data)
        self._truncated = written < len(data)
        if self._truncated:
            raise OSError(f"only {written} of {len(data)} bytes were written")

    def _log_failure(self, error: OSError) -> None:
        if not self._failing:
            logger.warning(
                "Telemetry cannot be written (%s: %s): free disk space, or set RUNS_DIR to a writable folder. "
                "Calls are not affected.",
                type(error).__name__,
                error.strerror or error,
            )
        self._failing = True

    def _log_recovery(self) -> None:
        if self._failing:
            logger.warning("Telemetry is written again; %d lines were lost.", self._dropped)
        self._failing, self._dropped = False, 0


def _encode(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", errors="replace") + b"\n"
