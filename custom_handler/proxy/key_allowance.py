"""What LiteLLM's own limits, such as `requests_per_minute` of KEYS_FILE, leave to an API key.

LiteLLM tells it in `x-ratelimit-api_key-…` headers, and on whole answers only.
"""

from __future__ import annotations

from typing import Any

from litellm.proxy.hooks.parallel_request_limiter_v3 import get_request_stash

from ..request.caller import Allowance

WINDOW = 60.0  # LiteLLM counts in fixed windows, whose end it does not tell


def key_allowance() -> Allowance | None:
    """Return the allowance of the current request's key; None without limits of requests."""
    response = getattr(get_request_stash(), "rate_limit_response", None) or {}
    statuses = [status for status in response.get("statuses", ()) if status["rate_limit_type"] == "requests"]
    if not statuses:
        return None
    least = min(statuses, key=lambda status: status["limit_remaining"])
    return Allowance(least["current_limit"], max(0, least["limit_remaining"]), WINDOW)


def exhausted_allowance(error: Exception, key: Any) -> Allowance | None:
    """Return the allowance after LiteLLM's 429 for the requests of a key; None for other errors."""
    headers = getattr(error, "headers", None) or {}
    limit = getattr(key, "rpm_limit", None)
    if headers.get("rate_limit_type") != "requests" or not limit:
        return None
    return Allowance(limit, 0, float(headers.get("retry-after") or WINDOW))
