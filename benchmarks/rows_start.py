"""What a start costs: imports, time until the proxy is ready, what takes it, and idle memory."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from .bench import Bench
from .figures import Figure, Goal
from .servers import KEY, OPENAI, ROOT, Proxy, clean_environ, free_port, proxy, running, wait_ready

ROW = "cost before the first request"
PACKAGES_SHOWN = 6
_IMPORT = """\
import time, litellm
began = time.process_time()
from custom_handler import StackspotLLM
print(time.process_time() - began)
"""
_LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
_IMPORT_TIME = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class _Started:
    """A proxy that is ready: the CPU seconds until then, its memory then and after its first answers."""

    cpu: float
    resident: float
    used: float
    log: str


def start(bench: Bench) -> list[Figure]:
    """Measure what the package adds to imports, to the start of the proxy and to its memory."""
    command, environ = [sys.executable, "-c", _IMPORT], clean_environ() | _LOCAL
    spent = [
        1000 * float(subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout)
        for _ in range(1 + max(1, bench.size.rounds // 2))
    ][1:]  # the first run may have to compile
    rounds = range(max(1, bench.size.rounds // 3))
    alone = [_started(bench, plugin=False) for _ in rounds]
    together = [_started(bench, plugin=True) for _ in rounds]
    pairs = list(zip(together, alone, strict=True))
    added = [ours.resident - theirs.resident for ours, theirs in pairs]
    used = [ours.used - theirs.used for ours, theirs in pairs]
    sides = {"with the plugin": [one.cpu for one in together], "without": [one.cpu for one in alone]}
    compiled = {"PYTHONPYCACHEPREFIX": str(bench.directory / f"compiled-{free_port()}")}  # nothing is yet
    run = [_run(bench, compiled) for _ in range(2)]
    return [
        Figure(ROW, "import custom_handler beyond import litellm", "ms", spent, goal=Goal(60)),
        Figure(ROW, "resident memory of the proxy beyond that without the plugin", "MiB", added, goal=Goal(15)),
        # LiteLLM loads its tokenizer and other modules in the first requests, the plugin before the proxy is ready.
        Figure(ROW, "the same after the first answers of the openai/ model", "MiB", used),
        Figure.ratio(ROW, "CPU until the proxy is ready", "s", sides),
        Figure(ROW, "make run until it is ready, first start, which compiles", "s", [run[0]]),
        Figure(ROW, "make run until it is ready, second start", "s", [run[1]]),
        *_imports(_started(bench, plugin=True, environ={"PYTHONPROFILEIMPORTTIME": "1"}).log),
    ]


def _started(bench: Bench, *, plugin: bool, environ: dict[str, str] | None = None) -> _Started:
    with proxy(bench.directory, bench.simulator, plugin=plugin, environ=environ) as server:
        cpu, resident = server.cpu(), server.resident()
        for prompt in ("whole", "burst"):
            bench.load.run(bench.job(OPENAI, prompt, 4, server=server))
        return _Started(cpu, resident, server.resident(), server.log.read_text())


def _run(bench: Bench, environ: dict[str, str]) -> float:
    """Return the seconds that `make run` needs until the proxy is ready."""
    began = time.monotonic()
    with _running(bench, environ):
        return time.monotonic() - began


@contextlib.contextmanager
def _running(bench: Bench, environ: dict[str, str]) -> Iterator[Proxy]:
    port = free_port()
    log, url = bench.directory / f"run-{port}.log", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "custom_handler", "run", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, log, {"LITELLM_MASTER_KEY": KEY, **bench.simulator.environ, **environ}) as process:
        wait_ready(url, log, process)
        yield Proxy(url, psutil.Process(process.pid), log)


def _imports(log: str) -> list[Figure]:
    """Return the seconds of the packages whose modules take longest to import."""
    spent = by_package(log)
    longest = sorted(spent, key=lambda package: spent[package], reverse=True)[:PACKAGES_SHOWN]
    return [
        *(Figure(ROW, f"of the start, imports of {package}", "s", [spent[package]]) for package in longest),
        Figure(ROW, "of the start, all imports", "s", [sum(spent.values())]),
    ]


def by_package(log: str) -> dict[str, float]:
    """Return the seconds of imports by top-level package, of a log with `-X importtime`."""
    spent: Counter[str] = Counter()
    for microseconds, module in _IMPORT_TIME.findall(log):
        spent[module.partition(".")[0]] += int(microseconds)
    return {package: microseconds / 1e6 for package, microseconds in spent.items()}
