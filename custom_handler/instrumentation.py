"""What can be measured while the provider works, told to whoever listens: metrics and telemetry live upstairs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenCall:
    """A call of the identity service ended."""

    seconds: float
    succeeded: bool


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The number of calls that wait for a place, and that hold one, is now another."""

    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A call left the queue; `admitted` is False where it gave up or was turned away."""

    seconds: float
    admitted: bool


@dataclass(frozen=True, slots=True)
class Retried:
    """A call is made again; `reason` is the name of the error class."""

    reason: str


@dataclass(frozen=True, slots=True)
class FirstText:
    """The agent's first text came, counted from the beginning of the turn."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent called a tool of the client's."""

    name: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repair round ended; `fault` says what it was for."""

    fault: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """A turn of a conversation that the platform keeps is one that was begun or continued; or one was found to be lost."""

    outcome: str


Measurement: TypeAlias = (
    TokenCall | QueueChanged | Queued | Retried | FirstText | ToolCalled | Repaired | KeptConversation
)
Hook: TypeAlias = Callable[[Measurement], None]


class Hooks:
    """Tells each measure to all listeners, in the thread where it arises: a listener must not block."""

    def __init__(self) -> None:
        self._listeners: list[Hook] = []

    def add(self, listener: Hook) -> None:
        """Tell this one too, from now on."""
        self._listeners.append(listener)

    def __call__(self, measure: Measurement) -> None:
        """Tell all; one that fails spoils no call."""
        for listener in self._listeners:
            try:
                listener(measure)
            except Exception:  # noqa: PERF203  one bad listener, not all
                logger.exception("A listener failed on %s", type(measure).__name__)


def no_hook(measure: Measurement) -> None:
    """Listen to nothing."""
