"""Clients as a user starts them: the program of `.clients/`, the files of `examples/`, and nothing of this machine's settings.

`make test-clients` installs the programs. The agent's answers are scripted; what is proved is that a client's calls
arrive, run, and go back to the agent.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import DOCUMENTED_SEARCH, blocks
from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator, running_proxy
from tests.support.proxy_fixtures import search_server, search_server_process, simulator, simulator_process
from tests.support.search_server import SearchServer
from tests.support.waiting import eventually

__all__ = ["search_server", "search_server_process", "simulator", "simulator_process"]


@pytest.fixture(scope="session")
def proxy(
    simulator_process: Simulator, search_server_process: SearchServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with the search server of docs/clients.md, which it asks only for a client that wants a search."""
    folder = tmp_path_factory.mktemp("proxy")
    search = blocks("yaml", "docs/clients.md")[2].replace(DOCUMENTED_SEARCH, search_server_process.url)
    config = folder / "config.yaml"
    config.write_text(f"{(ROOT / 'config.yaml').read_text()}\n{search}")
    with running_proxy(folder / "log", str(config), **simulator_process.environ) as running:
        yield running


@dataclass(frozen=True)
class Workplace:
    """A folder that is a user's home and project at once, with the proxy behind its clients."""

    folder: Path
    proxy: Proxy

    def example(self, name: str, target: str = "") -> Path:
        """Copy an example as it is, with the test's port for 4000."""
        copy = self.folder / (target or f"examples/{name}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "examples" / name).read_text()
        copy.write_text(text.replace("http://127.0.0.1:4000", self.proxy.url))
        return copy

    def run(self, client: str, *command: str | Path, **environ: str) -> str:
        """Run a command with a client's programs on the path; returns what it printed."""
        programs = [ROOT / ".clients" / client / "bin", ROOT / ".clients" / client / "node_modules" / ".bin"]
        path = os.pathsep.join([*map(str, filter(Path.is_dir, programs)), os.environ["PATH"]])
        settings = {"HOME": str(self.folder), "PROXY_URL": self.proxy.url, "LITELLM_MASTER_KEY": self.proxy.key}
        environ = {"PATH": path, "LANG": "C.UTF-8", "TERM": "dumb"} | settings | environ
        assert (ROOT / ".clients" / client / ".installed").exists(), f"{client} is not there; run make test-clients"
        program = shutil.which(str(command[0]), path=path)
        assert program, f"{client} brought no program {command[0]}"
        ran = subprocess.run(
            [program, *map(str, command[1:])],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout


@pytest.fixture
def workplace(tmp_path: Path, proxy: Proxy, simulator: Simulator) -> Iterator[Workplace]:
    (tmp_path / ".env").write_text(f"LITELLM_MASTER_KEY={proxy.key}\n")
    yield Workplace(tmp_path, proxy)
    eventually(lambda: not kill_processes_of(tmp_path))


def kill_processes_of(home: Path) -> list[int]:
    """Kill the processes with that home, and return them. Cline's hub outlives its client, in a session of its own."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):  # Linux only
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if f"HOME={home}".encode() in environ.read_bytes().split(b"\0"):
                os.kill(int(environ.parent.name), signal.SIGKILL)
                found.append(int(environ.parent.name))
    return found


@pytest.fixture
def call() -> Callable[..., dict[str, Any]]:
    """A play in which the agent calls one tool."""

    def write(name: str, **arguments: Any) -> dict[str, Any]:
        return {"text": f"FUNCTION_CALL_START\n{name}\narguments: {json.dumps(arguments)}\nFUNCTION_CALL_END"}

    return write
