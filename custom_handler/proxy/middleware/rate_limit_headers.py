"""The response headers about what a caller may still send, in OpenAI's and Anthropic's form."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from starlette.datastructures import MutableHeaders

from ...provider import PROVIDER
from ...request.caller import Allowance
from ..deployments import response_provider

_ANTHROPIC = ("/v1/messages",)


def set_rate_limit_headers(headers: MutableHeaders, status: int, allowance: Allowance, path: str) -> None:
    """Set the headers, unless a fallback of another provider gave the answer.

    They replace LiteLLM's, which count the requests of one process to one deployment.
    """
    if status < 400 and response_provider(headers) not in {None, PROVIDER}:
        return
    for name, value in rate_limit_headers(allowance, path, datetime.now(timezone.utc)).items():
        headers[name] = value


def rate_limit_headers(allowance: Allowance, path: str, now: datetime) -> dict[str, str]:
    """Return the headers of an allowance; `/v1/messages` has Anthropic's too.

    >>> headers = rate_limit_headers(Allowance(90, 12, 360), "/chat", datetime.now(timezone.utc))
    >>> headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-reset-requests"]
    ('12', '6m0s')
    """
    limit, remaining, seconds = str(allowance.limit), str(allowance.remaining), math.ceil(allowance.reset)
    headers = {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": duration(seconds),
    }
    if path.endswith(_ANTHROPIC):
        reset = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        prefix = "anthropic-ratelimit-requests"
        headers |= {f"{prefix}-limit": limit, f"{prefix}-remaining": remaining, f"{prefix}-reset": reset}
    return headers


def duration(seconds: int) -> str:
    """Return a duration as OpenAI writes it.

    >>> duration(0), duration(59), duration(61), duration(7200)
    ('0s', '59s', '1m1s', '2h0m0s')
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
