"""Run the proxy as a child process, with its output held back until it is ready."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TextIO

INTERRUPTED = 130
"""Exit code after Ctrl-C while the proxy loads, as in a shell."""

SLOW = 120.0
"""Seconds after which a start prints the output that it holds back."""

TERMINATED = 143
"""Exit code after SIGTERM, as in a shell."""

_MAX_HELD_LINES = 400
_MAX_SHOWN_LINES = 25
_POLL_SECONDS = 0.1
_STOP_SECONDS = 15.0  # for the responses that the proxy is sending
_ERROR = re.compile(r":(ERROR|CRITICAL): |^(ERROR|CRITICAL)\b|\"level\": \"(ERROR|CRITICAL)\"")
_OURS = re.compile(r"\] custom_handler[\w.]*: |\"custom_handler[\w.]*\"")
_UVICORN = re.compile(
    r"(Started server process|Waiting for application startup|Application startup complete|Uvicorn running on)"
)
_BANNER = re.compile(r"[█╗╝║]|^\S*#[ '\-#]|Thank you for using LiteLLM|Give Feedback|^\s*$")
_TRACEBACK = "Traceback (most recent call last)"  # uvicorn logs one in several lines
_CHAINED = ("During handling of the above", "The above exception was the direct cause")


class Child:
    """The process of a proxy; it runs until the context exits."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._command = command
        # Python buffers output to a pipe, which would appear after this process's own lines.
        self._environ = {**environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        # By stream, stderr last: the order of lines between two pipes is unknown.
        self._held: dict[TextIO, deque[str]] = {
            pipe: deque(maxlen=_MAX_HELD_LINES) for pipe in (sys.stdout, sys.stderr)
        }
        self._lock = threading.Lock()
        self._show_everything = False
        self._received: list[int] = []

    def __enter__(self) -> Child:
        # The loops below read the list: a handler that raises could leave a lock of Popen held.
        self._previous = {
            number: signal.signal(number, lambda received, _: self._received.append(received))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        self._process = subprocess.Popen(  # noqa: S603  our own command
            self._command,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        pipes = zip((self._process.stdout, self._process.stderr), self._held, strict=True)
        self._readers = [threading.Thread(target=self._forward, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        # On Windows terminate() would kill; there, Ctrl-C reaches the proxy, too.
        if os.name != "nt":
            self._process.terminate()
        deadline, received = time.monotonic() + _STOP_SECONDS, len(self._received)
        while self._process.poll() is None and time.monotonic() < deadline and len(self._received) == received:
            time.sleep(_POLL_SECONDS)
        self._process.kill()
        self._process.wait()
        self._join_readers()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def wait_until_ready(self, host: str, port: int) -> bool:
        """Wait until the proxy accepts connections; return False if it exits before.

        Raises KeyboardInterrupt after Ctrl-C, SystemExit after SIGTERM.
        """
        waited = 0.0
        while self._is_running():
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return True
            time.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            if waited > SLOW and not self._show_everything:
                _print(f"The proxy is not ready after {SLOW:.0f} s. Its output so far:\n", sys.stderr)
                self.show_held()
                self.show_all()
        return False

    def wait(self) -> int:
        """Wait until the proxy exits or Ctrl-C; return the exit code.

        Raises SystemExit after SIGTERM.
        """
        try:
            while self._is_running():
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            return 0
        self._join_readers()
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _is_running(self) -> bool:
        if self._received:
            raise KeyboardInterrupt if self._received[0] == signal.SIGINT else SystemExit(TERMINATED)
        return self._process.poll() is None

    def show_all(self) -> None:
        """Print all further output, except uvicorn's report of its start."""
        with self._lock:
            self._show_everything = True

    def show_held(self) -> None:
        """Print the last lines held back, without the banner and frames of tracebacks."""
        if self._process.poll() is not None:
            self._join_readers()
        with self._lock:
            held = [list(_without_noise(lines))[-_MAX_SHOWN_LINES:] for lines in self._held.values()]
        _print("".join(line for lines in held for line in lines), sys.stderr)

    def _forward(self, source: IO[str], target: TextIO) -> None:
        with source:
            for line in source:
                with self._lock:
                    if self._is_shown(line):
                        _print(line, target)
                    elif not self._show_everything:
                        self._held[target].append(line)

    def _is_shown(self, line: str) -> bool:
        if self._show_everything:
            return not _UVICORN.search(line)
        return _TRACEBACK not in line and bool(_OURS.search(line) or _ERROR.search(line))

    def _join_readers(self) -> None:
        """Wait until all output is read."""
        for reader in self._readers:
            reader.join(timeout=5)


def _without_noise(lines: Iterable[str]) -> Iterator[str]:
    in_traceback = False
    for line in lines:
        if _TRACEBACK in line:
            in_traceback = True
        elif not (in_traceback and line[0].isspace()) and not line.startswith(_CHAINED) and not _BANNER.search(line):
            in_traceback = False
            yield line


def _print(text: str, target: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):  # a closed output must not stop the proxy
        target.write(text)
        target.flush()
