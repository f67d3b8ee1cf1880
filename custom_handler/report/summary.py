"""Summarize a run by model and by error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from ..data_class import data_class
from .run_log import RecordedCall, RunLog

PERCENTILES = (50, 95, 99)


@data_class
class ModelSummary:
    """The calls of one model; `latencies` are p50, p95, p99 of the successful ones, in ms."""

    name: str
    calls: int
    failed: int
    latencies: tuple[float | None, ...]
    first_token: float | None
    tokens_in: int
    tokens_out: int

    def cells(self) -> tuple[str, ...]:
        """Return the row of a table."""
        shown = ("-" if value is None else f"{value:,.0f}" for value in (*self.latencies, self.first_token))
        return (self.name, str(self.calls), str(self.failed), *shown, f"{self.tokens_in:,}", f"{self.tokens_out:,}")


@data_class
class Summary:
    """The figures of a run; `errors` has (class, status, count), the most frequent first."""

    calls: int
    failures: int
    first: str
    last: str
    seconds: float
    models: list[ModelSummary]
    errors: list[tuple[str, int, int]]


def summarize(run: RunLog) -> Summary:
    """Return the figures of a run."""
    calls = run.calls
    first, last = (calls[0].at, calls[-1].at) if calls else (None, None)
    errors = Counter((call.error, call.status) for call in calls if call.error)
    by_name = {name: [call for call in calls if call.model == name] for name in sorted({call.model for call in calls})}
    return Summary(
        calls=len(calls),
        failures=sum(errors.values()),
        first=first.isoformat(sep=" ", timespec="seconds") if first else "-",
        last=last.isoformat(sep=" ", timespec="seconds") if last else "-",
        seconds=(last - first).total_seconds() if first and last else 0.0,
        models=[_model(name, group) for name, group in by_name.items()],
        errors=[(error, status, number) for (error, status), number in errors.most_common()],
    )


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest value that `percent` % of the values do not exceed, None if empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def _model(name: str, calls: Sequence[RecordedCall]) -> ModelSummary:
    return ModelSummary(
        name=name,
        calls=len(calls),
        failed=sum(call.error is not None for call in calls),
        latencies=_latencies(calls),
        first_token=percentile((call.first_token for call in calls if call.first_token is not None), 50),
        tokens_in=sum(call.tokens_in for call in calls),
        tokens_out=sum(call.tokens_out for call in calls),
    )


def _latencies(calls: Sequence[RecordedCall]) -> tuple[float | None, ...]:
    latencies = [call.latency for call in calls if call.error is None]
    return tuple(percentile(latencies, percent) for percent in PERCENTILES)
