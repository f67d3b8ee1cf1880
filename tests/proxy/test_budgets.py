"""Budgets of keys against a store that is quick, slow or away."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import litellm
import pytest
from litellm.types.utils import CallTypes

from custom_handler.errors import ConfigurationError
from custom_handler.instrumentation import BudgetExceeded, KeySpend, Measurement
from custom_handler.proxy import budgets as module
from custom_handler.proxy.budget_period import Period
from custom_handler.proxy.budgets import BudgetSpent, KeyBudgets
from custom_handler.proxy.key_entries import KeyEntry, read_entries
from custom_handler.proxy.middleware.exchange import Outcome
from custom_handler.proxy.spend_book import SpendBook
from custom_handler.request.context import RequestContext
from custom_handler.stackspot.state.spend import SqliteSpendStore
from tests.support.waiting import eventually_async

HASH = "a" * 64


class Store:
    """A store in memory, which may be away or slow."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int], float] = {}
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def read(self, key: str, period: int) -> float | None:
        self.open.wait()
        return None if self.away else self.sums.get((key, period), 0.0)

    def add(self, key: str, period: int, amount: float, expires: int | None = None) -> float | None:
        self.open.wait()
        if self.away:
            return None
        self.sums[key, period] = self.sums.get((key, period), 0.0) + amount
        return self.sums[key, period]

    def close(self) -> None:
        self.open.set()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def seen() -> list[Measurement]:
    return []


@pytest.fixture
def budgets(store: Store, seen: list[Measurement]) -> KeyBudgets:
    entry = KeyEntry("team", HASH, None, budget=1.0, budget_duration="1h")
    return KeyBudgets([entry, KeyEntry("other", "b" * 64, None)], SpendBook(store), seen.append, clock=lambda: 7300)


def payload(cost: object, key: str = HASH) -> dict[str, Any]:
    return {"metadata": {"user_api_key_hash": key}, "response_cost": cost}


async def call(budgets: KeyBudgets, cost: float, *, report: bool = True, model: str = "priced") -> RequestContext:
    """Make one call, whose cost LiteLLM reports before the end of the request or not yet."""
    with RequestContext({}, "r-1").served() as request:
        await budgets.admit(HASH, model)
        if report:
            budgets.charge(payload(cost))
        budgets.request_ended(request.scope, Outcome(200))
    return request


async def test_a_key_that_has_spent_its_budget_is_refused_as_litellm_refuses(
    budgets: KeyBudgets, store: Store, seen: list[Measurement]
) -> None:
    for _ in range(2):
        await call(budgets, 0.5)
    with pytest.raises(BudgetSpent) as refused:
        await call(budgets, 0.5)
    text = (
        "Budget has been exceeded! Key=team Current cost: 1, Max budget: 1. It starts again at 1970-01-01 03:00 UTC; "
    )
    assert refused.value.message.startswith(text)
    assert (refused.value.type, refused.value.code) == ("budget_exceeded", str(litellm.budget_exceeded_status_code))
    assert store.sums == {("team", 7200): 1.0}
    assert seen == [KeySpend("team", 0.5, 1.0), KeySpend("team", 1.0, 1.0), BudgetExceeded("team")]
    assert (await budgets.read())["team"].resets_at == 10_800


async def test_a_request_waits_for_the_cost_of_the_call_before_it(budgets: KeyBudgets) -> None:
    first = await call(budgets, 1.0, report=False)
    second = asyncio.create_task(call(budgets, 1.0))
    await asyncio.sleep(0)
    assert not second.done()
    with first.served():
        budgets.charge(payload(1.0))
    with pytest.raises(BudgetSpent):
        await second


