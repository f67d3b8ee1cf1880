"""Measurements of the provider's work, and the hooks that receive them, such as the metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import field, replace
from typing import TypeAlias

from .data_class import data_class

_DEFAULT_ACCOUNT = "default"

logger = logging.getLogger(__name__)


@data_class
class AccountMeasurement:
    """A measurement of the work for one StackSpot account, of which it has the name."""

    account: str = field(default=_DEFAULT_ACCOUNT, kw_only=True)


@data_class
class TokenCall(AccountMeasurement):
    """A token request ended after `seconds`."""

    seconds: float
    succeeded: bool


@data_class
class QueueChanged(AccountMeasurement):
    """The number of calls that wait for a slot, or that hold one, changed."""

    waiting: int
    running: int


@data_class
class Queued(AccountMeasurement):
    """A call left the queue after `seconds`, with a slot if `admitted`."""

    seconds: float
    admitted: bool


@data_class
class RequestCounted(AccountMeasurement):
    """A request of an API key was counted.

    `limit` is the account's a minute now, `day_limit` that in 24 hours; 0 is none.
    """

    key: str
    limit: int
    day_limit: int = 0


@data_class
class Retried(AccountMeasurement):
    """A retry is scheduled; `reason` is the name of the error class."""

    reason: str


@data_class
class PromptSent(AccountMeasurement):
    """A prompt of so many characters goes to the agent; a retry sends it again without this."""

    characters: int


@data_class
class FirstText(AccountMeasurement):
    """The agent's first text arrived, `seconds` after the start of the turn."""

    seconds: float


@data_class
class ToolCalled(AccountMeasurement):
    """The agent called one of the client's tools."""

    name: str


@data_class
class Repaired(AccountMeasurement):
    """A repair round ended; `fault` is the reason for it."""

    fault: str
    succeeded: bool


@data_class
class Resumed(AccountMeasurement):
    """An answer broke off; that it went on `succeeded`, `failed`, or was `not_tried`."""

    outcome: str


@data_class
class ConversationOutcome(AccountMeasurement):
    """A native conversation was begun, continued or lost."""

    outcome: str


@data_class
class KnowledgeSearched(AccountMeasurement):
    """An answer of a model with knowledge is complete; `sources` are the ids of its sources."""

    sources: tuple[str, ...]


@data_class
class WebSearched(AccountMeasurement):
    """A web search of the agent ended, after `seconds`."""

    succeeded: bool
    seconds: float


@data_class
class CacheLookup(AccountMeasurement):
    """A request to a model with a cache was a `hit`, `shared`, a `miss` or a `bypass`."""

    outcome: str


@data_class
class ExecutionPolled(AccountMeasurement):
    """The state of a Quick Command's execution is asked for."""


@data_class
class ExecutionEnded(AccountMeasurement):
    """An execution of a Quick Command ended `seconds` after the start of the turn.

    `outcome` is completed, failed, timeout, limited, refused or abandoned (by the client).
    """

    outcome: str
    seconds: float


@data_class
class KeySpend:
    """What an API key of KEYS_FILE with a budget has spent in its period, both in USD."""

    key: str
    spend: float
    budget: float


@data_class
class BudgetExceeded:
    """A request was refused, because the budget of its API key is spent."""

    key: str


@data_class
class AgentsRefreshed(AccountMeasurement):
    """The agents of an account were listed again; `listed` of them are models now."""

    listed: int
    succeeded: bool


@data_class
class ResponseStored:
    """A response of /v1/responses was `kept`, is `too_large`, or the store `failed`."""

    outcome: str


Measurement: TypeAlias = (
    TokenCall
    | QueueChanged
    | Queued
    | RequestCounted
    | Retried
    | PromptSent
    | FirstText
    | ToolCalled
    | Repaired
    | Resumed
    | ConversationOutcome
    | KnowledgeSearched
    | WebSearched
    | CacheLookup
    | ExecutionPolled
    | ExecutionEnded
    | KeySpend
    | BudgetExceeded
    | AgentsRefreshed
    | ResponseStored
)
Hook: TypeAlias = Callable[[Measurement], None]


class Hooks:
    """Call every hook with each measurement, in the thread that measured: hooks must not block.

    >>> hooks = Hooks()
    >>> hooks.add(print)
    >>> hooks(Retried("RateLimited"))
    Retried(account='default', reason='RateLimited')
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


def labelled(hook: Hook, account: str) -> Hook:
    """Return a hook that names the account in each measurement.

    >>> labelled(print, "team-b")(Retried("RateLimited"))
    Retried(account='team-b', reason='RateLimited')
    """

    if account == _DEFAULT_ACCOUNT:
        return hook

    def call(measurement: Measurement) -> None:
        hook(replace(measurement, account=account) if isinstance(measurement, AccountMeasurement) else measurement)

    return call
