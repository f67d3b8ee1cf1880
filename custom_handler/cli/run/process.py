"""The proxy as a child process: its output is held back until it is ready, and it ends with this program."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TextIO

INTERRUPTED = 130
"""The exit code after Ctrl-C while the proxy loads, as a shell gives it."""

SLOW = 120.0
"""Seconds after which a start shows what it holds back."""

_HELD = 400
_LAST = 25
_POLL = 0.1
_ERROR = re.compile(r":(ERROR|CRITICAL): |^(ERROR|CRITICAL)\b|\"level\": \"(ERROR|CRITICAL)\"")
_OURS = re.compile(r"\] custom_handler[\w.]*: |\"custom_handler[\w.]*\"")
_UVICORN = re.compile(
    r"(Started server process|Waiting for application startup|Application startup complete|Uvicorn running on)"
)
_BANNER = re.compile(r"[█╗╝║]|^\S*#[ '\-#]|Thank you for using LiteLLM|Give Feedback|^\s*$")
_TRACEBACK = "Traceback (most recent call last)"  # uvicorn logs one as an error of several lines
_CHAINED = ("During handling of the above", "The above exception was the direct cause")


class Child:
    """A proxy that runs as long as the context does."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._command = command
        # What goes into a pipe would be kept in a buffer, and come after this program's own words.
        self._environ = {**environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        # By stream, errors last: two pipes have no order between them.
        self._held: dict[TextIO, deque[str]] = {pipe: deque(maxlen=_HELD) for pipe in (sys.stdout, sys.stderr)}
        self._lock = threading.Lock()
        self._open = False

    def __enter__(self) -> Child:
        # SIGTERM ends this program through the same `__exit__` as Ctrl-C does.
        self._before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self._process = subprocess.Popen(  # noqa: S603  our own command
            self._command,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        pipes = zip((self._process.stdout, self._process.stderr), self._held, strict=True)
        self._readers = [threading.Thread(target=self._pass_on, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        # On Windows there is no gentle way, but Ctrl-C has reached the proxy, too.
        if os.name != "nt":
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.wait(timeout=15)
        self._process.kill()
        self._process.wait()
        self._finish()
        signal.signal(signal.SIGTERM, self._before)

    def wait_until_ready(self, host: str, port: int) -> bool:
        """Wait until the proxy takes connections; False where it ended before."""
        waited = 0.0
        while self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_POLL)
            waited += _POLL
            if waited > SLOW and not self._open:
                _print(f"The proxy is not ready after {SLOW:.0f} s. What it printed:\n", sys.stderr)
                self.show_held()
                self.show_all()
        return False

    def wait(self) -> int:
        """Wait for the end, by itself or by Ctrl-C, and return the exit code."""
        try:
            code = self._process.wait()
        except KeyboardInterrupt:
            return 0
        self._finish()
        return code if code >= 0 else 128 - code

    def show_all(self) -> None:
        """Pass on whatever comes from now on, but for uvicorn's own report of the start."""
        with self._lock:
            self._open = True

    def show_held(self) -> None:
        """Print the last of what was held back, without banner and the frames of tracebacks."""
        if self._process.poll() is not None:
            self._finish()
        with self._lock:
            held = [list(_without_noise(lines))[-_LAST:] for lines in self._held.values()]
        _print("".join(line for lines in held for line in lines), sys.stderr)

    def _pass_on(self, source: IO[str], target: TextIO) -> None:
        with source:
            for line in source:
                with self._lock:
                    if self._is_shown(line):
                        _print(line, target)
                    elif not self._open:
                        self._held[target].append(line)

    def _is_shown(self, line: str) -> bool:
        if self._open:
            return not _UVICORN.search(line)
        return _TRACEBACK not in line and bool(_OURS.search(line) or _ERROR.search(line))

    def _finish(self) -> None:
        """Wait until all that the proxy printed is read."""
        for reader in self._readers:
            reader.join(timeout=5)


def _without_noise(lines: Iterable[str]) -> Iterator[str]:
    inside = False  # of a traceback
    for line in lines:
        if _TRACEBACK in line:
            inside = True
        elif not (inside and line[0].isspace()) and not line.startswith(_CHAINED) and not _BANNER.search(line):
            inside = False
            yield line


def _print(text: str, target: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):  # a reader of ours that is gone does not stop the proxy
        target.write(text)
        target.flush()
