"""What a row of the table is made of: samples of every round, their median and spread, and the goal beside them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that the result's median should keep."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Tell whether a value keeps it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, round by round: what each side gave, in `unit`, and the result, a ratio where two sides are compared."""

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
        """Compare two sides: the first one over the second one, within each round."""
        ours, theirs = sides.values()
        return cls(row, name, unit, [a / b for a, b in zip(ours, theirs, strict=True)], sides, goal)

    @property
    def median(self) -> float:
        """The result's median over the rounds."""
        return statistics.median(self.result)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the goal; None without a goal."""
        return None if self.goal is None else self.goal.met(self.median)

    def as_json(self) -> dict[str, Any]:
        """Return the figure as results.json holds it."""
        return {
            "row": self.row,
            "name": self.name,
            "unit": self.unit,
            "sides": {side: _spread(samples) for side, samples in self.sides.items()},
            "result": _spread(self.result),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
        }


def _spread(samples: Sequence[float]) -> dict[str, Any]:
    rounded = [float(f"{sample:.4g}") for sample in samples]
    return {
        "median": float(f"{statistics.median(samples):.4g}"),
        "low": min(rounded),
        "high": max(rounded),
        "rounds": rounded,
    }
