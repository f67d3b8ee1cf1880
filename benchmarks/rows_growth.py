"""How the cost grows: by streams, turns, tools, the length of an answer, and the items of a job."""

from __future__ import annotations

import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

from custom_handler.emulation.prompt.render import render
from custom_handler.jobs.job import QUEUED, Job
from custom_handler.jobs.sqlite_store import JobStorage, SqliteJobStore
from custom_handler.request.chat_request import ChatRequest

from . import texts
from .bench import MODELS, SIDES, Bench
from .figures import Figure, Goal, exponent
from .servers import Proxy, proxy

STREAMS = (1, 64, 200, 500, 1000)
UNTIL_FULL = (8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256)
BUSY = 0.6  # of a core
SHORTEST_PAUSE = 0.02  # seconds
_TOKENS = 30
_ROUNDS = 5  # fewer with many streams, whose CPU varies less from round to round
_LINEAR = Goal(1.05)
_TURNS = (10, 30, 100, 300, 1000)
_TOOLS = (1, 5, 20, 100, 500)
_ANSWERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_ITEMS = (10, 100, 1_000, 10_000, 100_000)


def growth(bench: Bench) -> list[Figure]:
    """Measure what long conversations, many tools, long answers and large jobs cost."""
    return [*_prompts(), *_answers(bench), *_jobs(bench)]


def _prompts() -> list[Figure]:
    shapes: dict[str, tuple[Sequence[int], Callable[[int], ChatRequest]]] = {
        "turns": (_TURNS, lambda size: ChatRequest.from_openai(texts.conversation(size), {})),
        "tools": (
            _TOOLS,
            lambda size: ChatRequest.from_openai(texts.conversation(2), {"tools": texts.tools(size, 3_000 * size)}),
        ),
    }
    figures = []
    for what, (sizes, make) in shapes.items():
        row, spent = f"growth of the prompt by {what}", []
        for size in sizes:
            request = make(size)
            spent.append(_milliseconds(lambda request=request: render(request)))  # type: ignore[misc]
            figures += [
                Figure(row, f"{size} {what}: time to render", "ms", [spent[-1]]),
                Figure(row, f"{size} {what}: memory to render", "KiB", [_memory(request)]),
            ]
        figures.append(Figure(row, "exponent of the time", "", [exponent(sizes, spent)], goal=_LINEAR))
    return figures


def _milliseconds(action: Callable[[], object]) -> float:
    """Return the least CPU of some repetitions, at least 50 ms in sum."""
    spent: list[float] = []
    while sum(spent) < 0.05 or len(spent) < 3:
        began = time.process_time()
        action()
        spent.append(max(time.process_time() - began, 1e-6))
    return 1000 * min(spent)


def _memory(request: ChatRequest) -> float:
    """Return the peak of what a rendering allocates, in KiB."""
    tracemalloc.start()
    try:
        render(request)
        return tracemalloc.get_traced_memory()[1] / 1024
    finally:
        tracemalloc.stop()


