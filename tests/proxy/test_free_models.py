"""Costs of models without a price are not calculated; LiteLLM's own calculation is what they are compared with."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import litellm
import pytest
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.types.utils import Choices, Message, ModelResponse, Usage

from custom_handler.proxy.free_models import KEPT_SECONDS, without_cost, without_diagnosis
from tests.support.clock import Clock

CALCULATE = inspect.unwrap(Logging.response_cost_calculator)
DIAGNOSE = inspect.unwrap(Logging._record_zero_cost_diagnostic)
MODEL, DEPLOYMENT = "free-chat", "deployment-1"
ENTRY = {"litellm_provider": "stackspot", "mode": "chat", "max_input_tokens": 1000, "max_output_tokens": 1000}
NO_PRICE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
A_CENT = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.01}


@pytest.fixture(autouse=True)
def price_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A price list of the test's own, which has the model without a price."""
    monkeypatch.setattr(litellm, "model_cost", dict(litellm.model_cost))
    register(NO_PRICE)
    yield litellm.model_cost
    litellm.utils._invalidate_model_cost_lowercase_map()


def register(prices: dict[str, Any]) -> None:
    litellm.register_model({f"stackspot/{MODEL}": {**ENTRY, **prices}})


def call(
    call_type: str = "acompletion", info: dict[str, Any] | None = None, provider: str = "stackspot", **params: Any
) -> Logging:
    made = Logging(
        model=MODEL,
        messages=[{"role": "user", "content": "Oi"}],
        stream=False,
        call_type=call_type,
        start_time=datetime.now(timezone.utc),
        litellm_call_id="1",
        function_id="1",
    )
    made.update_environment_variables(
        model=MODEL,
        user=None,
        optional_params=params.pop("optional_params", {}),
        litellm_params={"metadata": {"model_info": {"id": DEPLOYMENT, **(info or {})}}, **params},
        custom_llm_provider=provider,
    )
    return made


def answer(prompt_tokens: int = 10, message: dict[str, Any] | None = None, **hidden: Any) -> ModelResponse:
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=5, total_tokens=prompt_tokens + 5)
    made = ModelResponse(model=MODEL, choices=[Choices(message=Message(content="Oi", **(message or {})))], usage=usage)
    made._hidden_params.update(model_id=DEPLOYMENT, custom_llm_provider="stackspot", **hidden)
    return made


