"""The results of a run: results.json, and the table in docs/bench.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .figures import Figure

_PACKAGES = ("litellm", "httpx", "httpcore", "h11", "uvicorn", "uvloop", "pydantic", "aiohttp", "regex")
_CONDITIONS = re.compile(r"(<!-- conditions -->\n).*?(<!-- end conditions -->)", re.DOTALL)
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
    return json.dumps({"conditions": under, "figures": [figure.as_json() for figure in figures]}, indent=1) + "\n"


def table(results: dict[str, Any]) -> str:
    """Return the table of the results in Markdown."""
    lines = [
        "| row | figure | stackspot | against | result | rounds from … to | goal | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(figure) for figure in results["figures"]]
    return "\n".join(lines) + "\n"


def _line(figure: dict[str, Any]) -> str:
    unit = f" {figure['unit']}" if figure["unit"] else ""
    sides = [f"{side['median']:g}{unit}" for side in figure["sides"].values()] or ["", ""]
    result, mark = figure["result"], {True: "met", False: "**missed**", None: ""}[figure["met"]]
    value = f"{result['median']:g}{'' if figure['sides'] else unit}"
    cells = (
        figure["row"],
        figure["name"],
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
    """Add the figures of an earlier run for rows that were not measured in this one."""
    if not file.exists():
        return results
    earlier = json.loads(file.read_text())["figures"]
    measured = {figure["row"] for figure in results["figures"]}
    others = [figure for figure in earlier if figure["row"] not in measured]
    order = list(dict.fromkeys(figure["row"] for figure in [*earlier, *results["figures"]]))
    return results | {"figures": sorted([*others, *results["figures"]], key=lambda figure: order.index(figure["row"]))}


def write(results: dict[str, Any], directory: Path, page: Path) -> None:
    """Write results.json and the table and conditions in docs/bench.md."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = _TABLE.sub(lambda found: found[1] + table(results) + found[2], page.read_text())
    page.write_text(_CONDITIONS.sub(lambda found: found[1] + conditions_text(results["conditions"]) + found[2], text))
