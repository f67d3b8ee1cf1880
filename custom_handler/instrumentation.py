"""Measurements of the provider's work, and the hooks that receive them, such as the metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenCall:
    """A token request ended after `seconds`."""

    seconds: float
    succeeded: bool


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The number of calls that wait for a slot, or that hold one, changed."""

    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A call left the queue after `seconds`, with a slot if `admitted`."""

    seconds: float
    admitted: bool


@dataclass(frozen=True, slots=True)
class RequestCounted:
    """A request of an API key was counted.

    `limit` is the account's a minute now, `day_limit` that in 24 hours; 0 is none.
    """

    key: str
    limit: int
    day_limit: int = 0


@dataclass(frozen=True, slots=True)
class Retried:
    """A retry is scheduled; `reason` is the name of the error class."""

    reason: str


@dataclass(frozen=True, slots=True)
class FirstText:
    """The agent's first text arrived, `seconds` after the start of the turn."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent called one of the client's tools."""

    name: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repair round ended; `fault` is the reason for it."""

    fault: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class ConversationOutcome:
    """A native conversation was begun, continued or lost."""

    outcome: str


@dataclass(frozen=True, slots=True)
class KnowledgeSearched:
    """An answer of a model with knowledge is complete; `sources` are the ids of its sources."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """A request to a model with a cache was a `hit`, `shared`, a `miss` or a `bypass`."""

    outcome: str


@dataclass(frozen=True, slots=True)
class KeySpend:
    """What an API key of KEYS_FILE with a budget has spent in its period, both in USD."""

    key: str
    spend: float
    budget: float


@dataclass(frozen=True, slots=True)
class BudgetExceeded:
    """A request was refused, because the budget of its API key is spent."""

    key: str


@dataclass(frozen=True, slots=True)
class AgentsRefreshed:
    """The agents of `stackspot/*` were listed again; `listed` of them are models now."""

    listed: int
    succeeded: bool


Measurement: TypeAlias = (
    TokenCall
    | QueueChanged
    | Queued
    | RequestCounted
    | Retried
    | FirstText
    | ToolCalled
    | Repaired
    | ConversationOutcome
    | KnowledgeSearched
    | CacheLookup
    | KeySpend
    | BudgetExceeded
    | AgentsRefreshed
)
Hook: TypeAlias = Callable[[Measurement], None]


class Hooks:
    """Call every hook with each measurement, in the thread that measured: hooks must not block.

    >>> hooks = Hooks()
    >>> hooks.add(print)
    >>> hooks(Retried("RateLimited"))
    Retried(reason='RateLimited')
    """

    def __init__(self) -> None:
        self._hooks: list[Hook] = []

    def add(self, hook: Hook) -> None:
        """Call this hook, too, from now on."""
        self._hooks.append(hook)

    def __call__(self, measurement: Measurement) -> None:
        """Call the hooks; log the exceptions that they raise."""
        for hook in self._hooks:
            try:
                hook(measurement)
            except Exception:  # noqa: PERF203  a failing hook must not stop the others
                logger.exception("A hook failed on %s", type(measurement).__name__)


def no_hook(measurement: Measurement) -> None:
    """Ignore the measurement."""
