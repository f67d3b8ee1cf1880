"""The rows that compare the two models of a running proxy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from .bench import MODELS, SIDES, Bench
from .figures import Figure, Goal
from .load import Outcome
from .servers import OPENAI, STACKSPOT, Proxy, proxy

Samples = dict[str, list[float]]

# By default, uvicorn restarts a worker that is busy for 5 s: on a loaded machine none would start.
_TWO = ("--num_workers", "2", "--timeout_worker_healthcheck", "60")


def _collect(
    rounds: Iterator[tuple[str, Outcome, float]], **reads: Callable[[Outcome, float], float]
) -> dict[str, Samples]:
    """Return figures computed from each outcome and its CPU seconds."""
    found: dict[str, Samples] = defaultdict(lambda: {side: [] for side in SIDES.values()})
    for model, outcome, cpu in rounds:
        for name, read in reads.items():
            found[name][SIDES[model]].append(read(outcome, cpu))
    return found


def whole(bench: Bench) -> list[Figure]:
    """Measure whole answers: requests/s and CPU."""
    found = _collect(
        bench.alternate("whole", 2 * bench.size.requests, 2 * bench.size.rounds),
        rate=lambda outcome, _: outcome.answers / outcome.seconds,
        cpu=lambda outcome, cpu: 1000 * cpu / outcome.answers,
    )
    row = "whole answer"
    return [
        Figure.ratio(row, "requests/s", "1/s", found["rate"], Goal(1.15, at_least=True)),
        Figure.ratio(row, "CPU of the proxy a request", "ms", found["cpu"]),
    ]


def burst(bench: Bench) -> list[Figure]:
    """Measure answers of 100 deltas that arrive at once."""
    found = _collect(
        bench.alternate("burst", max(8, bench.size.requests // 2), 2 * bench.size.rounds),
        rate=lambda outcome, _: outcome.answers / outcome.seconds,
        cpu=lambda outcome, cpu: 1000 * cpu / outcome.answers,
        deltas=lambda outcome, _: outcome.deltas / outcome.answers,
    )
    row = "100 deltas in a burst"
    return [
        Figure.ratio(row, "answers/s", "1/s", found["rate"], Goal(6, at_least=True)),
        Figure.ratio(row, "CPU of the proxy an answer", "ms", found["cpu"]),
        Figure.ratio(row, "deltas an answer", "", found["deltas"]),
    ]


def paced(bench: Bench) -> list[Figure]:
    """Measure the delay that the proxy adds to 100 deltas at 20 ms, in few streams."""
    rounds = max(1, bench.size.rounds // 2)
    found = _collect(
        bench.alternate("paced", 16 if bench.size.rounds > 2 else 8, rounds, clients=8),
        first50=lambda outcome, _: 1000 * outcome.first["p50"],
        first99=lambda outcome, _: 1000 * outcome.first["p99"],
        delay50=lambda outcome, _: 1000 * outcome.delay["p50"],
        delay99=lambda outcome, _: 1000 * outcome.delay["p99"],
    )
    row = "100 deltas at 20 ms"
    return [
        Figure.ratio(row, "time to first token, p50", "ms", found["first50"], Goal(1.0)),
        Figure.ratio(row, "time to first token, p99", "ms", found["first99"], Goal(1.1)),
        Figure.ratio(row, "delay added to a token, p50", "ms", found["delay50"], Goal(1.0)),
        Figure.ratio(row, "delay added to a token, p99", "ms", found["delay99"], Goal(1.1)),
    ]


def crowd(bench: Bench) -> list[Figure]:
    """Measure many streams at once.

    Each model has a proxy of its own, because a process seldom returns memory.
    """
    streams, found = bench.size.streams, defaultdict[str, Samples](lambda: {side: [] for side in SIDES.values()})
    with _pair(bench) as servers:
        for number in range(max(1, bench.size.rounds // 2)):
            for model in MODELS if number % 2 else reversed(MODELS):
                outcome, resident = _crowded(bench, servers[model], model, streams)
                side = SIDES[model]
                found["gap"][side].append(1000 * outcome.gap["p99"])
                found["pause"][side].append(1000 * outcome.pause["p50"])
                found["delay"][side].append(1000 * outcome.delay["p99"])
                found["seconds"][side].append(outcome.seconds)
                found["resident"][side].append(resident)
    row = f"{streams} streams at 20 ms"
    return [
        Figure.ratio(row, "gap between tokens, p99", "ms", found["gap"], Goal(0.7)),
        Figure.ratio(row, "longest pause of a stream, p50", "ms", found["pause"]),
        Figure.ratio(row, "delay added to a token, p99", "ms", found["delay"]),
        Figure.ratio(row, "time for all streams", "s", found["seconds"]),
        Figure.ratio(row, "resident memory", "MiB", found["resident"], Goal(1.0)),
    ]


@contextlib.contextmanager
def _pair(bench: Bench) -> Iterator[dict[str, Proxy]]:
    with proxy(bench.directory, bench.simulator) as ours, proxy(bench.directory, bench.simulator) as theirs:
        servers = {STACKSPOT: ours, OPENAI: theirs}
        for model, server in servers.items():
            bench.load.run(bench.job(model, "paced", 4, server=server))
        yield servers


def _crowded(bench: Bench, server: Proxy, model: str, streams: int) -> tuple[Outcome, float]:
    """Open all streams at once; return the outcome and the proxy's peak memory in MiB."""
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            most[0] = max(most[0], server.resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        outcome = bench.load.run(bench.job(model, "paced", streams, streams, server))
    finally:
        ended.set()
        watcher.join()
    return outcome, most[0]


def workers(bench: Bench) -> list[Figure]:
    """Measure two workers against one; all processes share the same cores."""
    rates: Samples = {"2 workers": [], "1 worker": []}
    with proxy(bench.directory, bench.simulator, options=_TWO) as two:
        servers = {"2 workers": two, "1 worker": bench.proxy}
        _warm(bench, two)
        for number in range(bench.size.rounds):
            for name in servers if number % 2 else reversed(servers):
                job = bench.job(STACKSPOT, "whole", 2 * bench.size.requests, 16, servers[name])
                outcome = bench.load.run(job)
                rates[name].append(outcome.answers / outcome.seconds)
    return [Figure.ratio("2 workers against 1", "requests/s", "1/s", rates, Goal(1.4, at_least=True))]


def _warm(bench: Bench, server: Proxy) -> None:
    """Send requests until both workers have had some."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        bench.load.run(bench.job(STACKSPOT, "whole", 8, 8, server))