async def test_a_call_that_litellm_never_reports_delays_the_next_for_a_while(
    budgets: KeyBudgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_TIMEOUT", 0.05)
    await call(budgets, 1.0, report=False)
    await asyncio.wait_for(call(budgets, 0.0), 10)


async def test_keys_without_a_budget_and_calls_without_a_cost_are_left_alone(budgets: KeyBudgets, store: Store) -> None:
    for cost, key in ((1.0, "b" * 64), (1.0, "unknown"), (0, HASH), (None, HASH), ("1", HASH)):
        budgets.charge(payload(cost, key))
    budgets.charge(None)
    await budgets.admit("b" * 64, "chat")
    await budgets.admit(None, "chat")
    await budgets.admit(HASH, None)
    assert store.sums == {}


async def test_a_store_that_is_away_gets_the_spend_when_it_is_back(budgets: KeyBudgets, store: Store) -> None:
    store.away = True
    await call(budgets, 0.7)
    await call(budgets, 0.7)
    with pytest.raises(BudgetSpent, match=r"Current cost: 1.4"):
        await call(budgets, 0.7)
    store.away = False
    budgets.charge(payload(0.1))
    assert (await budgets.read())["team"].spent == pytest.approx(1.5)
    assert store.sums["team", 7200] == pytest.approx(1.5)


async def test_a_store_that_hangs_delays_a_request_by_half_a_second_at_most(
    budgets: KeyBudgets, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_handler.proxy.spend_book.TIMEOUT", 0.05)
    store.open.clear()
    try:
        with RequestContext({}, "r-1").served():
            await asyncio.wait_for(budgets.admit(HASH, "chat"), 10)
            budgets.charge(payload(1.0))
            with pytest.raises(BudgetSpent):
                await asyncio.wait_for(budgets.admit(HASH, "chat"), 10)
    finally:
        store.open.set()
    await budgets.aclose()
    assert store.sums == {("team", 7200): 1.0}


async def test_the_spend_of_a_period_does_not_count_in_the_next(store: Store) -> None:
    now = [7300.0]
    entry = KeyEntry("team", HASH, None, budget=1.0, budget_duration="1h")
    budgets = KeyBudgets([entry], SpendBook(store), lambda _: None, clock=lambda: now[0])
    await call(budgets, 1.0)
    now[0] = 10_800.0
    await call(budgets, 1.0)
    await budgets.aclose()
    assert store.sums == {("team", 7200): 1.0, ("team", 10_800): 1.0}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The `model_info` of a free model and a priced one, which the router serves."""
    infos: dict[str, dict[str, Any]] = {"free": {"id": "0"}, "priced": {"id": "1", "input_cost_per_query": 0.5}}
    router = SimpleNamespace(
        get_model_list=lambda model_name: [{"model_info": infos[model_name]}],
        get_deployment=lambda model_id: SimpleNamespace(model_name=["free", "priced"][int(model_id)]),
    )
    monkeypatch.setattr(module, "running_proxy", lambda: SimpleNamespace(llm_router=router))
    monkeypatch.setattr(module, "is_model_cost_zero", lambda model, llm_router: model in infos)
    return infos


async def test_a_free_model_is_no_matter_of_a_budget(budgets: KeyBudgets, served: dict[str, dict[str, Any]]) -> None:
    await call(budgets, 1.0)
    await call(budgets, 0.0, model="free")
    served["free"]["input_cost_per_query"] = 0.5
    with pytest.raises(BudgetSpent):
        await call(budgets, 0.0, model="free")


async def test_the_deployment_that_litellm_chooses_must_be_free_when_the_budget_is_spent(
    budgets: KeyBudgets, seen: list[Measurement], served: dict[str, dict[str, Any]]
) -> None:
    chosen = {name: {"model_info": info} for name, info in served.items()}
    with RequestContext({}, "r-1").served():
        await budgets.admit(HASH, "priced")
        budgets.require_free(chosen["priced"], CallTypes.acompletion)
    await call(budgets, 1.0)
    for model in ("free", None):
        with RequestContext({}, "r-2").served() as request:
            await budgets.admit(HASH, model)
            budgets.require_free(chosen["free"], CallTypes.acompletion)
            for other in (chosen["priced"], {}, {"metadata": {"model_group": "free"}}):
                with pytest.raises(BudgetSpent) as refused:
                    budgets.require_free(other, CallTypes.acompletion)
        assert refused.value.status_code == litellm.budget_exceeded_status_code, "LiteLLM's router would try again"
        assert "x-should-retry" not in request.response_headers, "the free model may answer the next time"
    assert seen.count(BudgetExceeded("team")) == 6
    budgets.require_free(chosen["priced"], CallTypes.acompletion)  # outside of a request: a health check


@pytest.mark.parametrize(("provider", "is_free"), [("tavily", False), ("searxng", True), ("of-our-own", True)])
async def test_a_search_must_be_free_when_the_budget_is_spent(
    budgets: KeyBudgets, served: dict[str, dict[str, Any]], provider: str, *, is_free: bool
) -> None:
    await call(budgets, 1.0)
    with RequestContext({}, "r-1").served():
        await budgets.admit(HASH, "free")
        with contextlib.nullcontext() if is_free else pytest.raises(BudgetSpent):
            budgets.require_free({"search_provider": provider}, CallTypes.asearch)


async def test_a_request_of_which_nobody_knows_the_model_is_refused_when_the_budget_is_spent(
    budgets: KeyBudgets,
) -> None:
    await call(budgets, 1.0)
    with RequestContext({}, "r-1").served(), pytest.raises(BudgetSpent):
        await budgets.admit(HASH, None, "pass_through_endpoint")
    with pytest.raises(BudgetSpent):  # outside of a request nothing would look at the deployment
        await budgets.admit(HASH, None)


async def test_the_budgets_are_measured_at_the_start(
    budgets: KeyBudgets, store: Store, seen: list[Measurement]
) -> None:
    store.sums["team", 7200] = 0.25
    budgets.start()
    await eventually_async(lambda: seen == [KeySpend("team", 0.25, 1.0)])


async def test_a_process_finds_what_the_one_before_it_has_stored(tmp_path: Path) -> None:
    file, period = tmp_path / "spend.sqlite3", Period(0, None)
    before = SpendBook(SqliteSpendStore(file))
    before.add("team", period, 0.25)
    before.close()
    assert await SpendBook(SqliteSpendStore(file)).read("team", period) == 0.25


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *((f"budget: {wrong}", "budget must be a number of USD") for wrong in ("-1", "true", "many", ".inf", ".nan")),
        ("budget_duration: 30d", "must be one of 1h, 1d, 7d, 30d, 1mo, beside a budget"),
        ("budget: 1, budget_duration: 3d", "must be one of"),
        ("budget: 1, budget_duration: 30", "must be one of"),
    ],
)
def test_an_invalid_budget_is_rejected(tmp_path: Path, fields: str, message: str) -> None:
    (tmp_path / "keys.yaml").write_text(f"keys: [{{name: a, key: sk-a-key-of-the-tests, {fields}}}]")
    with pytest.raises(ConfigurationError, match=rf"keys\[0\]\..*{message}"):
        read_entries(tmp_path / "keys.yaml")


def test_a_budget_may_be_zero(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("keys: [{name: a, key: sk-a-key-of-the-tests, budget: 0, budget_duration: 7d}]")
    [entry] = read_entries(tmp_path / "keys.yaml")
    assert (entry.budget, entry.budget_duration) == (0.0, "7d")
