"""What a request costs Redis: commands over the network, commands within scripts, CPU."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import servers
from ..protocols import PATHS, body
from . import spread
from .cluster import NATIVE, Cluster, until

EACH = 5
IDLE_SECONDS = 15
_LINE = re.compile(r'^\d+\.\d+ \[\d+ (\S+)\] "([^"]+)"(?: "([^"]*)")?')


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of INFO; `busy` are microseconds of CPU of the process."""

    calls: Counter[str]
    busy: int

    def since(self, before: Stats) -> Stats:
        """Return what was added."""
        return Stats(self.calls - before.calls, self.busy - before.busy)


def parse(info: str) -> Stats:
    """Read INFO commandstats and INFO cpu."""
    calls = Counter(
        {name: int(count) for name, count in re.findall(r"^cmdstat_([^:]+):calls=(\d+)", info, flags=re.MULTILINE)}
    )
    cpu = sum(float(seconds) for seconds in re.findall(r"^used_cpu_(?:sys|user):([\d.]+)", info, flags=re.MULTILINE))
    return Stats(calls, round(cpu * 1e6))


def stats(cluster: Cluster) -> Stats:
    """Return the counters now."""
    return parse("\n".join(_cli(cluster, "info", section) for section in ("commandstats", "cpu")))


def _cli(cluster: Cluster, *words: str) -> str:
    command = ["redis-cli", "-p", str(cluster.redis_port), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@dataclass(frozen=True, slots=True)
class Seen:
    """Commands that MONITOR showed: from clients, and by scripts within Redis."""

    clients: Counter[str]
    scripts: Counter[str]


def read_monitor(lines: Iterable[str]) -> Seen:
    """Count the commands of MONITOR's lines."""
    clients: Counter[str] = Counter()
    scripts: Counter[str] = Counter()
    for line in lines:
        if found := _LINE.match(line):
            (scripts if found[1] == "lua" else clients)[found[2].upper()] += 1
    return Seen(clients, scripts)


@contextlib.contextmanager
def monitored(cluster: Cluster, file: Path) -> Iterator[None]:
    """Write what Redis is asked into a file until the block ends."""
    with file.open("wb") as output:
        process = subprocess.Popen(["redis-cli", "-p", str(cluster.redis_port), "monitor"], stdout=output)
        try:
            until(lambda: file.stat().st_size, 10)
            yield
        finally:
            process.terminate()
            process.wait()


def idle(cluster: Cluster, directory: Path) -> dict[str, float]:
    """Return the commands a second of one proxy that has nothing to do."""
    with monitored(cluster, directory / "monitor-idle.txt"):
        time.sleep(IDLE_SECONDS)
    seen = read_monitor((directory / "monitor-idle.txt").read_text(errors="replace").splitlines())
    share = IDLE_SECONDS * len(cluster.proxies)
    return {"clients": seen.clients.total() / share, "scripts": seen.scripts.total() / share}


def costs(cluster: Cluster, directory: Path, background: dict[str, float]) -> list[dict[str, Any]]:
    """Return the commands of each kind of request, without those of proxies that do nothing."""
    found = []
    for number, (name, make) in enumerate(_kinds(cluster).items()):
        make(-1)  # the first one connects and loads scripts
        file = directory / f"monitor-{number}.txt"
        with monitored(cluster, file):
            began = time.monotonic()
            for count in range(EACH):
                make(count)
            time.sleep(1)  # for what is written after the answer
            idle_seconds = (time.monotonic() - began) * len(cluster.proxies)
        seen = read_monitor(file.read_text(errors="replace").splitlines())
        row: dict[str, Any] = {"request": name, "commands": dict(seen.clients.most_common())}
        for side, counts in (("clients", seen.clients), ("scripts", seen.scripts)):
            row[side] = max(0.0, counts.total() - background[side] * idle_seconds) / EACH
        found.append(row)
    return found


def _kinds(cluster: Cluster) -> dict[str, Any]:
    key, url, model = cluster.keys["calm"], cluster.url, servers.STACKSPOT
    last: dict[str, Any] = {"id": None, "messages": []}

    def plain(path: str, **more: Any) -> Any:
        asked = body(path, model, "Conte até 3", stream=False, tools=False) | more
        return lambda _: spread.ask(url, path, asked, key=key)

    def continued(_: int) -> None:
        asked = {"model": model, "input": "Conte até 3"}
        asked |= {"previous_response_id": last["id"]} if last["id"] else {}
        last["id"] = spread.ask(url, PATHS[2], asked, key=key)["id"]

    def native(_: int) -> None:
        last["messages"].append({"role": "user", "content": "Conte até 3"})
        asked = {"model": NATIVE, "messages": last["messages"]}
        answer = spread.ask(url, PATHS[0], asked, key=key, headers={"correlation-id": "the-cost"})
        last["messages"].append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})

    def job(_: int) -> None:
        job_id = spread.ask(url, "/ingest", {"messages": ["Conte até 3"]}, key=key)["job_id"]
        until(lambda: spread.ask(url, f"/status/{job_id}", key=key)["status"] == "completed", 120, pause=0.5)

    return {
        "/v1/chat/completions": plain(PATHS[0]),
        "/v1/messages": plain(PATHS[1]),
        "/v1/responses, not kept": plain(PATHS[2], store=False),
        "/v1/responses with previous_response_id": continued,
        "a turn of a conversation that the platform keeps": native,
        "a job of one item, with the requests for its state": job,
    }
