"""N proxies, a durable Redis, HAProxy and the simulator, as processes that can be killed.

Each proxy has a loopback address of its own (127.0.0.11, 127.0.0.12, …), which Linux has without
any setup. They share the port, as on different machines.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from custom_handler.cli.run import LITELLM_DEFAULTS

from .. import servers
from .balancer import balancer

LIMIT = 100
"""The platform's requests a minute, of which the proxies use all."""
NAMES = ("greedy", "busy", "calm")
NATIVE = "stackspot-native"
AGENT = {"first_token_delay": 0.5, "cadence": 0.01, "requests_per_minute": LIMIT}
_PATIENCE = "900"
# Several proxies start on this machine, perhaps beside other work.
START_SECONDS = 600
_SETTINGS = {
    "STACKSPOT_REQUESTS_PER_MINUTE": str(LIMIT),
    "STACKSPOT_QUEUE_TIMEOUT": _PATIENCE,
    "STACKSPOT_TIMEOUT": _PATIENCE,
    "STACKSPOT_JOBS_LEASE": "5",
    "STACKSPOT_STARTUP_CHECK": "off",
}


@dataclass
class Server:
    """A process that can be killed and started again, always with the same command."""

    name: str
    url: str
    command: Sequence[str]
    environ: Mapping[str, str]
    directory: Path
    logs: list[Path] = field(default_factory=list)
    _running: Any = None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, with a log of its own."""
        self.logs.append(self.directory / f"{self.name}-{len(self.logs)}.log")
        self._running = servers.running(self.command, self.logs[-1], self.environ)
        self._process = self._running.__enter__()

    def kill(self) -> None:
        """End the process as a crash would (kill -9)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.stop()

    def stop(self) -> None:
        """End the process if it runs."""
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def wait_ready(self) -> None:
        """Wait until the proxy answers."""
        assert self._process is not None
        servers.wait_until_answered(f"{self.url}/health/readiness", self.logs[-1], self._process, START_SECONDS)

    def text(self) -> str:
        """Return what all runs of the process have printed."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs)


@dataclass
class Cluster:
    """What is measured; `url` is that of HAProxy, `keys` are the secrets by the names of the teams."""

    url: str
    proxies: Sequence[Server]
    redis: Server
    redis_port: int
    upstream: servers.Simulator
    keys: Mapping[str, str]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call a route of the simulator's control."""
        answer = httpx.request(method, f"{self.upstream.url}/control{path}", json=body, trust_env=False, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def wait_redis(self) -> None:
        """Wait until Redis has loaded its data and answers."""
        servers.wait_for_redis(self.redis_port)


@contextlib.contextmanager
def cluster(directory: Path, count: int) -> Iterator[Cluster]:
    """Run `count` proxies with what belongs to them."""
    keys = {name: f"sk-{uuid.uuid4().hex}" for name in NAMES}
    (directory / "keys.yaml").write_text(
        yaml.safe_dump({"keys": [{"name": name, "key": key} for name, key in keys.items()]})
    )
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.simulator(directory))
        redis_port = servers.free_port()
        redis = _redis(directory, redis_port)
        stack.callback(redis.stop)
        redis.start()
        servers.wait_for_redis(redis_port)
        environ = {
            "LITELLM_MASTER_KEY": servers.KEY,
            **LITELLM_DEFAULTS,
            **upstream.environ,
            **_SETTINGS,
            "STACKSPOT_KEYS_FILE": str(directory / "keys.yaml"),
            "STACKSPOT_RUNS_DIR": str(directory / "runs"),
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        }
        config = directory / "config.yaml"
        config.write_text(yaml.safe_dump(_config()))
        port = servers.free_port()
        proxies = [_proxy(directory, number, port, config, environ) for number in range(1, count + 1)]
        for proxy in proxies:  # one after the other: a start takes a core for many seconds
            stack.callback(proxy.stop)
            proxy.start()
            proxy.wait_ready()
            print(f"  {proxy.name} serves at {proxy.url}", flush=True)
        url = stack.enter_context(balancer(directory, [proxy.url.removeprefix("http://") for proxy in proxies]))
        running = Cluster(url, proxies, redis, redis_port, upstream, keys)
        running.control("POST", "/settings", AGENT)
        yield running


def _redis(directory: Path, port: int) -> Server:
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(directory)]
    command = ["redis-server", "--port", str(port), *options]
    return Server("redis", f"redis://127.0.0.1:{port}/0", command, {}, directory)


def _proxy(directory: Path, number: int, port: int, config: Path, environ: Mapping[str, str]) -> Server:
    host = f"127.0.0.{10 + number}"
    litellm = str(Path(sys.executable).with_name("litellm"))
    command = [litellm, "--config", str(config), "--host", host, "--port", str(port)]
    return Server(f"proxy-{number}", f"http://{host}:{port}", command, environ, directory)


def _config() -> dict[str, Any]:
    """Return the project's config.yaml with one agent, as it is and with kept conversations."""
    config: dict[str, Any] = yaml.safe_load((servers.ROOT / "config.yaml").read_text())
    agent = {"model": servers.STACKSPOT, "custom_llm_provider": "stackspot"}
    config["model_list"] = [
        {"model_name": servers.STACKSPOT, "litellm_params": agent},
        {"model_name": NATIVE, "litellm_params": agent, "model_info": {"conversation": "native"}},
    ]
    return config


def until(holds: Any, seconds: float, pause: float = 0.2) -> Any:
    """Return what `holds` returns once that is true; raises RuntimeError after some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(pause)
    raise RuntimeError(f"not within {seconds:g} s: {getattr(holds, '__name__', holds)}")
