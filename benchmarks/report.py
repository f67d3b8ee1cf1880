"""The results of a run: results.json, and the tables in docs/bench.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import parts
from .figures import Figure
from .rows_stock import OTHER, OURS, PROMETHEUS, STOCK
from .rows_stock import ROW as STOCK_ROW

_PACKAGES = ("litellm", "httpx", "httpcore", "h11", "uvicorn", "uvloop", "pydantic", "aiohttp", "regex")
_CONDITIONS = re.compile(r"(<!-- conditions -->\n).*?(<!-- end conditions -->)", re.DOTALL)
_STOCK = re.compile(r"(<!-- stock -->\n).*?(<!-- end stock -->)", re.DOTALL)
_PARTS = re.compile(r"(<!-- parts -->\n).*?(<!-- end parts -->)", re.DOTALL)
_TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)


def conditions(load_before: tuple[float, float, float], seconds: float) -> dict[str, Any]:
    """Return the date, the machine and the packages of a run."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "minutes": round(seconds / 60, 1),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "packages": {name: version(name) for name in _PACKAGES},
    }


def as_json(figures: Sequence[Figure], under: dict[str, Any]) -> str:
    """Return the content of results.json."""
    measured = {"measured": _measured(under)} if under else {}
    return json.dumps({"conditions": under, "figures": [figure.as_json() | measured for figure in figures]}, indent=1)


def _measured(under: dict[str, Any]) -> str:
    """Return when and on what a figure was measured: a page has figures of several runs."""
    load = under["load_average"]["before"][0]
    return f"{under['date']}, LiteLLM {under['packages']['litellm']}, at a load average of {load:.1f} by other work"


def table(results: dict[str, Any]) -> str:
    """Return the table of the results in Markdown, without those that have tables of their own."""
    lines = [
        "| row | figure | stackspot | against | result | rounds from … to | goal | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    figures = [figure for figure in results["figures"] if not figure["row"].startswith((STOCK_ROW, parts.ROW))]
    usual = Counter(map(_day_and_version, figures)).most_common(1)
    lines += [_line(figure, {day for day, _ in usual}) for figure in figures]
    return "\n".join(lines) + "\n"


def stock_table(results: dict[str, Any]) -> str:
    """Return the table of the comparison with the stock proxy, with the date of its measurement."""
    figures = [figure for figure in results["figures"] if figure["row"].startswith(STOCK_ROW)]
    lines = ["| CPU of the proxy a request | ratio | rounds from … to | goal | |", "|---|---|---|---|---|"]
    for figure in figures:
        ours, theirs = (f"{side['median']:.3g}" for side in figure["sides"].values())
        name = f"{figure['name'].removeprefix('CPU of ')}, {figure['row'].removeprefix(STOCK_ROW).strip(', ')}"
        result, mark = figure["result"], {True: "met", False: "**missed**", None: ""}[figure["met"]]
        ratio = f"{result['median']:.3g} ({ours} against {theirs} ms)"
        lines.append(
            f"| {name} | {ratio} | {result['low']:.3g} … {result['high']:.3g} | {figure['goal'] or ''} | {mark} |"
        )
    return "\n".join([*lines, "", f"{_source(figures)}\n"])


def parts_table(results: dict[str, Any]) -> str:
    """Return the table of a request's milliseconds by part, with the date of its measurement."""
    figures = [figure for figure in results["figures"] if figure["row"] == parts.ROW]
    spent = {figure["name"]: figure["result"]["median"] for figure in figures}
    sides = [side for side in (STOCK, PROMETHEUS, OTHER, OURS) if any(name.startswith(f"{side}: ") for name in spent)]
    lines = [f"| ms a whole answer | {' | '.join(sides)} |", f"|---|{'---|' * len(sides)}"]
    for part in parts.PARTS:
        cells = (f"{spent.get(f'{side}: {part}', 0):.2f}" for side in sides)
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{_source(figures)}\n"])


def _source(figures: Sequence[dict[str, Any]]) -> str:
    return next((f"{figure['measured']}." for figure in figures if "measured" in figure), "")


def _day_and_version(figure: dict[str, Any]) -> str:
    """Return the day of a figure's measurement and the version of LiteLLM, as `_measured` wrote them."""
    return ", ".join(figure.get("measured", "").split(", ")[:2])


def _line(figure: dict[str, Any], usual: Collection[str]) -> str:
    """Return a figure's line, with the day and LiteLLM's version if they are not the usual ones."""
    day = _day_and_version(figure)
    unit = f" {figure['unit']}" if figure["unit"] else ""
    sides = [f"{side['median']:g}{unit}" for side in figure["sides"].values()] or ["", ""]
    result, mark = figure["result"], {True: "met", False: "**missed**", None: ""}[figure["met"]]
    value = f"{result['median']:g}{'' if figure['sides'] else unit}"
    cells = (
        figure["row"],
        figure["name"] if day in usual else f"{figure['name']} ({day or 'measured earlier'})",
        *sides,
        value,
        f"{result['low']:g} … {result['high']:g}",
        figure["goal"] or "",
        mark,
    )
    return f"| {' | '.join(cells)} |"


def conditions_text(under: dict[str, Any]) -> str:
    """Return the conditions as a sentence."""
    before, after = (", ".join(f"{load:.1f}" for load in under["load_average"][when]) for when in ("before", "after"))
    packages = ", ".join(f"{name} {number}" for name, number in under["packages"].items())
    return (
        f"{under['date']}, {under['machine']}, {under['cores']} cores, Python {under['python']}; {packages}. "
        f"Load average {before} before, {after} after; {under['minutes']} minutes.\n"
    )


def merged(results: dict[str, Any], file: Path) -> dict[str, Any]:
    """Add the figures of an earlier run for rows that were not measured in this one.

    The conditions are those of the run with more figures.
    """
    if not file.exists():
        return results
    before = json.loads(file.read_text())
    earlier = before["figures"]
    measured = {figure["row"] for figure in results["figures"]}
    others = [figure for figure in earlier if figure["row"] not in measured]
    order = list(dict.fromkeys(figure["row"] for figure in [*earlier, *results["figures"]]))
    under = (before if len(others) > len(results["figures"]) else results)["conditions"]
    return {
        "conditions": under,
        "figures": sorted([*others, *results["figures"]], key=lambda figure: order.index(figure["row"])),
    }


def write(results: dict[str, Any], directory: Path, page: Path) -> None:
    """Write results.json, and the tables and conditions in docs/bench.md."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = _TABLE.sub(lambda found: found[1] + table(results) + found[2], page.read_text())
    rows = {figure["row"] for figure in results["figures"]}
    if any(row.startswith(STOCK_ROW) for row in rows):
        text = _STOCK.sub(lambda found: found[1] + stock_table(results) + found[2], text)
    if parts.ROW in rows:
        text = _PARTS.sub(lambda found: found[1] + parts_table(results) + found[2], text)
    page.write_text(_CONDITIONS.sub(lambda found: found[1] + conditions_text(results["conditions"]) + found[2], text))
