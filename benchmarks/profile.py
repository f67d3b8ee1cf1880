"""The plugin's share of the proxy's CPU: py-spy samples the stacks of a loaded proxy.

A sample belongs to the innermost frame of the proxy or of the plugin; shared libraries (httpx,
json, pydantic, LiteLLM's types) count for their caller. The plugin's own code is counted by the
samples with their leaf in `custom_handler`.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from .bench import Bench
from .figures import Figure, Goal
from .servers import STACKSPOT, Proxy

_OWNERS = ("/litellm/", "/starlette/", "/fastapi/", "/uvicorn/", "/custom_handler/")
_SHARED = "/litellm/types/"
_SERVICES = re.compile("/custom_handler/(?:api|checks|jobs|proxy|telemetry)/")


def share(bench: Bench) -> list[Figure]:
    """Measure the provider's share of the proxy's CPU, whole and burst."""
    with pinned(bench.proxy.process):
        return [figure for prompt in ("whole", "burst") for figure in _shares(bench, prompt)]


def _shares(bench: Bench, prompt: str) -> list[Figure]:
    inclusive, own, provider = [], [], []
    bench.load.run(bench.job(STACKSPOT, prompt, 16))  # warm up
    for _ in range(max(1, bench.size.rounds // 2)):
        counted = _owners(sample(bench, prompt, STACKSPOT, bench.proxy))
        total = counted["ours"] + counted["proxy"]
        inclusive.append(100 * counted["ours"] / total)
        own.append(100 * counted["own"] / total)
        provider.append(100 * (counted["ours"] - counted["service"]) / total)
    row = f"share of the proxy's CPU, {prompt}"
    return [
        Figure(row, "custom_handler and what it calls", "%", inclusive, goal=Goal(8)),
        Figure(row, "custom_handler's own code", "%", own, goal=Goal(3)),
        Figure(row, "of it all, the provider without the services", "%", provider),
    ]


@contextlib.contextmanager
def pinned(server: psutil.Process) -> Iterator[None]:
    """Give the proxy a core of its own, if there are two.

    py-spy counts a process that waits for a core as busy.
    """
    here = psutil.Process()
    reserved, *others = here.cpu_affinity()
    processes = [here, *here.children(recursive=True)]
    for process in processes if others else ():
        process.cpu_affinity([reserved] if process == server else others)
    try:
        yield
    finally:
        for process in processes:
            process.cpu_affinity([reserved, *others])


def sample(bench: Bench, prompt: str, model: str, server: Proxy) -> Iterator[tuple[list[str], int]]:
    """Yield stacks, from the root to the leaf, and how often each was sampled."""
    stacks = bench.directory / "stacks.txt"
    with sampling(server, stacks, bench.size.seconds / 2):
        deadline = time.monotonic() + bench.size.seconds / 2
        while time.monotonic() < deadline:
            bench.load.run(bench.job(model, prompt, 16, server=server))
    for line in stacks.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        yield frames.split(";"), int(count)


@contextlib.contextmanager
def sampling(server: Proxy, stacks: Path, seconds: float) -> Iterator[None]:
    """Sample the proxy's stacks into a file while the block runs."""
    py_spy = str(Path(sys.executable).with_name("py-spy"))
    command = [py_spy, "record", "--pid", str(server.process.pid), "--duration", str(max(1, round(seconds)))]
    options = ["--gil", "--rate", "200", "--format", "raw", "--full-filenames", "--output", str(stacks)]
    stacks.unlink(missing_ok=True)
    sampler = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        _, complaint = sampler.communicate()
        if not stacks.exists():
            raise RuntimeError(f"py-spy could not sample the proxy: {complaint.decode()}")


def _owners(stacks: Iterator[tuple[list[str], int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for frames, count in stacks:
        owner = innermost_owner(frames)
        if "/custom_handler/" not in owner:
            counted["proxy"] += count
        else:
            counted["own"] += count if owner is frames[-1] else 0
            counted["service"] += count if _SERVICES.search(owner) else 0
            counted["ours"] += count
    return counted


def innermost_owner(frames: Sequence[str]) -> str:
    """Return the innermost frame of the proxy or of the plugin, empty without one."""
    return next((frame for frame in reversed(frames) if _owns(frame)), "")


def _owns(frame: str) -> bool:
    return any(part in frame for part in _OWNERS) and _SHARED not in frame
