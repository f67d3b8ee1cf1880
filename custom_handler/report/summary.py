"""Sums a run up: by model, by kind of error, and in equal spans of time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .run_log import RecordedCall, RunLog

PERCENTILES = (50, 95, 99)
MOST_SPANS = 40
CALLS_IN_A_SPAN = 20  # with much fewer, all percentiles are the slowest call


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model's calls; latencies, in milliseconds, are those of its answered calls: p50, p95, p99."""

    name: str
    calls: int
    failed: int
    latencies: tuple[float | None, ...]
    first_token: float | None
    tokens_in: int
    tokens_out: int

    def cells(self) -> tuple[str, ...]:
        """Write the row of a table."""
        shown = ("-" if value is None else f"{value:,.0f}" for value in (*self.latencies, self.first_token))
        return (self.name, str(self.calls), str(self.failed), *shown, f"{self.tokens_in:,}", f"{self.tokens_out:,}")


@dataclass(frozen=True, slots=True)
class Span:
    """Some seconds of a run: its middle, in seconds from the first call, the latencies as above, and errors by class."""

    middle: float
    latencies: tuple[float | None, ...]
    errors: Counter[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run; `errors` holds class, status and number, the most frequent first."""

    calls: int
    failures: int
    first: str
    last: str
    seconds: float
    models: list[ModelSummary]
    errors: list[tuple[str, int, int]]
    spans: list[Span]


def summarize(run: RunLog) -> Summary:
    """Sum a run up."""
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
        models=[_model(name, of_it) for name, of_it in by_name.items()],
        errors=[(error, status, number) for (error, status), number in errors.most_common()],
        spans=_spans(calls),
    )


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest value that so many percent of the values do not exceed; None where there are none."""
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
    answered = [call.latency for call in calls if call.error is None]
    return tuple(percentile(answered, percent) for percent in PERCENTILES)


def _spans(calls: Sequence[RecordedCall]) -> list[Span]:
    """Divide the run into equal spans, with enough calls in the average one, and leave out those in which nobody called."""
    if not calls:
        return []
    began, number_of_spans = calls[0].at, min(MOST_SPANS, max(1, len(calls) // CALLS_IN_A_SPAN))
    length = max(1.0, (calls[-1].at - began).total_seconds() / number_of_spans)
    spans: dict[int, list[RecordedCall]] = {}
    for call in calls:
        spans.setdefault(int((call.at - began).total_seconds() / length), []).append(call)
    return [
        Span((number + 0.5) * length, _latencies(of_it), Counter(call.error for call in of_it if call.error))
        for number, of_it in spans.items()
    ]
