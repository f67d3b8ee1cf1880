"""The results of `make scale`: rows with goals, docs/scaling/results.json, and the tables of docs/scaling.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import servers
from ..report import conditions_text
from .calculation import blocks, replaced
from .cluster import LIMIT, NAMES
from .plot import draw

DOCS = servers.ROOT / "docs" / "scaling"
PAGE = servers.ROOT / "docs" / "scaling.md"
LEAST_USED = 0.98
FAIR = (0.9, 1.1)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure for each number of proxies: as text, and whether its goal is met."""

    name: str
    cells: Sequence[str]
    goal: str = ""
    met: Sequence[bool] = ()

    @property
    def missed(self) -> bool:
        """Whether a number of proxies misses the goal."""
        return not all(self.met)


def rows_of(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the rows of what all runs have measured."""
    return [row for part, rows in _rows(runs).items() if all(part in run for run in runs) for row in rows()]


def _rows(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return functions that make the rows, by the part of a run that they need."""

    def row(name: str, text: Any, goal: str = "", met: Any = None) -> Row:
        return Row(name, [text(run) for run in runs], goal, [bool(met(run)) for run in runs] if met else ())

    def whole(part: str, name: str, of: str | None) -> dict[str, Any]:
        """Compare a number with another one of the part, or with that of the proxies."""

        def total(run: dict[str, Any]) -> int:
            return run[part][of] if of else run["proxies"]

        return {
            "text": lambda run: f"{run[part][name]} of {total(run)}",
            "goal": "all",
            "met": lambda run: run[part][name] == total(run),
        }

    def of_limit() -> list[Row]:
        return [
            row("requests a minute that the agent served", lambda run: f"{run['limit']['per_minute']:.2f}"),
            row(
                f"of the account's {LIMIT}",
                lambda run: f"{run['limit']['used']:.2%}",
                f"≥ {LEAST_USED:.0%}",
                lambda run: run["limit"]["used"] >= LEAST_USED,
            ),
            row("most requests in any 60 s", lambda run: str(run["limit"]["most_in_a_minute"]), f"≤ {LIMIT}", _within),
            row(
                "requests that the agent refused with 429",
                lambda run: str(run["limit"]["overruns"]),
                "0",
                lambda run: run["limit"]["overruns"] == 0,
            ),
            row(
                "calls that failed",
                lambda run: str(sum(run["limit"]["failures"].values())),
                "0",
                lambda run: not run["limit"]["failures"],
            ),
            *(
                row(
                    f"requests of the key `{name}`, of its third",
                    lambda run, name=name: f"{_share(run, name):.2f}",
                    f"{FAIR[0]} to {FAIR[1]}",
                    lambda run, name=name: FAIR[0] <= _share(run, name) <= FAIR[1],
                )
                for name in NAMES
            ),
            row("Redis: scripts a second", lambda run: f"{run['limit']['redis']['scripts_a_second']:.1f}"),
            row(
                "Redis: all commands a second, with those in scripts",
                lambda run: f"{run['limit']['redis']['commands_a_second']:.0f}",
            ),
            row("Redis: CPU, of one core", lambda run: f"{run['limit']['redis']['cpu_percent']:.2f} %"),
        ]

    def of_responses() -> list[Row]:
        return [
            row("responses with the whole chain of `previous_response_id`", **whole("responses", "whole", "of")),
            row("proxies that have the last response", **whole("responses", "kept_by", None)),
        ]

    def of_chaos() -> list[Row]:
        return [
            row("`kill -9` of a proxy; of Redis", lambda run: "{proxy_kills}; {redis_restarts}".format(**run["chaos"])),
            row("jobs that completed", **whole("chaos", "completed", "jobs")),
            row("items with one answer, their own", **whole("chaos", "answered_once", "items")),
            row("jobs that ended once, by the logs", **whole("chaos", "ended_once", "jobs")),
            row("items for which the agent was asked again", lambda run: str(run["chaos"]["asked_again"])),
            row(
                "requests that the agent refused with 429 meanwhile",
                lambda run: str(run["chaos"]["overruns"]),
                "0",
                lambda run: run["chaos"]["overruns"] == 0,
            ),
            row("proxies that continue a response of before the kills", **whole("chaos", "continued_by", None)),
        ]

    return {
        "limit": of_limit,
        "native": lambda: [row("turns continued in the platform's conversation", **whole("native", "continued", "of"))],
        "responses": of_responses,
        "chaos": of_chaos,
        "idle": lambda: [row("Redis: commands a second of an idle proxy", lambda run: f"{run['idle']['clients']:.1f}")],
    }


def _within(run: dict[str, Any]) -> bool:
    return run["limit"]["most_in_a_minute"] <= LIMIT


def _share(run: dict[str, Any], name: str) -> float:
    shares = run["limit"]["shares"]
    return shares.get(name, 0) * len(NAMES) / sum(shares.values())


def table(rows: Sequence[Row], runs: Sequence[dict[str, Any]]) -> str:
    """Return the rows in Markdown."""
    heads = [f"{run['proxies']} {'proxy' if run['proxies'] == 1 else 'proxies'}" for run in runs]
    lines = [["", *heads, "goal", ""], ["---"] * (len(runs) + 3)]
    for row in rows:
        mark = ("**missed**" if row.missed else "met") if row.met else ""
        lines.append([row.name, *row.cells, row.goal, mark])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def costs_table(run: dict[str, Any]) -> str:
    """Return what each kind of request costs Redis, in Markdown."""
    lines = ["| request | commands over the network | commands within scripts |", "|---|---|---|"]
    lines += [f"| {cost['request']} | {cost['clients']:.1f} | {cost['scripts']:.1f} |" for cost in run["costs"]]
    return "\n".join(lines) + "\n"


def print_rows(rows: Sequence[Row]) -> bool:
    """Print the rows, and return whether each goal is met."""
    for row in rows:
        print(f"{row.name:72} {'  '.join(f'{cell:>10}' for cell in row.cells)}  {'MISSED' if row.missed else ''}")
    return not any(row.missed for row in rows)


def merged(results: dict[str, Any], file: Path) -> dict[str, Any]:
    """Add what an earlier results.json has of numbers of proxies and parts that were not measured now."""
    runs = {run["proxies"]: run for run in json.loads(file.read_text())["runs"]} if file.exists() else {}
    for run in results["runs"]:
        runs[run["proxies"]] = runs.get(run["proxies"], {}) | run
    return results | {"runs": [runs[proxies] for proxies in sorted(runs)]}


def write(results: dict[str, Any], folder: Path = DOCS, page: Path = PAGE) -> None:
    """Write results.json, scaling.svg and the tables of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results) + "\n")
    draw(results["runs"], folder / "scaling.svg")
    runs = results["runs"]
    parts = {
        "conditions": conditions_text(results["conditions"]),
        "results": table(rows_of(runs), runs),
        "costs": costs_table(runs[0]),
    }
    bench = json.loads((servers.ROOT / "docs" / "bench" / "results.json").read_text())
    page.write_text(replaced(page.read_text(), parts | blocks(runs, bench["figures"])))
