"""`make siege`: attack the proxy with one team's key, and time another team beside it.

Each attack of table.py runs against the stock proxy with this project's config.yaml. Beside it a
process of another team probes `/health/liveliness` every 50 ms, and chats every 200 ms on each
protocol in turn. A stall is the longest health probe. An attack runs twice: the first run is the
warm-up for the memory, the second is measured. A stall above the limit is measured once more, and
the shorter one counts, because other processes of the machine cause stalls as well. "no CPU" is the
time for which the proxy was ready to run and the machine gave it no CPU; it is not the proxy's and
not counted.

Goals: no stall above 250 ms (500 ms with `--loaded`, or after a probe of more than 100 ms before the
attacks), no failure of the other team, nothing lost, and memory that is at most 1.1 times what it
was before, 30 s after the attack. The exit code is 1 if a goal is missed.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import yaml

from .. import servers
from .ground import NATIVE, Ground, Outcome, Setup, chat
from .other import Seen, other_team
from .probe import chats
from .table import ATTACKS, FIRST_CALLS, Attack
from .timeline import draw, points
from .verdict import LIMIT, LOADED_BASELINE, LOADED_LIMIT, MOST_GROWTH, Measured, Report, judge, table, to_json

BASELINE_SECONDS = 10
MEMORY_SECONDS = 30.0
DOCS = servers.ROOT / "docs"
_NATIVE = {
    "model_name": NATIVE,
    "litellm_params": {"model": "stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAV"},
    "model_info": {"conversation": "native"},
}
_RESULTS = re.compile(r"(<!-- results -->\n).*?(<!-- end results -->)", re.DOTALL)
_WORKER_OPTIONS = ("--timeout_worker_healthcheck", "300")


@asynccontextmanager
async def besieged(directory: Path, setup: Setup, *, quick: bool) -> AsyncIterator[Ground]:
    """Run a proxy with what stands around it, and make one call of each kind."""
    attacker, other = (f"sk-{uuid.uuid4().hex}" for _ in range(2))
    keys = directory / "keys.yaml"
    names = [{"name": "attacker", "key": attacker}, {"name": "other-team", "key": other}]
    keys.write_text(yaml.safe_dump({"keys": names}))
    environ = {
        "STACKSPOT_KEYS_FILE": str(keys),
        "STACKSPOT_JOBS_DIR": str(directory / "jobs"),
        "STACKSPOT_JOBS_LEASE": "2",
        "STACKSPOT_RUNS_DIR": str(directory / "runs"),
        "STACKSPOT_STARTUP_CHECK": "off",
        # Keys that a pass-through route would spend.
        **{f"{provider}_API_KEY": "sk-operator" for provider in ("COHERE", "MISTRAL", "OPENROUTER", "OPENAI")},
        **setup.environ,
    }
    options = ("--num_workers", str(setup.workers), *_WORKER_OPTIONS) if setup.workers > 1 else ()
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.simulator(directory))
        port, redis = stack.enter_context(servers.redis(directory))
        environ["REDIS_HOST"], environ["REDIS_PORT"] = "127.0.0.1", str(port)
        if setup.jobs_in_redis:
            environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        proxy = stack.enter_context(
            servers.proxy(directory, upstream, options=options, environ=environ, models=[_NATIVE])
        )
        team = stack.enter_context(other_team(directory, proxy, other))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            ground = Ground(proxy, upstream, team, session, attacker, directory / "jobs", redis, quick)
            await _warm_up(ground, setup)
            yield ground


async def _warm_up(ground: Ground, setup: Setup) -> None:
    """Make each kind of call in each process, because the first ones import modules for seconds."""
    began = time.monotonic()
    await ground.script()
    for _ in range(2 * setup.workers):
        for kind in chats(servers.STACKSPOT).values():
            await ground.ask(kind.path, dict(kind.body))
        await ground.ask("/ingest", {"messages": ["Oi"]})
        await ground.ask("/v1/chat/completions", chat("Oi", model=NATIVE), headers={"correlation-id": "warm"})
        for _ in range(4):
            await ground.ask("/jobs", method="GET")
    ground.cold = await asyncio.to_thread(ground.other.seen, began, time.monotonic())
    await _span(ground, 2)


async def _span(ground: Ground, seconds: float) -> Seen:
    """Return what the other team sees for a while."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return await asyncio.to_thread(ground.other.seen, began, time.monotonic())


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an attack: its outcome, what the other team saw, and its steps with their starts."""

    outcome: Outcome
    seen: Seen
    steps: Sequence[tuple[float, str]]

    @property
    def step(self) -> str:
        """The step that ran when the longest stall began, or an empty string."""
        began = self.seen.longest.ended if self.seen.longest else 0
        return next((name for start, name in reversed(self.steps) if start <= began), "")


async def _run(ground: Ground, attack: Attack) -> Run:
    ground.steps.clear()
    began = time.monotonic()
    try:
        outcome = await attack.run(ground)
    except (AssertionError, RuntimeError, LookupError, ValueError, aiohttp.ClientError) as error:
        outcome = Outcome("", [f"the attack could not be judged: {type(error).__name__}: {error}"])
    seen = await asyncio.to_thread(ground.other.seen, began, time.monotonic())
    if not seen.chats:  # an attack that is shorter than the pause between two chats: to the next one
        seen = await asyncio.to_thread(ground.other.seen, began, time.monotonic())
    return Run(outcome, seen, list(ground.steps))


async def _measure(ground: Ground, attack: Attack, limit: float) -> Measured:
    """Run an attack as often as it takes, and measure it."""
    with_memory = attack.memory or not ground.quick
    runs = [await _run(ground, attack)]
    memory = None
    if with_memory:
        before = await _settled(ground, 0)
        runs.append(await _run(ground, attack))
        memory = (before, await _settled(ground, MOST_GROWTH * before))
    if runs[-1].seen.stall > limit:
        runs.append(await _run(ground, attack))
    return _measured(attack.name, attack.setup, runs, memory, limit)


def _first_calls(seen: Seen, setup: Setup, limit: float) -> Measured:
    """Measure the first calls of a process, which cannot be repeated."""
    run = Run(Outcome("two calls of each kind, on each protocol"), seen, ())
    return _measured(FIRST_CALLS, setup, [run], None, limit)


def _measured(
    name: str, setup: Setup, runs: Sequence[Run], memory: tuple[float, float] | None, limit: float
) -> Measured:
    """Join the runs of an attack: of the last two, the one with the shorter stall counts."""
    counted, last = min(runs[-2:], key=lambda run: run.seen.stall), runs[-1]
    seen = counted.seen
    faults = list(dict.fromkeys(fault for run in runs for fault in run.outcome.faults))
    failed = [row for run in runs for row in run.seen.failures(run.outcome.cuts)]
    return Measured(
        name,
        setup.name,
        runs[0].seen.began,
        last.seen.ended,
        last.seen.ended - last.seen.began,
        seen.stall,
        seen.waited,
        counted.step,
        sum(len(run.seen.chats) for run in runs),
        seen.chat_median,
        max(run.seen.chat_longest for run in runs),
        len(failed),
        memory[0] if memory else None,
        memory[1] if memory else None,
        last.outcome.said,
        judge(limit, faults, seen, failed=failed, memory=memory, step=counted.step),
    )


async def _settled(ground: Ground, enough: float) -> float:
    """Return the proxy's memory when it is low enough, or after MEMORY_SECONDS; without `enough` after a few."""

    async def low() -> bool:
        return ground.proxy.resident() <= enough

    await ground.until(low, MEMORY_SECONDS if enough else ground.size(5, 2))
    return ground.proxy.resident()


