"""The real proxy and the simulator, each a process of its own, as any client would find them."""

from __future__ import annotations

import atexit
import contextlib
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.support.processes import BIN, ROOT, START_SECONDS, free_port, process, wait_for

MASTER_KEY = f"sk-{uuid.uuid4().hex}"
WEB = httpx.Client(timeout=60, trust_env=False)  # one for all: to make one costs more than most requests
atexit.register(WEB.close)


@dataclass(frozen=True)
class Simulator:
    """The simulator's control endpoint."""

    url: str
    environ: MappingProxyType[str, str]
    """Read-only: all tests of a process share it."""

    def script(self, *plays: dict[str, Any]) -> None:
        WEB.post(f"{self.url}/control/script", json={"plays": list(plays)}).raise_for_status()

    def configure(self, **settings: Any) -> None:
        WEB.post(f"{self.url}/control/settings", json=settings).raise_for_status()

    def reset(self) -> None:
        WEB.delete(f"{self.url}/control").raise_for_status()
        self.configure(first_token_delay=0, cadence=0)

    def requests(self, match: str = "", at: str = "chat") -> list[dict[str, Any]]:
        found = WEB.get(f"{self.url}/control/requests", params={"at": at}).json()
        return [record for record in found if match in (record.get("prompt") or "")]

    def prompts(self) -> list[str]:
        return [record["prompt"] for record in self.requests()]

    def wait_for_disconnect(self) -> dict[str, Any]:
        """Return the record of the one request, once its client has hung up."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            [record] = self.requests()
            if record["disconnected"]:
                return record
            time.sleep(0.02)
        pytest.fail("the agent still writes")


@dataclass(frozen=True)
class Proxy:
    """The running proxy, and what its clients need to know."""

    url: str
    key: str
    log: Path
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return WEB.post(f"{self.url}{path}", json=body, headers=self.headers | headers)


@contextlib.contextmanager
def running_simulator(log: Path) -> Iterator[Simulator]:
    with process([str(BIN / "python"), "-m", "custom_handler", "simulate"], log) as running:
        wait_for(log, r"GENAI_AGENT_ID=\w+\n", running)
        environ = dict(re.findall(r"export (\w+)=(\S+)", log.read_text()))
        yield Simulator(environ["STACKSPOT_IDM_URL"], MappingProxyType(environ))


@contextlib.contextmanager
def running_proxy(log: Path, config: str = "config.yaml", workers: int = 1, **environ: str) -> Iterator[Proxy]:
    """Start the stock proxy as a user does by hand, but with no limit that would make the tests wait for each other."""
    port = free_port()
    example = dict(re.findall(r"^(\w+)=(.+)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    fixed = example | {
        "LITELLM_MASTER_KEY": MASTER_KEY,
        "STACKSPOT_LOG_LEVEL": "DEBUG",
        "STARTUP_CHECK": "off",
        "RUNS_DIR": str(log.parent / "runs"),
        "STACKSPOT_JOBS_DIR": str(log.parent / "jobs"),
        "STACKSPOT_REQUESTS_PER_MINUTE": "0",
        "STACKSPOT_MAX_RETRIES": "0",
    }
    command = [str(BIN / "litellm"), "--config", config, "--host", "127.0.0.1", "--port", str(port)]
    if workers > 1:  # uvicorn would kill a worker that takes 5 s to start, as on a busy machine
        command += ["--num_workers", str(workers), "--timeout_worker_healthcheck", str(START_SECONDS * workers)]
    with process(command, log, **(fixed | environ)) as running:
        # A worker says so when it is ready; a single one is its own master.
        wait_for(log, rf"(Application startup complete[^$]*){{{workers}}}", running, START_SECONDS * workers)
        wait_for(log, "Uvicorn running on", running)
        yield Proxy(f"http://127.0.0.1:{port}", MASTER_KEY, log, running.pid)
