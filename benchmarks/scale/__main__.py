"""`make scale`: the account's limit, jobs and conversations with 1, 2 and 4 proxies behind HAProxy.

The proxies share one Redis with an append-only file, and the simulator has the platform's limit of
requests a minute. The exit code is 1 if a goal is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..report import conditions
from . import chaos, limit, redis_cost, spread
from .cluster import LIMIT, cluster
from .report import DOCS, merged, print_rows, rows_of, write

PARTS = ("redis", "conversations", "limit", "jobs")


def measure(directory: Path, count: int, parts: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """Measure some parts with `count` proxies."""
    found: dict[str, Any] = {"proxies": count}
    with cluster(directory, count) as running:
        spread.warm_up(running)
        if "redis" in parts:
            _say("what Redis is asked")
            found["idle"] = redis_cost.idle(running, directory)
            found["costs"] = redis_cost.costs(running, directory, found["idle"])
        if "conversations" in parts:
            _say("conversations, each turn at another proxy")
            found["native"] = {"continued": spread.native_turns(running), "of": spread.TURNS - 1}
            running.control("DELETE", "/requests")
            last, questions = spread.response_chain(running)
            whole, kept = spread.whole_prompts(running, questions, last)
            found["responses"] = {"whole": whole, "of": len(questions), "kept_by": kept}
        if "limit" in parts:
            _say("more calls than the account allows")
            found["limit"] = asyncio.run(limit.saturate(running, LIMIT * (1 if quick else 3)))
        if "jobs" in parts:
            _say("jobs, and what is killed")
            last, questions = spread.response_chain(running)
            found["chaos"] = chaos.run(running, 6 if quick else 10, 10 if quick else 20)
            running.control("DELETE", "/requests")
            for turn in range(count):
                last = spread.next_response(running, turn, last, questions)
            prompts = [one["prompt"] for one in running.control("GET", "/requests?at=chat")]
            found["chaos"]["continued_by"] = sum(questions[0] in prompt for prompt in prompts)
    return found


def _say(step: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {step}", flush=True)


@click.command(help=__doc__.split("\n", 1)[0] if __doc__ else "")
@click.option("--proxies", "counts", multiple=True, type=int, help="How many proxies; may be repeated (1, 2, 4).")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this; may be repeated.")
@click.option("--quick", is_flag=True, help="The short form: 100 requests and 60 items.")
@click.option("--write", "to_docs", is_flag=True, help="Write docs/scaling/, and the tables of docs/scaling.md.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for the logs, instead of a temporary one.")
def main(counts: Sequence[int], parts: Sequence[str], *, quick: bool, to_docs: bool, keep: Path | None) -> None:
    """Measure, print the results, and exit with 1 if a goal is missed."""
    runs, before, began = [], os.getloadavg(), time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts or (1, 2, 4):
            folder = (keep or Path(temporary)) / str(count)
            folder.mkdir(parents=True)
            print(f"{count} {'proxy' if count == 1 else 'proxies'}:", flush=True)
            runs.append(measure(folder, count, parts or PARTS, quick=quick))
            if keep:
                (folder / "results.json").write_text(json.dumps(runs[-1]))
    results = {"conditions": conditions(before, time.monotonic() - began), "runs": runs}
    reached = print_rows(rows_of(runs))
    if to_docs:
        write(merged(results, DOCS / "results.json"))
    sys.exit(not reached)


if __name__ == "__main__":
    main()
