"""The measured processes: the simulator and the stock proxy, on loopback, with log files."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from custom_handler.cli.run import LITELLM_DEFAULTS

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180
# Limits of the account would dominate the figures.
_NO_QUEUE = {"STACKSPOT_REQUESTS_PER_MINUTE": "0", "STACKSPOT_MAX_CONCURRENCY": "1000", "STACKSPOT_MAX_WAITING": "1000"}
# These change the measurement; with the last one Python compiles every module at each start.
_OURS = ("STACKSPOT_", "LITELLM_", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE")
KEY = f"sk-{uuid.uuid4().hex}"
STACKSPOT, OPENAI = "stackspot-chat", "openai-chat"


@dataclass(frozen=True)
class Simulator:
    """The running simulator, the upstream of both models."""

    url: str
    environ: Mapping[str, str]

    def script(self, *plays: Mapping[str, Any]) -> None:
        """Replace the scripted responses."""
        httpx.delete(f"{self.url}/control", trust_env=False).raise_for_status()
        httpx.post(f"{self.url}/control/script", json={"plays": plays}, trust_env=False).raise_for_status()


@dataclass(frozen=True)
class Proxy:
    """A running proxy that serves both models."""

    url: str
    process: psutil.Process
    log: Path

    def resident(self) -> float:
        """Return the resident memory of the proxy and its workers, in MiB."""
        return sum(process.memory_info().rss for process in self._family()) / 2**20

    def cpu(self) -> float:
        """Return the CPU seconds of the proxy and its workers so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def clean_environ() -> dict[str, str]:
    """Return the environment without variables that change the measurement."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=clean_environ() | dict(environ), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            family = _children(process.pid)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            for left in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
            process.kill()
            process.wait()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes], times: int = 1) -> None:
    """Wait for the pattern in a log; raises RuntimeError with the end of the log."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if len(re.findall(pattern, log.read_text(errors="replace"))) >= times:
            return
        time.sleep(0.05)
    raise RuntimeError(f"{pattern!r} was not printed:\n{log.read_text(errors='replace')[-4000:]}")


@contextlib.contextmanager
def simulator(directory: Path) -> Iterator[Simulator]:
    """Run the simulator."""
    log = directory / "simulator.log"
    with running([sys.executable, "-m", "custom_handler", "simulate"], log, {}) as process:
        wait_for(log, r"GENAI_AGENT_ID=\w+\n", process)
        environ = dict(re.findall(r"export (\w+)=(\S+)", log.read_text()))
        yield Simulator(environ["STACKSPOT_INFERENCE_URL"], environ)


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run a redis-server without persistence; yield its port and its process."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    log = directory / f"redis-{port}.log"
    with running(command, log, {}) as process:
        wait_for(log, "Ready to accept connections", process)
        yield port, psutil.Process(process.pid)


@contextlib.contextmanager
def proxy(
    directory: Path,
    upstream: Simulator,
    *,
    plugin: bool = True,
    prometheus: bool = False,
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    models: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Proxy]:
    """Run the stock proxy with the project's config.yaml, the two compared models, and more `models`.

    Without the plugin, only the `openai/` model is there, with or without LiteLLM's `prometheus`.
    """
    port = free_port()
    log, config = directory / f"proxy-{port}.log", directory / f"config-{port}.yaml"
    config.write_text(yaml.safe_dump(_config(upstream, models, plugin=plugin, prometheus=prometheus)))
    litellm = str(Path(sys.executable).with_name("litellm"))
    command = [litellm, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), *options]
    fixed = {"LITELLM_MASTER_KEY": KEY, **LITELLM_DEFAULTS, **_NO_QUEUE}
    with running(command, log, fixed | dict(upstream.environ) | dict(environ or {})) as process:
        wait_ready(f"http://127.0.0.1:{port}", log, process)
        yield Proxy(f"http://127.0.0.1:{port}", psutil.Process(process.pid), log)


def _config(
    upstream: Simulator, models: Sequence[Mapping[str, Any]], *, plugin: bool, prometheus: bool
) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    peer = {"model": f"openai/{OPENAI}", "api_base": f"{upstream.url}/v1", "api_key": "sk-any"}
    config["model_list"] = [{"model_name": OPENAI, "litellm_params": peer}, *models]
    if plugin:
        ours = {"model": STACKSPOT, "custom_llm_provider": "stackspot"}
        config["model_list"].append({"model_name": STACKSPOT, "litellm_params": ours})
    else:
        del config["litellm_settings"]["custom_provider_map"], config["general_settings"]["custom_auth"]
        config["litellm_settings"]["callbacks"] = ["prometheus"] if prometheus else []
    return config


def wait_ready(url: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a proxy serves requests; raises RuntimeError with the end of its log."""
    wait_until_answered(f"{url}/health/liveliness", log, process)


def wait_until_answered(url: str, log: Path, process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> None:
    """Wait until a URL is answered with 200; raises RuntimeError with the end of the log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} was not answered:\n{log.read_text(errors='replace')[-4000:]}")


def wait_for_redis(port: int) -> None:
    """Wait until Redis has loaded its data and answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(99).startswith(b"+PONG"):
                return
        time.sleep(0.05)
    raise RuntimeError(f"Redis did not answer at port {port}.")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
