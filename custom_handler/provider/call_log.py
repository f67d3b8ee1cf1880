"""Notes on LiteLLM's logging object of a call: sources, cache, retries, repairs, and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..chat.answer_cache import HEADER, HIT, SHARED
from ..events import Usage
from ..instrumentation import CacheLookup, Hook, KnowledgeSearched, Measurement, Repaired, Retried
from ..request.context import current_request
from .request_price import RequestCharge, forget_charge

SOURCES_IN_LOG = "stackspot_sources"
CACHE_IN_LOG = "stackspot_cache"
RETRIES_IN_LOG = "stackspot_retries"
REPAIRS_IN_LOG = "stackspot_repairs"

_PREPARE = "_prepare_success_logging"  # as of LiteLLM 1.108.7, litellm_logging.py


def noting_hook(hook: Hook, logging_obj: Any, charge: RequestCharge | None) -> Hook:
    """Return a hook that also adds what it receives about a call to LiteLLM's log of it."""
    details = getattr(logging_obj, "model_call_details", None)
    if not isinstance(details, dict):
        return hook

    def note(measurement: Measurement) -> None:
        match measurement:
            case KnowledgeSearched(sources) if sources:
                details[SOURCES_IN_LOG] = sources
            case Retried():
                details[RETRIES_IN_LOG] = details.get(RETRIES_IN_LOG, 0) + 1
            case Repaired():
                details[REPAIRS_IN_LOG] = details.get(REPAIRS_IN_LOG, 0) + 1
            case CacheLookup(outcome):
                details[CACHE_IN_LOG] = outcome
                cached = outcome in {HIT, SHARED}
                _set_cached(logging_obj, details, cached=cached)
                if charge is not None:
                    charge(Usage(0, 0, requests=0 if cached else 1))
        hook(measurement)

    return note


def forget_attempt(call: Mapping[str, Any]) -> None:
    """Remove what an earlier attempt noted on a call, which another deployment may answer now."""
    forget_charge(call)
    logging_obj = call.get("litellm_logging_obj")
    details = getattr(logging_obj, "model_call_details", None)
    if isinstance(details, dict):
        cached = details.pop(CACHE_IN_LOG, None)
        for name in (SOURCES_IN_LOG, RETRIES_IN_LOG, REPAIRS_IN_LOG):
            details.pop(name, None)
        if cached:
            _set_cached(logging_obj, details, cached=False)
    if (request := current_request()) is not None:
        request.response_headers.pop(HEADER, None)


def _set_cached(logging_obj: Any, details: dict[str, Any], *, cached: bool) -> None:
    """Make LiteLLM log the call as one that its own cache has answered: it costs nothing.

    LiteLLM overwrites `cache_hit` at the end of the call by what its own cache did.
    """
    vars(logging_obj).pop(_PREPARE, None)
    if not cached:
        details.pop("cache_hit", None)
        return
    details["cache_hit"] = True
    if (prepare := getattr(logging_obj, _PREPARE, None)) is not None:
        setattr(logging_obj, _PREPARE, lambda **call: prepare(**{**call, "cache_hit": True}))
