"""Estimates how many tokens an agent will count for a prompt, from the counts that it has reported.

An agent reports its count at the end of an answer only, by the tokenizer of a model that is not
known, and with instructions that the client does not see. So its count is estimated as

    scale * tokens of a known tokenizer + weight * characters + offset

fitted per agent to its last answers, and corrected by how far this was off for similar prompts:
the tokenizers differ by language and for code, and a conversation's next prompt resembles its last.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from ..data_class import data_class

MAX_AGENTS = 256
MAX_OBSERVATIONS = 24  # of an agent
DECAY = 0.93  # of an observation's weight with each newer one
ALIKE = 0.02  # relative: a prompt replaces the observation of one so near in size and density
NOISE = 0.03  # relative, of an agent's counts: a larger deviation weighs less
GOOD_ENOUGH = 0.04  # relative error that changes no fit
FITTING_PASSES = 5
NEAR_DENSITY, NEAR_SIZE = 0.05, 1.0  # of the logarithms: the width of "similar"
LARGEST_CORRECTION = 1.25
UNCORRECTED = 0.5  # the weight of no correction, beside a weight of 1 of an equal prompt
SMALL = 50.0  # tokens; smaller prompts weigh no more than prompts of so many
LARGEST_FACTOR, LARGEST_OFFSET = 4.0, 20_000.0  # tokens an agent may count, beside those of the tokenizer

_UNIT = 1000.0  # tokens, of the offset in a fit: keeps the equations well conditioned
# Before any count: models count somewhat more than cl100k_base, and frame a message.
_START = (1.1, 0.0, 0.02)
_DEVIATION = (0.5, 0.1, 0.5)  # of a count's parts from those of _START

_Vector: TypeAlias = tuple[float, float, float]


@data_class
class PromptSize:
    """The size of a prompt, in tokens of a known tokenizer and in characters."""

    tokens: int
    characters: int

    def is_like(self, other: PromptSize) -> bool:
        """Return whether both parts differ by ALIKE at most."""
        return (
            abs(self.tokens - other.tokens) <= ALIKE * other.tokens
            and abs(self.characters - other.characters) <= ALIKE * other.characters
        )


class PromptMeter(Protocol):
    """Receives the prompt of a turn before it is sent, and the agent's count of it afterwards."""

    def sent(self, prompt: str) -> None:
        """Handle the whole prompt of a turn, which may replace an earlier one."""

    def counted(self, tokens: int) -> None:
        """Handle the agent's count of the last prompt that was sent."""


class NoMeter:
    """A PromptMeter that measures nothing."""

    def sent(self, prompt: str) -> None:
        """See PromptMeter."""

    def counted(self, tokens: int) -> None:
        """See PromptMeter."""


NO_METER = NoMeter()


class TokenEstimator:
    """The estimates of all agents, by their id; thread-safe.

    >>> estimator, size = TokenEstimator(), PromptSize(1000, 4000)
    >>> estimator.estimate("agent", size)
    1120
    >>> estimator.learn("agent", size, 1500)
    >>> 1400 < estimator.estimate("agent", size) <= 1500
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agents: OrderedDict[str, _Fit] = OrderedDict()

    def estimate(self, agent: str, size: PromptSize) -> int:
        """Return the tokens that the agent will probably count for a prompt of this size."""
        if size.tokens <= 0:
            return 0
        with self._lock:
            fit = self._agents.get(agent)
            value = _value(_START, size) if fit is None else fit.value(size)
        return max(1, round(_bounded(value, size)))

    def learn(self, agent: str, size: PromptSize, counted: int) -> None:
        """Learn from an agent's count; one that cannot be of this prompt alone is ignored."""
        if size.tokens <= 0 or counted <= 0 or _bounded(counted, size) != counted:
            return
        with self._lock:
            fit = self._agents.setdefault(agent, _Fit())
            self._agents.move_to_end(agent)
            if len(self._agents) > MAX_AGENTS:
                self._agents.popitem(last=False)
            fit.add(size, counted)


