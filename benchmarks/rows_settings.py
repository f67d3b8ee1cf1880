"""Settings that may save CPU, each against the default (`python -m benchmarks --row settings`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .bench import Bench
from .figures import Figure
from .load import LoadGenerator
from .servers import STACKSPOT, Proxy, proxy


@dataclass(frozen=True, slots=True)
class Variant:
    """A proxy that differs in one setting; it cannot import the packages in `hidden`."""

    name: str
    options: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[str] = ()


VARIANTS = (
    Variant("nothing (the error of the method)"),
    Variant("without httptools", hidden=("httptools",)),
    Variant("without prisma", hidden=("prisma",)),
    Variant("without prisma, PYTHONDONTWRITEBYTECODE=1", environ={"PYTHONDONTWRITEBYTECODE": "1"}, hidden=("prisma",)),
    Variant("--run_granian", options=("--run_granian",)),
    Variant("LITELLM_LOG=ERROR", environ={"LITELLM_LOG": "ERROR"}),
    Variant("LITELLM_MODE=PRODUCTION", environ={"LITELLM_MODE": "PRODUCTION"}),
    Variant("STACKSPOT_LOG_LEVEL=WARNING", environ={"STACKSPOT_LOG_LEVEL": "WARNING"}),
)


def settings(bench: Bench) -> list[Figure]:
    """Measure the CPU of a request and of a stream with each setting, against the default."""
    figures = []
    for number, variant in enumerate(VARIANTS):
        environ = dict(variant.environ)
        if variant.hidden:
            environ["PYTHONPATH"] = str(_hidden(bench.directory / f"hidden-{number}", variant.hidden))
        with proxy(bench.directory, bench.simulator, options=variant.options, environ=environ) as changed:
            for prompt, requests in (("whole", bench.size.requests), ("paced", 8)):
                figures.append(_compared(bench, changed, variant.name, prompt, requests))
    return figures


def _compared(bench: Bench, changed: Proxy, name: str, prompt: str, requests: int) -> Figure:
    servers = {"changed": changed, "as it comes": bench.proxy}
    spent: dict[str, list[float]] = {side: [] for side in servers}
    for number in range(-1, bench.size.rounds):  # -1 warms up
        for side in servers if number % 2 else reversed(servers):
            cpu = _cpu(bench.load, bench, servers[side], prompt, requests)
            if number >= 0:
                spent[side].append(cpu)
    what = "a whole answer" if prompt == "whole" else "100 deltas at 20 ms"
    return Figure.ratio("setting: " + name, f"CPU of the proxy for {what}", "ms", spent)


def _cpu(load: LoadGenerator, bench: Bench, server: Proxy, prompt: str, requests: int) -> float:
    before = server.cpu()
    outcome = load.run(bench.job(STACKSPOT, prompt, requests, 8, server))
    return 1000 * (server.cpu() - before) / outcome.answers


def _hidden(directory: Path, packages: Sequence[str]) -> Path:
    """Return a directory that hides packages from a Python with it first on its path."""
    directory.mkdir()
    for package in packages:
        (directory / f"{package}.py").write_text("raise ModuleNotFoundError(name=__name__)\n")
    return directory
