"""The real proxy and the simulator, each a process of its own, as any client would find them.

These tests run in `.venv-clients`, with today's client libraries and without LiteLLM.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest

from .providers import Providers, running_providers

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
MASTER_KEY = f"sk-{uuid.uuid4().hex}"
START_SECONDS = 120
WEB = httpx.Client(timeout=60, trust_env=False)  # one for all: to make one costs more than most requests
atexit.register(WEB.close)


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


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """A redis-server of the tests' own, which keeps what it has been told; its address."""
    if shutil.which("redis-server") is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("Redis is missing: apt-get install redis-server")
    port, log = free_port(), folder / "redis.log"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    with process(["redis-server", *options], log) as running:
        wait_for(log, "Ready to accept connections", running)
        yield f"redis://127.0.0.1:{port}/0"


SCHEMAS = json.loads((ROOT / "tests" / "data" / "openai_schemas.json").read_text())


def conforms(instance: dict[str, Any], name: str) -> None:
    """Hold an answer against the published schema, but for null: the proxy leaves null out of any provider's answers."""
    for choice in instance["choices"]:
        choice |= {key: choice.get(key) for key in ("logprobs", "finish_reason")}
        if "message" in choice:
            choice["message"] = {"content": None, "refusal": None} | choice["message"]
    schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMAS["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(instance)


@dataclass(frozen=True)
class Simulator:
    """The simulator's control endpoint."""

    url: str
    environ: dict[str, str]

    def script(self, *plays: dict[str, Any]) -> None:
        WEB.post(f"{self.url}/control/script", json={"plays": list(plays)}).raise_for_status()

    def configure(self, **settings: Any) -> None:
        WEB.post(f"{self.url}/control/settings", json=settings).raise_for_status()

    def reset(self) -> None:
        WEB.delete(f"{self.url}/control").raise_for_status()
        self.configure(first_token_delay=0, cadence=0)

    def requests(self, match: str = "") -> list[dict[str, Any]]:
        found = WEB.get(f"{self.url}/control/requests", params={"at": "chat"}).json()
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


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    log = tmp_path_factory.mktemp("simulator") / "log"
    with process([str(BIN / "python"), "-m", "custom_handler", "simulate"], log) as running:
        wait_for(log, r"GENAI_AGENT_ID=\w+\n", running)
        environ = dict(re.findall(r"export (\w+)=(\S+)", log.read_text()))
        yield Simulator(environ["STACKSPOT_IDM_URL"], environ)


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """The simulator, quick and with nothing scripted."""
    simulator_process.reset()
    return simulator_process


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


@pytest.fixture(scope="session")
def proxy(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy") / "log", **simulator_process.environ) as running:
        yield running


@pytest.fixture(scope="session")
def providers_process() -> Iterator[Providers]:
    with running_providers() as running:
        yield running


@pytest.fixture
def providers(providers_process: Providers) -> Providers:
    """The other providers, with their usual answers."""
    providers_process.reset()
    return providers_process


@pytest.fixture(scope="session")
def services(
    simulator_process: Simulator, providers_process: Providers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy whose models of config.yaml can all be asked."""
    environ = simulator_process.environ | providers_process.environ
    with running_proxy(tmp_path_factory.mktemp("services") / "log", **environ) as running:
        yield running


@pytest.fixture(scope="session")
def client(proxy: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as made:
        yield made
