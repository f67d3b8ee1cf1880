"""The budgets of KEYS_FILE: refuse the requests of a key whose calls have cost its budget.

LiteLLM checks the budgets of virtual keys, which need a database; for a key of `custom_auth` it
would reserve spend that nothing releases. The cost is the one that LiteLLM calculates, for models
of all providers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import litellm
from litellm.proxy._types import ProxyErrorTypes, ProxyException
from litellm.proxy.auth.auth_checks import is_model_cost_zero
from litellm.search import search_provider_cost_per_query
from litellm.types.utils import CallTypes
from starlette.types import Scope

from ..data_class import data_class
from ..instrumentation import BudgetExceeded, Hook, KeySpend
from ..provider import PROVIDER
from ..provider.request_price import REQUEST_PRICE
from ..proxy_module import running_proxy
from ..request.context import add_response_header, current_request
from ..settings import Settings
from ..stackspot.state.spend import open_spend_store
from .budget_period import Period, current_period
from .config import Deployment
from .key_entries import KeyEntry, read_entries
from .middleware.exchange import Outcome
from .model_defaults import has_price
from .spend_book import SpendBook

REPORT_TIMEOUT = 2.0
"""Seconds to wait for the cost of a call whose response has been sent."""

_CALL = "stackspot.budget"
_SPENT = "stackspot.budget_spent"
_PASS_THROUGH = "pass_through_endpoint"  # as of LiteLLM 1.108.7; these calls choose no deployment

logger = logging.getLogger(__name__)


@data_class
class Budget:
    """A key's budget and spend in USD; `resets_at` is in seconds since the epoch, or None."""

    limit: float
    spent: float
    resets_at: int | None


@dataclass(slots=True, eq=False)
class _Call:
    """An admitted call of a key; `charged` is set once the store has its cost."""

    key: str
    charged: asyncio.Event = field(default_factory=asyncio.Event)


class BudgetSpent(ProxyException):  # type: ignore[misc]
    """The error of LiteLLM's own budgets: type `budget_exceeded`, with its configurable status."""

    def __init__(self, key: str, budget: Budget) -> None:
        if budget.resets_at is None:
            action = "Ask the proxy's operator for a larger budget in KEYS_FILE."
        else:
            start = datetime.fromtimestamp(budget.resets_at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
            action = f"It starts again at {start}; the proxy's operator can raise it in KEYS_FILE."
        super().__init__(
            message=f"Budget has been exceeded! Key={key} Current cost: {budget.spent:.6g}, "
            f"Max budget: {budget.limit:g}. {action}",
            type=ProxyErrorTypes.budget_exceeded,
            param=None,
            code=litellm.budget_exceeded_status_code,
        )
        self.status_code = litellm.budget_exceeded_status_code  # else LiteLLM's router tries again


class KeyBudgets:
    """The budgets of the keys of KEYS_FILE (an Observer of requests).

    A key that has not spent its budget is admitted, so calls that run at once may exceed it by what
    they cost. A request waits for the cost of the key's earlier calls in this process, which
    LiteLLM reports after the response.
    """

    def __init__(
        self, entries: Iterable[KeyEntry], book: SpendBook, hook: Hook, clock: Callable[[], float] = time.time
    ) -> None:
        self._entries: Mapping[str, KeyEntry] = {entry.sha256: entry for entry in entries if entry.budget is not None}
        self._book = book
        self._hook = hook
        self._clock = clock
        self._uncharged: dict[str, set[_Call]] = {}
        self._first_read: asyncio.Task[Any] | None = None

    async def admit(self, key_hash: object, model: object, call_type: str = "") -> None:
        """Raise BudgetSpent for a key that has spent its budget, unless the model is free.

        Another model may answer in its place: `require_free` looks at that one.
        """
        entry = self._entries.get(str(key_hash))
        if entry is None:
            return
        await self._wait_for_costs(entry.name)
        budget = await self._budget(entry)
        request = current_request()
        if budget.spent >= budget.limit:
            is_priced = not _is_free(model) if isinstance(model, str) else call_type == _PASS_THROUGH
            if request is None or is_priced:
                add_response_header("x-should-retry", "false")
                self._refuse(entry.name, budget)
            request.scope[_SPENT] = entry.name, budget
        if request is not None:
            request.scope[_CALL] = _Call(entry.name)

    def require_free(self, call: Mapping[str, Any], call_type: CallTypes | None) -> None:
        """Raise BudgetSpent if LiteLLM has chosen a priced deployment for a key without budget.

        `call` is the call's arguments. A request for a free model comes to a priced one by a
        fallback, its own or the configuration's; LiteLLM then returns the free model's error.
        """
        request = current_request()
        if request is None or (spent := request.scope.get(_SPENT)) is None:
            return
        is_free = _is_free_search(call) if call_type == CallTypes.asearch else _is_free(_chosen_model(call))
        if not is_free:
            self._refuse(*spent)

    def charge(self, payload: Mapping[str, Any] | None) -> None:
        """Add the cost of a call to its key, from LiteLLM's `standard_logging_object`."""
        metadata = (payload or {}).get("metadata") or {}
        entry = self._entries.get(str(metadata.get("user_api_key_hash")))
        cost = (payload or {}).get("response_cost")
        if entry is None or not isinstance(cost, int | float):
            return
        request = current_request()
        call = None if request is None else request.scope.get(_CALL)
        if cost <= 0:
            self._settle(call)
            return
        period = self._period(entry)
        loop = asyncio.get_running_loop()

        def sent(_: Future[None]) -> None:
            self._hook(KeySpend(entry.name, self._book.known(entry.name, period), entry.budget or 0.0))
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, call)

        self._book.add(entry.name, period, cost).add_done_callback(sent)

    async def read(self) -> dict[str, Budget]:
        """Return the budgets by the name of their key, and measure them."""
        found = {entry.name: await self._budget(entry) for entry in self._entries.values()}
        for name, budget in found.items():
            self._hook(KeySpend(name, budget.spent, budget.limit))
        return found

    def start(self) -> None:
        """Measure the budgets of a process that has started, on the running event loop."""
        self._first_read = asyncio.get_running_loop().create_task(self.read())

    def request_started(self, scope: Scope) -> None:
        """See Observer."""

    def request_ended(self, scope: Scope, outcome: Outcome) -> None:
        """Remember an answered call until its cost is known, REPORT_TIMEOUT seconds at most."""
        call: _Call | None = scope.get(_CALL)
        if call is None or call.charged.is_set() or outcome.status >= 400:
            return
        self._uncharged.setdefault(call.key, set()).add(call)
        asyncio.get_running_loop().call_later(REPORT_TIMEOUT, self._settle, call)

    async def aclose(self) -> None:
        """Wait until the store has all that was charged."""
        await asyncio.to_thread(self._book.close)

    def _refuse(self, key: str, budget: Budget) -> NoReturn:
        self._hook(BudgetExceeded(key))
        raise BudgetSpent(key, budget)

    async def _wait_for_costs(self, key: str) -> None:
        for call in tuple(self._uncharged.get(key, ())):
            await call.charged.wait()  # `request_ended` sets a time limit

    async def _budget(self, entry: KeyEntry) -> Budget:
        period = self._period(entry)
        return Budget(entry.budget or 0.0, await self._book.read(entry.name, period), period.end)

    def _period(self, entry: KeyEntry) -> Period:
        return current_period(entry.budget_duration, self._clock())

    def _settle(self, call: _Call | None) -> None:
        if call is not None:
            call.charged.set()
            calls = self._uncharged.get(call.key, set())
            calls.discard(call)
            if not calls:
                self._uncharged.pop(call.key, None)


