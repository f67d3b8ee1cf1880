"""The proxy beside the one that a user would have without the plugin, by the CPU of a request.

Both sides give the same text. Three proxies run at once, and take turns within a round. Then a
profile tells what the milliseconds of a whole answer are spent on.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from types import MappingProxyType

from .bench import Bench
from .figures import Figure, Goal
from .parts import parts
from .servers import OPENAI, STACKSPOT, Proxy, proxy

OURS, OTHER, STOCK, PROMETHEUS = "stackspot", "another model", "stock proxy", "stock proxy with prometheus"
ROW = "beside the stock proxy"
_ROUNDS = 10
_GOALS = MappingProxyType({"whole": Goal(1.0), "burst": Goal(round(1 / 5.5, 3))})
_WITHIN = MappingProxyType({"whole": Goal(round(1 / 1.2, 3)), "burst": Goal(round(1 / 6.5, 3))})
_NAMES = MappingProxyType({"whole": "a whole answer", "burst": "100 deltas in a burst"})


def stock(bench: Bench) -> list[Figure]:
    """Measure the CPU of a request through this proxy, the stock one, and that with Prometheus."""
    with _servers(bench) as servers:
        spent = {prompt: _spent(bench, servers, prompt) for prompt in ("whole", "burst")}
        figures = [figure for prompt in spent for figure in _figures(prompt, spent[prompt])]
        milliseconds = {side: statistics.median(rounds) for side, rounds in spent["whole"].items()}
        return [*figures, *parts(bench, servers, milliseconds)]


@contextlib.contextmanager
def _servers(bench: Bench) -> Iterator[dict[str, tuple[Proxy, str]]]:
    """Yield the server and the model of each side."""
    with (
        proxy(bench.directory, bench.simulator, plugin=False) as plain,
        proxy(bench.directory, bench.simulator, plugin=False, prometheus=True) as counted,
    ):
        yield {
            OURS: (bench.proxy, STACKSPOT),
            STOCK: (plain, OPENAI),
            OTHER: (bench.proxy, OPENAI),
            PROMETHEUS: (counted, OPENAI),
        }


def _spent(bench: Bench, servers: dict[str, tuple[Proxy, str]], prompt: str) -> dict[str, list[float]]:
    """Return the CPU of a request in milliseconds, for each side and round.

    The order turns by one side in each round, so that no side always follows the same one.
    """
    requests = 6 * bench.size.requests if prompt == "whole" else bench.size.requests  # some seconds a round
    rounds = _ROUNDS if bench.size.rounds > 2 else bench.size.rounds
    order, spent = list(servers), {side: list[float]() for side in servers}
    for number in range(-1, rounds):  # -1 warms up
        turn = number % len(order)
        for side in order[turn:] + order[:turn]:
            server, model = servers[side]
            before = server.cpu()
            outcome = bench.load.run(bench.job(model, prompt, requests, server=server))
            if number >= 0:
                spent[side].append(1000 * (server.cpu() - before) / outcome.answers)
    return spent


def _figures(prompt: str, spent: dict[str, list[float]]) -> list[Figure]:
    row = f"{ROW}, {_NAMES[prompt]}"

    def compared(side: str, other: str, goal: Goal | None = None) -> Figure:
        name = f"CPU of {side} against {other}"
        return Figure.ratio(row, name, "ms", {side: spent[side], other: spent[other]}, goal)

    return [
        compared(OURS, STOCK, _GOALS[prompt]),
        compared(OURS, PROMETHEUS),
        compared(OTHER, PROMETHEUS, Goal(1.03)),
        compared(PROMETHEUS, STOCK),
        compared(OURS, OTHER, _WITHIN[prompt]),
    ]