class _Fit:
    """The last observations of one agent, oldest first, and the factors that fit them."""

    def __init__(self) -> None:
        self.factors: _Vector = _START
        self._seen: list[tuple[PromptSize, int]] = []

    def value(self, size: PromptSize) -> float:
        """Return the fitted count, corrected by the errors for similar prompts."""
        total, weights = UNCORRECTED, UNCORRECTED
        for seen, counted in self._seen:
            density = math.log((seen.tokens * size.characters) / (size.tokens * seen.characters)) / NEAR_DENSITY
            weight = math.exp(-(density**2) - (math.log(seen.tokens / size.tokens) / NEAR_SIZE) ** 2)
            error = counted / max(_value(self.factors, seen), 1.0)
            total += weight * min(max(error, 1 / LARGEST_CORRECTION), LARGEST_CORRECTION)
            weights += weight
        return _value(self.factors, size) * total / weights

    def add(self, size: PromptSize, counted: int) -> None:
        kept = [one for one in self._seen if not size.is_like(one[0])]
        self._seen = [*kept[-(MAX_OBSERVATIONS - 1) :], (size, counted)]
        if self.factors is _START or abs(_value(self.factors, size) - counted) > GOOD_ENOUGH * counted:
            self.factors = _fitted(self._seen)


def _bounded(tokens: float, size: PromptSize) -> float:
    """Return a count within what any tokenizer could make of a prompt of this size."""
    return min(max(tokens, size.tokens / LARGEST_FACTOR), size.tokens * LARGEST_FACTOR + LARGEST_OFFSET)


def _value(factors: _Vector, size: PromptSize) -> float:
    scale, weight, offset = factors
    return scale * size.tokens + weight * size.characters + offset * _UNIT


def _fitted(seen: Sequence[tuple[PromptSize, int]]) -> _Vector:
    """Return the factors with the least relative errors, and near _START where these leave it open.

    Least squares by Huber's weights: an outlier counts as if it were off by no more than most are.
    """
    recency = [DECAY**age for age in reversed(range(len(seen)))]
    bases, weights = [size.tokens + SMALL for size, _ in seen], recency
    factors = _START
    for _ in range(FITTING_PASSES):
        rows = [
            ((size.tokens / base, size.characters / base, _UNIT / base), counted / base)
            for (size, counted), base in zip(seen, bases, strict=True)
        ]
        factors = _solved(rows, weights)
        bases = [max(_value(factors, size), size.tokens / LARGEST_FACTOR) + SMALL for size, _ in seen]
        errors = [
            abs(_value(factors, size) - counted) / base for (size, counted), base in zip(seen, bases, strict=True)
        ]
        usual = max(NOISE, sorted(errors)[len(errors) // 2])
        weights = [weight * min(1.0, usual / (error or usual)) for weight, error in zip(recency, errors, strict=True)]
    return factors


def _solved(rows: Sequence[tuple[_Vector, float]], weights: Sequence[float]) -> _Vector:
    """Return the solution of the normal equations, with a term that draws it to _START."""
    draw = [(NOISE / deviation) ** 2 for deviation in _DEVIATION]
    matrix = [[draw[i] if i == j else 0.0 for j in range(3)] + [draw[i] * _START[i]] for i in range(3)]
    for (row, target), weight in zip(rows, weights, strict=True):
        for i in range(3):
            part = weight * row[i]
            line = matrix[i]
            for j in range(3):
                line[j] += part * row[j]
            line[3] += part * target
    for i in range(3):  # positive definite, so no row has to be exchanged
        for k in range(i + 1, 3):
            factor = matrix[k][i] / matrix[i][i]
            for j in range(i, 4):
                matrix[k][j] -= factor * matrix[i][j]
    offset = matrix[2][3] / matrix[2][2]
    weight = (matrix[1][3] - matrix[1][2] * offset) / matrix[1][1]
    scale = (matrix[0][3] - matrix[0][1] * weight - matrix[0][2] * offset) / matrix[0][0]
    return scale, weight, offset
