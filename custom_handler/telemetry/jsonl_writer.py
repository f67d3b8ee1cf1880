"""Appends lines to a file from a thread of its own, so that no call ever waits for the disk.

The file may be shared by several processes: each write appends whole lines at once, and whoever finds the file too large
moves it aside. A disk that is full is told once; the lines wait, up to a bound, until it takes them.
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

LARGEST_FILE = 50 * 2**20
MOST_WAITING = 20_000
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.25  # a thread that wakes for each line costs the proxy's loop more than the line itself

logger = logging.getLogger(__name__)


class JsonLinesWriter:
    """A file of JSON lines; `locate` names it when the writer starts, in its thread, and may make its folder.

    `limit` is the size in bytes beyond which a file is moved aside, `waiting` the number of lines that a disk can fall behind.
    """

    def __init__(self, locate: Callable[[], Path], *, limit: int = LARGEST_FILE, waiting: int = MOST_WAITING) -> None:
        self._locate = locate
        self._limit = limit
        self._waiting = waiting
        self._path: Path | None = None
        self._trouble: str | None = None
        self._torn = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._queue: queue.Queue[Mapping[str, Any] | threading.Event] = queue.Queue(self._waiting)
        self._backlog: deque[bytes] = deque()
        self._lost = 0
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writer, which locates the file, before there is a line."""
        if self._pid != os.getpid():  # a fork takes no thread along, and its parent writes what was queued
            self._reset()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
                self._thread.start()

    def write(self, line: Mapping[str, Any]) -> None:
        """Take a line; its values must not change any more."""
        self.start()
        try:
            self._queue.put_nowait(line)
        except queue.Full:  # the disk hangs
            self._lost += 1

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was taken is written; False where that was not done within `timeout` seconds."""
        if self._thread is None or self._pid != os.getpid():
            return True
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout)
        except queue.Full:
            return False
        self._hurry.set()
        return done.wait(timeout) and not self._backlog

    def _work(self) -> None:
        self._drain()  # locates the file
        while True:
            waiters = self._take()
            self._drain()
            for waiter in waiters:
                waiter.set()

    def _take(self) -> list[threading.Event]:
        """Wait for lines and for those right behind them, or until a disk that refused some may be tried again.

        Returns who waits for them to be written.
        """
        waiters: list[threading.Event] = []
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=RETRY_SECONDS if self._backlog else None)
            self._hurry.wait(GATHER_SECONDS)
            self._hurry.clear()
            while True:
                if isinstance(item, threading.Event):
                    waiters.append(item)
                else:
                    self._backlog.append(_encoded(item))
                item = self._queue.get_nowait()
        return waiters

    def _drain(self) -> None:
        try:
            self._path = self._path or self._locate()
            while self._backlog:
                self._append(self._path)
        except OSError as error:
            self._complain(error)
            while len(self._backlog) > self._waiting:
                self._backlog.popleft()
                self._lost += 1
        else:
            self._recover()

    def _append(self, path: Path) -> None:
        """Write lines until there are no more, or the file is full."""
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while self._backlog:
                if os.fstat(file).st_size >= self._limit:
                    with contextlib.suppress(FileNotFoundError):  # another process was faster
                        path.rename(path.with_name(f"{path.stem}.{time.time_ns()}{path.suffix}"))
                    return
                self._put(file, self._backlog[0])
                self._backlog.popleft()
        finally:
            os.close(file)

    def _put(self, file: int, line: bytes) -> None:
        """Write one line, at once; behind a torn one it begins a new line."""
        data = b"\n" + line if self._torn else line
        written = os.write(file, data)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(f"only {written} of {len(data)} bytes were taken")

    def _complain(self, error: OSError) -> None:
        if self._trouble is None:
            logger.warning(
                "Telemetry cannot be written (%s: %s): free the disk, or set RUNS_DIR to a folder that can be written. "
                "Calls are served as before.",
                type(error).__name__,
                error.strerror or error,
            )
        self._trouble = str(error)

    def _recover(self) -> None:
        if self._trouble is not None:
            logger.warning("Telemetry is written again; %d lines were lost.", self._lost)
        self._trouble, self._lost = None, 0


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", errors="replace") + b"\n"