class Counted:
    """LiteLLM's calculation, and how often it was asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: Any) -> float | None:
        self.calls += 1
        return CALCULATE(*arguments)


@pytest.fixture
def original() -> Counted:
    return Counted()


@pytest.fixture
def calculate(original: Counted) -> Callable[..., float | None]:
    return without_cost(original)


def noted(logging: Logging, cost: float | None) -> tuple[Any, ...]:
    details = logging.model_call_details
    return cost, logging.cost_breakdown, logging.billed_token_rates, details.get("zero_cost_diagnostic")


def test_a_model_without_a_price_is_calculated_once(calculate: Any, original: Counted) -> None:
    for _ in range(5):
        one, other = call(), call()
        assert noted(one, calculate(one, answer())) == noted(other, CALCULATE(other, answer()))
        assert one.cost_breakdown is not None
    assert original.calls == 1


def test_a_stream_that_begins_is_not_calculated(calculate: Any, original: Counted) -> None:
    calculate(call(), answer())
    notes = []
    for calculation in (calculate, CALCULATE):
        logging = call()
        stream = CustomStreamWrapper(iter(()), MODEL, logging, "stackspot")
        stream._hidden_params = {"model_id": DEPLOYMENT, "additional_headers": {}}
        notes.append(noted(logging, calculation(logging, stream, None, f"stackspot/{MODEL}", DEPLOYMENT)))
    assert notes[0] == notes[1]
    assert original.calls == 1


def test_calls_share_no_breakdown(calculate: Any) -> None:
    calls = [call() for _ in range(3)]
    for one in calls:
        calculate(one, answer())
    calls[1].cost_breakdown["total_cost"] = 5.0
    assert calls[2].cost_breakdown["total_cost"] == 0


MORE_THAN_THE_PRICE: dict[str, tuple[Callable[[], Logging], Callable[[], ModelResponse], dict[str, Any]]] = {
    "a price of the request's own": (lambda: call(input_cost_per_token=0.5, output_cost_per_token=0.5), answer, {}),
    "a price of the deployment": (lambda: call(info=A_CENT), answer, {}),
    "a price of its base model": (lambda: call(info={"base_model": "gpt-4o"}), answer, {}),
    "another provider": (lambda: call(provider="openai"), answer, {}),
    "another kind of call": (lambda: call("aresponses"), answer, {}),
    "a cost that is known": (call, lambda: answer(response_cost=0.7), {}),
    "a cost in a header": (
        call,
        lambda: answer(additional_headers={"llm_provider-x-litellm-response-cost": "0.3"}),
        {},
    ),
    "a service tier": (lambda: call(optional_params={"service_tier": "priority"}), answer, {}),
    "a margin": (call, answer, {"cost_margin_config": {"global": {"fixed_amount": 0.25}}}),
    "a discount": (call, answer, {"cost_discount_config": {"stackspot": 0.5}}),
    "sources": (
        call,
        lambda: answer(
            message={"annotations": [{"type": "url_citation", "url_citation": {"url": "https://x", "title": "x"}}]}
        ),
        {},
    ),
    "no usage": (call, lambda: answer(prompt_tokens=0), {}),
}


@pytest.mark.parametrize("case", MORE_THAN_THE_PRICE)
def test_what_may_cost_more_is_calculated(
    case: str, calculate: Any, original: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, result, settings = MORE_THAN_THE_PRICE[case]
    calculate(call(), answer())
    for name, value in settings.items():
        monkeypatch.setattr(litellm, name, value)
    one, other = make(), make()
    assert noted(one, calculate(one, result())) == noted(other, CALCULATE(other, result()))
    assert original.calls == (1 if case == "no usage" else 2)


def test_a_new_price_counts_at_once(calculate: Any) -> None:
    calculate(call(), answer())
    register(A_CENT)
    assert calculate(call(), answer()) == pytest.approx(0.15)
    register(NO_PRICE)
    assert [calculate(call(), answer()) for _ in range(2)] == [0, 0]


def test_a_new_price_list_counts_at_once(calculate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calculate(call(), answer())
    monkeypatch.setattr(litellm, "model_cost", dict(litellm.model_cost))
    register(A_CENT)
    assert calculate(call(), answer()) == pytest.approx(0.15)


@pytest.mark.parametrize(
    "prices",
    [
        {**NO_PRICE, "input_cost_per_query": 0.02},
        {**NO_PRICE, "search_context_cost_per_query": {"search_context_size_low": 0.01}},
        {**NO_PRICE, "tiered_pricing": [{"range": [0, 1], "input_cost_per_token": 0.1}]},
    ],
)
def test_a_model_with_any_rate_is_calculated_each_time(
    calculate: Any, original: Counted, prices: dict[str, Any]
) -> None:
    register(prices)
    for _ in range(3):
        calculate(call(), answer())
    assert original.calls == 3


def test_the_result_is_kept_for_a_minute(calculate: Any, original: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    calculate(call(), answer())
    clock.now += KEPT_SECONDS + 1
    calculate(call(), answer())
    assert original.calls == 2


def test_no_one_asks_again_why_such_a_call_cost_nothing(calculate: Any) -> None:
    asked: list[Logging] = []

    def diagnose(logging: Logging, *arguments: Any, **details: Any) -> None:
        asked.append(logging)
        DIAGNOSE(logging, *arguments, **details)

    record = without_diagnosis(diagnose)
    calculate(first := call(), answer())
    calculate(second := call(), answer())
    for logging in (first, second):
        record(logging, answer(), 0.0)
        assert logging.model_call_details["zero_cost_diagnostic"] is None
    assert asked == [first]
    record(second, answer(), 0.5)
    record(second, answer(), 0.0, calculation_failed=True)
    assert asked == [first, second, second]