def open_budgets(settings: Settings, models: Iterable[Deployment], hook: Hook) -> KeyBudgets | None:
    """Return the budgets of KEYS_FILE, None without any; raises ConfigurationError for the file.

    A model without a price is logged, because its calls cost no key anything.
    """
    keys_file = settings.proxy.keys_file
    entries = [entry for entry in read_entries(Path(keys_file)) if entry.budget is not None] if keys_file else []
    if not entries:
        return None
    if unpriced := sorted(
        {model.name for model in models if model.provider == PROVIDER and not has_price(model.params, model.info)}
    ):
        logger.warning(
            "Calls of %s cost no budget of KEYS_FILE: set input_cost_per_token, output_cost_per_token or "
            "input_cost_per_query of model_info in config.yaml",
            ", ".join(unpriced),
        )
    return KeyBudgets(entries, SpendBook(open_spend_store(settings)), hook)


def _chosen_model(call: Mapping[str, Any]) -> str | None:
    """Return the `model_name` of a call's deployment, None for a call without one.

    The router writes the deployment's id, and the client can change it nowhere.
    """
    router = getattr(running_proxy(), "llm_router", None)
    model_id = (call.get("model_info") or {}).get("id")
    deployment = router.get_deployment(model_id=model_id) if router is not None and model_id else None
    return None if deployment is None else str(deployment.model_name)


def _is_free(model: str | None) -> bool:
    """Return whether the prices of a model are 0; one without prices is not known to be free."""
    router = getattr(running_proxy(), "llm_router", None)
    if router is None or not is_model_cost_zero(model=model, llm_router=router):
        return False
    served = router.get_model_list(model_name=model) or ()
    return not any((deployment.get("model_info") or {}).get(REQUEST_PRICE) for deployment in served)


def _is_free_search(call: Mapping[str, Any]) -> bool:
    """Return whether LiteLLM has no price for a search; it then counts the search as free."""
    provider = str(call.get("search_provider"))
    try:
        cost, _ = search_provider_cost_per_query(f"{provider}/search", provider)
    except Exception:  # noqa: BLE001  LiteLLM's class for it is Exception
        return True
    return not cost
