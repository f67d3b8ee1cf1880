"""The price of a request: who is charged for how many, and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from custom_handler.events import Finish, Text, Usage
from custom_handler.provider.model_response import ChunkBuilder, ResponseOptions, build_response
from custom_handler.provider.request_price import RequestCharge, forget_charge, request_price

COST = "additional_response_cost"
INFO: dict[str, Any] = {"model_info": {"input_cost_per_query": 0.5}}


def a_call(**params: Any) -> dict[str, Any]:
    return {"logging_obj": SimpleNamespace(model_call_details={}), "litellm_params": params}


@pytest.mark.parametrize(
    ("params", "price"),
    [
        (INFO, 0.5),
        ({"metadata": INFO}, 0.5),
        ({"litellm_metadata": INFO}, 0.5),
        ({"input_cost_per_query": "2e-2"}, 0.02),
        ({"model_info": {"input_cost_per_token": 1}}, 0),
        ({"model_info": None, "metadata": None}, 0),
        *(
            ({"model_info": {"input_cost_per_query": wrong}}, 0)
            for wrong in (-1, "free", float("nan"), float("inf"), [])
        ),
    ],
)
def test_the_price_is_read_where_litellm_has_it(params: dict[str, Any], price: float) -> None:
    assert request_price(params) == price


def test_one_request_is_charged_before_the_answer_and_all_behind_it() -> None:
    call = a_call(**INFO)
    charge = RequestCharge.of_call(call)
    details = call["logging_obj"].model_call_details
    assert charge is not None
    assert details == {COST: 0.5}, "a client may leave before the end"
    build_response([Text("Oi"), Finish("stop", Usage(3, 1, requests=3))], ResponseOptions("m", on_usage=charge))
    assert details == {COST: 1.5}
    builder = ChunkBuilder(ResponseOptions("m", on_usage=charge))
    builder.build([Text("Oi")])
    builder.build([Finish("stop", Usage(3, 1, requests=2))])
    assert details == {COST: 1.0}


def test_nothing_is_charged_without_a_price_or_without_litellms_logging() -> None:
    call = a_call()
    assert RequestCharge.of_call(call) is None
    assert call["logging_obj"].model_call_details == {}
    assert RequestCharge.of_call({"litellm_params": INFO}) is None


def test_the_charge_of_an_attempt_does_not_reach_its_fallback() -> None:
    call = a_call(**INFO)
    RequestCharge.of_call(call)
    forget_charge({"litellm_logging_obj": call["logging_obj"]})
    assert call["logging_obj"].model_call_details == {}
    forget_charge({})
