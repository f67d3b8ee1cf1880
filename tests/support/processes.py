"""Processes that a test starts, and the programs and ports that they need."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
START_SECONDS = 300  # two of LiteLLM on a machine that does much else take minutes


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def program(name: str, package: str = "") -> str:
    """Return the path of a program; without it a test is skipped here, and fails where CI is set."""
    if path := shutil.which(name):
        return path
    (pytest.fail if "CI" in os.environ else pytest.skip)(f"{name} is missing: apt-get install {package or name}")
    raise AssertionError(name)


@contextlib.contextmanager
def process(command: list[str], log: Path, cwd: Path = ROOT, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own; what it prints goes to `log`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STACKSPOT_", "LITELLM_"))}
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, cwd=cwd, env=inherited | environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield running
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(20)
            running.kill()
            running.wait()


def wait_for(
    log: Path, pattern: str, running: subprocess.Popen[bytes], seconds: float = START_SECONDS
) -> re.Match[str]:
    """Wait until what a process printed matches."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running.poll() is None:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found
        time.sleep(0.05)
    pytest.fail(f"{pattern!r} was not printed:\n{log.read_text(errors='replace')[-4000:]}")
