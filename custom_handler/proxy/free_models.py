"""Skip LiteLLM's calculation of costs for StackSpot models that have no price.

LiteLLM 1.108.7 looks for the prices of a model four times in each call, 5 % of the CPU of a
request, to see that there are none. Here the result is kept while the price list says the same.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import litellm
from litellm.cost_calculator import pricing_entry_for_cost_calc
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.types.utils import ModelResponse
from litellm.utils import get_base_model_from_metadata

from ..data_class import data_class
from ..provider import PROVIDER

MAX_MODELS = 1024
KEPT_SECONDS = 60.0
_CALL_TYPES = frozenset({"acompletion", "completion"})
# What a call may add to its price, in LiteLLM's words.
_OF_PRICE = ("service_tier", "data_residency", "vertex_location")

_FREE = "_stackspot_free_call"  # an attribute of the calls whose cost was not calculated

_Calculate: TypeAlias = Callable[..., float | None]
_Key: TypeAlias = tuple[str, str]


@data_class
class _Free:
    """A model without a price: what LiteLLM noted of a call, and the price list that it read."""

    breakdown: Mapping[str, Any]
    rates: Any
    price_list: Mapping[str, Any]
    name: str  # of the model's entry in the price list
    entry: Mapping[str, Any]
    until: float

    def lasts(self) -> bool:
        return (
            time.monotonic() < self.until
            and litellm.model_cost is self.price_list
            and litellm.model_cost.get(self.name) == self.entry
        )


def without_cost(original: _Calculate) -> _Calculate:
    """Return a `Logging.response_cost_calculator` that keeps that a model costs nothing."""
    models: dict[_Key, _Free] = {}

    @functools.wraps(original)
    def response_cost_calculator(
        self: Logging,
        result: object,
        cache_hit: bool | None = None,
        litellm_model_name: str | None = None,
        router_model_id: str | None = None,
    ) -> float | None:
        key = _key(self, result, cache_hit, litellm_model_name, router_model_id)
        free = None if key is None else models.get(key)
        if free is not None and free.lasts():
            self.cost_breakdown = {name: copy.copy(value) for name, value in free.breakdown.items()}
            self.billed_token_rates = free.rates if isinstance(result, ModelResponse) else None
            self.model_call_details["zero_cost_diagnostic"] = None
            setattr(self, _FREE, True)
            return 0.0
        cost = original(self, result, cache_hit, litellm_model_name, router_model_id)
        if key is not None and (found := _free(self, result, cost)) is not None:
            if len(models) >= MAX_MODELS:
                models.clear()
            models[key] = found
        return cost

    return response_cost_calculator


def without_diagnosis(original: Callable[..., None]) -> Callable[..., None]:
    """Return a `_record_zero_cost_diagnostic` that asks no more why such a call cost nothing."""

    @functools.wraps(original)
    def _record_zero_cost_diagnostic(
        self: Logging, result: object, response_cost: float | None, **details: Any
    ) -> None:
        if response_cost == 0 and not details and getattr(self, _FREE, False):
            return
        original(self, result, response_cost, **details)

    return _record_zero_cost_diagnostic


def _key(
    call: Logging, result: object, cache_hit: bool | None, name: str | None, router_model_id: str | None
) -> _Key | None:
    """Return what names the model of a plain call, None where more than its price may count.

    LiteLLM asks for the cost of a stream before it begins, too.
    """
    if not isinstance(result, ModelResponse | CustomStreamWrapper) or result.model != call.model:
        return None
    details, params = call.model_call_details, call.litellm_params
    if (
        details.get("custom_llm_provider") != PROVIDER
        or call.call_type not in _CALL_TYPES
        or litellm.cost_margin_config
        or litellm.cost_discount_config
        or cache_hit
        or details.get("cache_hit")
        or details.get("additional_response_cost")
        or call._provider_reported_cost is not None
        or any(call.standard_built_in_tools_params.values())
        or any(source.get(part) for source in (details, params, call.optional_params or {}) for part in _OF_PRICE)
    ):
        return None
    hidden = result._hidden_params
    if hidden.get("response_cost") is not None or hidden.get("additional_headers"):
        return None
    if isinstance(result, ModelResponse) and any(_annotations(choice) for choice in result.choices):
        return None  # it may be priced as a search
    if call.custom_pricing_for(result) or get_base_model_from_metadata(model_call_details=details):
        return None
    model = router_model_id or hidden.get("model_id") or call.get_router_model_id()
    known = model is not None and name in {None, call.model, f"{PROVIDER}/{call.model}"}
    return (model, call.model) if known else None


def _annotations(choice: Any) -> object:
    return getattr(choice.message, "annotations", None)


def _free(call: Logging, result: object, cost: float | None) -> _Free | None:
    """Return what a call shows of its model; None where it has, or may have, a price."""
    usage, details = getattr(result, "usage", None), call.model_call_details
    if (
        cost != 0
        or call.cost_breakdown is None
        or details.get("zero_cost_diagnostic") is not None
        or not (usage and usage.prompt_tokens and usage.completion_tokens)
    ):
        return None
    found = pricing_entry_for_cost_calc(
        model=call.model,
        completion_response=result,
        custom_llm_provider=PROVIDER,
        custom_pricing=False,
        base_model=None,
        router_model_id=call.get_router_model_id(),
        region_name=None,
        litellm_logging_obj=call,
    )
    if found is None or found[0] not in litellm.model_cost or _has_rate(found[1]):
        return None
    name, entry = found
    until = time.monotonic() + KEPT_SECONDS
    return _Free(
        copy.deepcopy(call.cost_breakdown),
        call.billed_token_rates,
        litellm.model_cost,
        name,
        copy.deepcopy(entry),
        until,
    )


def _has_rate(value: object, of_price: bool = False) -> bool:
    """Return whether a number that belongs to a price is not 0.

    LiteLLM's own `_declares_a_rate` passes over `search_context_cost_per_query`.

    >>> _has_rate({"max_tokens": 1000, "input_cost_per_token": 0, "tiered_pricing": [{"x": 0.1}]})
    True
    """
    if isinstance(value, Mapping):
        return any(_has_rate(part, of_price or "cost" in name or "pric" in name) for name, part in value.items())
    if isinstance(value, list | tuple):
        return any(_has_rate(part, of_price) for part in value)
    return of_price and bool(value)