async def siege(attacks: Sequence[Attack], directory: Path, *, quick: bool, loaded: bool) -> tuple[Report, list]:
    """Run the attacks, and return the measurements and the other team's requests."""
    report: Report | None = None
    rows = []
    for setup in dict.fromkeys(attack.setup for attack in attacks):
        print(f"The proxy starts: {setup.name} …", flush=True)
        folder = directory / str(len(rows))
        folder.mkdir()
        async with besieged(folder, setup, quick=quick) as ground:
            baseline = await _span(ground, 3 if quick else BASELINE_SECONDS)
            if report is None:
                noisy = loaded or baseline.stall > LOADED_BASELINE
                report = Report(LOADED_LIMIT if noisy else LIMIT, baseline, quick)
            print(
                f"without an attack: longest stall {baseline.stall * 1000:.0f} ms, chats {baseline.chat_median * 1000:.0f} ms "
                f"(median), {baseline.chat_longest * 1000:.0f} ms (longest); limit {report.limit * 1000:.0f} ms",
                flush=True,
            )
            if not report.attacks and ground.cold is not None:
                report.add(_first_calls(ground.cold, setup, report.limit))
            for attack in attacks:
                if attack.setup is setup:
                    report.add(await _measure(ground, attack, report.limit))
            rows += ground.other.rows
    assert report is not None
    return report, rows


@click.command(help=__doc__.split("\n", 1)[0] if __doc__ else "")
@click.option("--quick", is_flag=True, help="The short form: smaller attacks, memory only where it matters.")
@click.option("--loaded", is_flag=True, help="Other work runs on this machine: the limit is 500 ms.")
@click.option("--only", multiple=True, metavar="TEXT", help="The attacks whose name has the text; may be repeated.")
@click.option("--to", type=click.Path(path_type=Path), help="A folder for results.json and timeline.svg.")
@click.option("--write", is_flag=True, help="Write docs/siege/, and the table in docs/siege.md.")
def main(*, quick: bool, loaded: bool, only: Sequence[str], to: Path | None, write: bool) -> None:
    """Run the attacks and exit with 1 if a goal is missed."""
    chosen = [attack for attack in ATTACKS if not only or any(text in attack.name for text in only)]
    chosen = [attack for attack in chosen if attack.quick or only or not quick]
    with tempfile.TemporaryDirectory() as directory:
        report, rows = asyncio.run(siege(chosen, Path(directory), quick=quick, loaded=loaded))
    code = report.finish()
    results = report.as_json() | {"timeline": points(rows)}
    for folder in filter(None, (to, DOCS / "siege" if write else None)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(to_json(report))
        draw(results, folder / "timeline.svg")
        print(f"{folder}/results.json, {folder}/timeline.svg")
    if write:
        _write_page(results, DOCS / "siege.md")
    sys.exit(code)


def _write_page(results: Mapping[str, Any], page: Path) -> None:
    """Write the conditions and the table between the marks of docs/siege.md."""
    under = results["conditions"]
    loads = (", ".join(f"{load:.1f}" for load in under[f"load_average_{when}"]) for when in ("before", "after"))
    text = (
        f"{under['date']}, {under['machine']}, {under['cores']} cores, Python {under['python']}, LiteLLM {under['litellm']}; "
        f"load average {next(loads)} before, {next(loads)} after; limit {results['limit'] * 1000:.0f} ms. Without an attack "
        f"the longest stall was {results['baseline']['stall'] * 1000:.0f} ms.\n\n"
    )
    page.write_text(
        _RESULTS.sub(lambda found: found[1] + text + table(results["attacks"]) + found[2], page.read_text())
    )


if __name__ == "__main__":
    main()
