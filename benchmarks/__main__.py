"""`python -m benchmarks`: measure the rows, and write docs/bench/ with `--write`."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from . import (
    profile,
    report,
    rows_client,
    rows_conversation,
    rows_growth,
    rows_latency,
    rows_own,
    rows_proxy,
    rows_settings,
    rows_start,
    rows_stock,
)
from .bench import FULL, QUICK, Bench, open_bench
from .figures import Figure
from .plots import draw
from .scale import calculation
from .servers import ROOT

Row = Callable[[Bench], list[Figure]]
ROWS: MappingProxyType[str, Row] = MappingProxyType(
    {
        "stock": rows_stock.stock,
        "whole": rows_proxy.whole,
        "burst": rows_proxy.burst,
        "paced": rows_proxy.paced,
        "latency": rows_latency.latency,
        "crowd": rows_proxy.crowd,
        "streams": rows_growth.streams,
        "saturation": rows_growth.saturation,
        "growth": rows_growth.growth,
        "share": profile.share,
        "client": rows_client.client,
        "reader": rows_own.reader,
        "prompt": rows_own.prompt,
        "conversation": rows_conversation.conversation,
        "workers": rows_proxy.workers,
        "start": rows_start.start,
        "settings": rows_settings.settings,
    }
)
# `settings` starts a proxy for each setting, which takes minutes.
DEFAULT = tuple(name for name in ROWS if name != "settings")


@click.command()
@click.option("--quick", is_flag=True, help="Smoke test: every row, few rounds, small loads.")
@click.option(
    "--row",
    "rows",
    multiple=True,
    type=click.Choice(list(ROWS)),
    help="Measure only this row; may be repeated. `settings` is not measured otherwise.",
)
@click.option("--write/--no-write", default=False, help="Write docs/bench/ and the table in docs/bench.md.")
def main(*, quick: bool, rows: Sequence[str], write: bool) -> None:
    """Measure the provider against LiteLLM's `openai` provider."""
    began, load = time.monotonic(), os.getloadavg()
    figures: list[Figure] = []
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory, open_bench(Path(directory), QUICK if quick else FULL) as bench:
        for name in rows or DEFAULT:
            measured = ROWS[name](bench)
            figures += measured
            _show(measured, time.monotonic() - began)
            results = json.loads(report.as_json(figures, report.conditions(load, time.monotonic() - began)))
            if write:  # each row, so that one that fails loses none
                _write(report.merged(results, ROOT / "docs" / "bench" / "results.json"))
    click.echo("\n" + report.table(results))


def _write(results: dict[str, Any]) -> None:
    report.write(results, ROOT / "docs" / "bench", ROOT / "docs" / "bench.md")
    draw(results, ROOT / "docs" / "bench")
    calculation.write()


def _show(figures: Sequence[Figure], seconds: float) -> None:
    for figure in figures:
        goal = f"  goal {figure.goal}: {'met' if figure.met else 'missed'}" if figure.goal else ""
        click.echo(f"{seconds:5.0f} s  {figure.row}, {figure.name}: {figure.median:.4g}{goal}")


if __name__ == "__main__":
    main()
