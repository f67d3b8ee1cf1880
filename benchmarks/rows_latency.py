"""The time from the agent's first token to the client's, at 1, 16 and 200 streams."""

from __future__ import annotations

from .bench import SIDES, Bench
from .figures import Figure, Goal

STREAMS = (1, 16, 200)


def latency(bench: Bench) -> list[Figure]:
    """Measure how much later than the agent's the first token of a stream arrives."""
    figures = []
    for streams in (count for count in STREAMS if count <= bench.size.streams):
        found: dict[str, dict[str, list[float]]] = {
            name: {side: [] for side in SIDES.values()} for name in ("p50", "p99")
        }
        for model, outcome, _ in bench.alternate("paced", max(8, streams), max(2, bench.size.rounds // 2), streams):
            for name, sides in found.items():
                sides[SIDES[model]].append(1000 * outcome.first_delay[name])
        row = f"delay of the first token, {streams} {'stream' if streams == 1 else 'streams'}"
        figures += [
            Figure.ratio(row, name, "ms", sides, Goal(1.1 if name == "p99" else 1.0)) for name, sides in found.items()
        ]
    return figures
