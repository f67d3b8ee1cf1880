"""A redis-server of the tests' own, started without the client library: `.venv-clients` has none."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import free_port, program
from tests.support.waiting import eventually


class RedisServer:
    """A redis-server on a port of its own. With `durable` the data outlives `stop` and the next `start`."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes" if durable else "no",
            "--appendfsync",
            "no",  # a slow disk would stop Redis for seconds; what is killed has written its data all the same
            "--dir",
            str(folder),
        ]
        self._command = [program("redis-server"), "--port", str(self.port), *options]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it without an end: connections stay open, and nothing answers; `stop` ends it as well."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on: it runs what it was sent meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        """Return whether it serves: while it loads its data, it answers a PING with an error."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(99).startswith(b"+PONG")
        return False


@contextlib.contextmanager
def running_redis(folder: Path, *, durable: bool = False) -> Iterator[RedisServer]:
    server = RedisServer(folder, durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop()
