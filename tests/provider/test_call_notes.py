"""What a call notes on LiteLLM's logging object, and that another attempt starts without it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from custom_handler.events import Usage
from custom_handler.instrumentation import CacheLookup, KnowledgeSearched, Measurement, Repaired, Retried
from custom_handler.provider.call_log import (
    CACHE_IN_LOG,
    REPAIRS_IN_LOG,
    RETRIES_IN_LOG,
    SOURCES_IN_LOG,
    forget_attempt,
    noting_hook,
)
from custom_handler.provider.request_price import RequestCharge
from custom_handler.request.context import RequestContext

COST = "additional_response_cost"


class Logging:
    """The parts of LiteLLM's logging object that are used."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}

    def _prepare_success_logging(self, **call: Any) -> dict[str, Any]:
        return call


@pytest.mark.parametrize(("outcome", "cached"), [("hit", True), ("shared", True), ("miss", False), ("bypass", False)])
def test_a_cached_answer_is_logged_as_a_hit_without_cost(outcome: str, cached: bool) -> None:
    log, received = Logging(), list[Measurement]()
    charge = RequestCharge(log.model_call_details, 0.5)
    noting_hook(received.append, log, charge)(CacheLookup(outcome))
    assert received == [CacheLookup(outcome)]
    assert log.model_call_details[CACHE_IN_LOG] == outcome
    assert log.model_call_details[COST] == (0 if cached else 0.5)
    # LiteLLM passes False for a stream, None for a whole answer
    assert log._prepare_success_logging(cache_hit=False, result=1) == {"cache_hit": cached, "result": 1}


def test_who_has_to_ask_after_all_pays_for_it() -> None:
    log = Logging()
    charge = RequestCharge(log.model_call_details, 0.5)
    hook = noting_hook(lambda _: None, log, charge)
    hook(CacheLookup("shared"))
    hook(CacheLookup("miss"))
    charge(Usage(3, 1))
    assert log.model_call_details == {CACHE_IN_LOG: "miss", COST: 0.5}
    assert log._prepare_success_logging(cache_hit=None) == {"cache_hit": None}


def test_another_attempt_starts_without_the_notes() -> None:
    log = Logging()
    hook = noting_hook(lambda _: None, log, RequestCharge(log.model_call_details, 0.5))
    hook(CacheLookup("shared"))
    hook(KnowledgeSearched(("01KA",)))
    for measurement in (Retried("RateLimited"), Retried("RateLimited"), Repaired("json", succeeded=True)):
        hook(measurement)
    noted = {name: log.model_call_details[name] for name in (SOURCES_IN_LOG, RETRIES_IN_LOG, REPAIRS_IN_LOG)}
    assert noted == {SOURCES_IN_LOG: ("01KA",), RETRIES_IN_LOG: 2, REPAIRS_IN_LOG: 1}
    with RequestContext({}).served() as request:
        request.response_headers |= {"x-stackspot-cache": "shared", "x-other": "1"}
        forget_attempt({"litellm_logging_obj": log})
    assert request.response_headers == {"x-other": "1"}
    assert log.model_call_details == {}
    assert log._prepare_success_logging(cache_hit=False) == {"cache_hit": False}


@pytest.mark.parametrize("log", [None, SimpleNamespace(), SimpleNamespace(model_call_details={})])
def test_a_call_without_litellms_log_is_served_too(log: Any) -> None:
    noting_hook(lambda _: None, log, None)(CacheLookup("hit"))
    forget_attempt({"litellm_logging_obj": log})
