"""The figures of a row: samples of every round, their median and spread, and the goal."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for the result's median."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Return whether a value is within the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a row: the samples of each side in `unit`, and a result per round.

    The result is a ratio where two sides are compared.
    """

    row: str
    name: str
    unit: str
    result: Sequence[float]
    sides: Mapping[str, Sequence[float]] = field(default_factory=dict)
    goal: Goal | None = None

    @classmethod
    def ratio(
        cls,
        row: str,
        name: str,
        unit: str,
        sides: Mapping[str, Sequence[float]],
        goal: Goal | None = None,
    ) -> Figure:
        """Return the ratio of the first side to the second one in each round."""
        ours, theirs = sides.values()
        return cls(row, name, unit, [a / b for a, b in zip(ours, theirs, strict=True)], sides, goal)

    @property
    def median(self) -> float:
        """The result's median over the rounds."""
        return statistics.median(self.result)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the goal; None without a goal."""
        return None if self.goal is None else self.goal.met(self.median)

    def as_json(self) -> dict[str, Any]:
        """Return the figure in the format of results.json."""
        return {
            "row": self.row,
            "name": self.name,
            "unit": self.unit,
            "sides": {side: _spread(samples) for side, samples in self.sides.items()},
            "result": _spread(self.result),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
        }


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log(cost) over log(size): 1 is linear, 2 quadratic."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(cost) for cost in costs]).slope


def _spread(samples: Sequence[float]) -> dict[str, Any]:
    rounded = [float(f"{sample:.4g}") for sample in samples]
    return {
        "median": float(f"{statistics.median(samples):.4g}"),
        "low": min(rounded),
        "high": max(rounded),
        "rounds": rounded,
    }
