"""The price of each request to an agent, in USD, as part of the cost that LiteLLM calculates.

LiteLLM has a field for it, `input_cost_per_query`, but ignores it for chat models. It adds
`additional_response_cost` of its logging object to the cost of a call on any protocol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..events import Usage

REQUEST_PRICE = "input_cost_per_query"

_ADDITIONAL_COST = "additional_response_cost"  # as of LiteLLM 1.108.7, litellm_logging.py


class RequestCharge:
    """Charges a call for the requests that its answer took, hidden ones included.

    One is charged from the beginning, so that a client that leaves a stream pays for it.
    """

    def __init__(self, details: dict[str, Any], price: float) -> None:
        self._details = details
        self._price = price
        details[_ADDITIONAL_COST] = price

    @classmethod
    def of_call(cls, call: Mapping[str, Any]) -> RequestCharge | None:
        """Return the charge of a call by LiteLLM, None where its model has no such price."""
        details = getattr(call.get("logging_obj"), "model_call_details", None)
        price = request_price(call.get("litellm_params") or {})
        return cls(details, price) if price and isinstance(details, dict) else None

    def __call__(self, usage: Usage) -> None:
        """Charge for the requests of an answer that is complete."""
        self._details[_ADDITIONAL_COST] = self._price * usage.requests


def request_price(params: Mapping[str, Any]) -> float:
    """Return the price of a request in USD, by the `litellm_params` of a call; 0 without one.

    >>> request_price({"model_info": {"input_cost_per_query": 0.02}})
    0.02
    """
    metadata = {**(params.get("metadata") or {}), **(params.get("litellm_metadata") or {})}
    for source in (params, params.get("model_info") or {}, metadata.get("model_info") or {}):
        try:
            price = float(source.get(REQUEST_PRICE) or 0)
        except (TypeError, ValueError):
            continue
        if price > 0 and math.isfinite(price):
            return price
    return 0.0


def forget_charge(call: Mapping[str, Any]) -> None:
    """Remove the charge of an earlier attempt, which another deployment may have failed."""
    details = getattr(call.get("litellm_logging_obj"), "model_call_details", None)
    if isinstance(details, dict):
        details.pop(_ADDITIONAL_COST, None)