def _answers(bench: Bench) -> list[Figure]:
    """Measure the proxy's CPU for an answer of each size, streamed in pieces of 1,000 characters."""
    row, sizes = "growth by the answer's length", [size for size in _ANSWERS if size <= bench.size.largest]
    spent: dict[str, list[float]] = {side: [] for side in SIDES.values()}
    for size in sizes:
        text = texts.prose(size)
        pieces = [text[start : start + 1000] for start in range(0, size, 1000)]
        bench.simulator.script({"match": "burst", "pieces": pieces, "cadence": 0, "delay_first": 0, "times": "always"})
        for model in MODELS:
            requests = max(1, min(40, 1_000_000 // size))
            bench.load.run(bench.job(model, "burst", 1, 1))
            before = bench.proxy.cpu()
            outcome = bench.load.run(bench.job(model, "burst", requests, 2))
            assert outcome.characters == size * outcome.answers
            spent[SIDES[model]].append(1000 * max(bench.proxy.cpu() - before, 0.01) / outcome.answers)
    bench.script()
    figures = [
        Figure.ratio(row, f"{size} characters: CPU of the proxy", "ms", {side: [spent[side][at]] for side in spent})
        for at, size in enumerate(sizes)
    ]
    # What a request costs by itself hides the growth of short answers.
    slope = exponent(sizes[2:], spent["stackspot"][2:]) if len(sizes) > 3 else math.nan
    return [
        *figures,
        *([] if math.isnan(slope) else [Figure(row, "exponent from 100 kB on", "", [slope], goal=_LINEAR)]),
    ]


def _jobs(bench: Bench) -> list[Figure]:
    row, sizes, spent = "growth by a job's items", [size for size in _ITEMS if size <= bench.size.largest / 100], []
    for size in sizes:
        store = SqliteJobStore(JobStorage("bench", Path(bench.directory) / f"jobs-{size}.sqlite"))
        items = [{"input": f"Question {number}"} for number in range(size)]
        job = Job(id=f"job-{size}", owner="team", call={}, caller=None, created=time.time(), total=size, status=QUEUED)
        spent.append(_once(lambda job=job, items=items, store=store: store.add(job, items)))  # type: ignore[misc]
    figures = [Figure(row, f"{size} items: time to store", "ms", [spent[at]]) for at, size in enumerate(sizes)]
    slope = exponent(sizes[1:], spent[1:])  # ten items cost little more than the transaction
    return [*figures, Figure(row, "exponent from 100 items on", "", [slope], goal=_LINEAR)]


def _once(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return 1000 * max(time.process_time() - began, 1e-6)


def streams(bench: Bench) -> list[Figure]:
    """Measure 1 to 1,000 streams, with a pause between tokens that keeps the proxy at 60 % of a core.

    No pause is shorter than SHORTEST_PAUSE, with which few streams need less of a core. Each model has
    a proxy of its own, because a process seldom returns memory.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {side: [] for side in SIDES.values()} for name in ("cpu", "gap", "late", "memory", "pause")
    }
    counts = [count for count in STREAMS if count <= 5 * bench.size.streams]
    for model in MODELS:
        with proxy(bench.directory, bench.simulator) as server:
            bench.load.run(bench.job(model, "paced", 4, server=server))
            idle, cost = server.resident(), _token_cost(bench, model, server)
            for count in counts:
                # The first round says what a token costs with so many streams.
                _pace(bench, max(SHORTEST_PAUSE, count * cost / BUSY))
                cost = _paced_round(bench, model, server, count)[1]
                memory = max(0.0, server.resident() - idle) * 1024 / count
                pause = max(SHORTEST_PAUSE, count * cost / BUSY)
                _pace(bench, pause)
                rounds = max(1, min(_ROUNDS, 5 * bench.size.streams // count))
                gaps, costs = zip(*(_paced_round(bench, model, server, count) for _ in range(rounds)), strict=True)
                gap, cost = statistics.median(gaps), statistics.mean(costs)
                for name, value in (
                    ("cpu", 1000 * cost),
                    ("gap", 1000 * gap),
                    ("late", 1000 * max(0.0, gap - pause)),
                    ("pause", 1000 * pause),
                    ("memory", memory),
                ):
                    found[name][SIDES[model]].append(value)
    bench.script()
    return _stream_figures(counts, found)


def _stream_figures(counts: Sequence[int], found: dict[str, dict[str, list[float]]]) -> list[Figure]:
    row = "growth by streams"
    titles = MappingProxyType({"cpu": "CPU a token", "gap": "gap, p99", "pause": "the agent's pause"})
    figures = [
        Figure.ratio(row, f"{count} streams: {title}", "ms", {side: [found[name][side][at]] for side in found[name]})
        for at, count in enumerate(counts)
        for name, title in titles.items()
    ]
    # These may be nothing, so they are no ratios.
    figures += [
        Figure(row, f"{count} streams: {title}, {side}", unit, [found[name][side][at]])
        for name, title, unit in (
            ("late", "gap beyond the agent's pause, p99", "ms"),
            ("memory", "memory a stream", "KiB"),
        )
        for at, count in enumerate(counts)
        for side in SIDES.values()
    ]
    # The kernel counts CPU in ticks of 10 ms, of which a single stream takes three.
    many = counts[1:]
    if len(many) < 2:
        return figures
    for name, title in (("cpu", "CPU"), ("memory", "memory")):
        for side, values in found[name].items():
            total = [max(1.0, count * value) for count, value in zip(many, values[1:], strict=True)]
            figure = f"exponent of the {title} from {many[0]} streams on, {side}"
            goal = _LINEAR if side == "stackspot" else None
            figures.append(Figure(row, figure, "", [exponent(many, total)], goal=goal))
    return figures


def _paced_round(bench: Bench, model: str, server: Proxy, count: int) -> tuple[float, float]:
    """Return the p99 of the gap between two tokens, and the CPU of a token, in seconds."""
    before = server.cpu()
    outcome = bench.load.run(bench.job(model, "paced", count, count, server))
    return outcome.gap["p99"], (server.cpu() - before) / (count * _TOKENS)


def saturation(bench: Bench) -> list[Figure]:
    """Measure how many streams at 20 ms a token a proxy can serve.

    It is full where half of the tokens are later than the next one of their stream.
    """
    row, found = "streams at 20 ms a token", dict.fromkeys(SIDES.values(), math.nan)
    delays: list[Figure] = []
    for model in MODELS:
        with proxy(bench.directory, bench.simulator) as server:
            _pace(bench, 0.02, 10)
            bench.load.run(bench.job(model, "paced", 4, server=server))
            for count in (count for count in UNTIL_FULL if count <= bench.size.streams * 2):
                outcome = bench.load.run(bench.job(model, "paced", count, count, server))
                delay = 1000 * outcome.delay["p50"]
                delays.append(Figure(row, f"{count} streams: delay of a token, p50, {SIDES[model]}", "ms", [delay]))
                if delay > 20:
                    break
                found[SIDES[model]] = count
    bench.script()
    return [
        Figure.ratio(row, "most streams whose tokens are in time", "", {side: [n] for side, n in found.items()}),
        *delays,
    ]


def _token_cost(bench: Bench, model: str, server: Proxy) -> float:
    """Return the CPU seconds of a token in a single stream."""
    _pace(bench, SHORTEST_PAUSE)
    before = server.cpu()
    bench.load.run(bench.job(model, "paced", 4, 4, server))
    return max(server.cpu() - before, 0.01) / (4 * _TOKENS)


def _pace(bench: Bench, pause: float, times: int = 1) -> None:
    bench.simulator.script(
        {
            "match": "paced",
            "pieces": texts.DELTAS[:_TOKENS] * times,
            "stamped": True,
            "cadence": pause,
            "delay_first": 0,
            "times": "always",
        }
    )
