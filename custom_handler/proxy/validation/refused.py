"""Report requests that authentication refuses without the fields of their body that LiteLLM trusts.

LiteLLM reports them to callbacks with the body as the client sent it, of which nothing is checked
yet. It takes a field `litellm_logging_obj` for its own object and `metadata` for an object, so that
any of these made the 401 of a wrong key a 500, and closed the client's connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy._types import ProxyErrorTypes, ProxyException

from .client_fields import CLIENT_FIELDS
from .shapes import BOOLEAN, OBJECT, STRING, Shape, check

# What callbacks may know of a refused request: no content, and no field that LiteLLM itself sets.
_REPORTED: Mapping[str, tuple[Shape, ...]] = {
    "model": (STRING,),
    "stream": (BOOLEAN,),
    "user": (STRING,),
    "metadata": (OBJECT, CLIENT_FIELDS["metadata"]),
    "litellm_metadata": (OBJECT, CLIENT_FIELDS["litellm_metadata"]),
}


def report_checked_fields(reporter: Any) -> None:
    """Have a ProxyLogging report refused requests with `reported_fields` only."""
    original = reporter.post_call_failure_hook

    async def report(request_data: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("error_type") == ProxyErrorTypes.auth_error:
            request_data = reported_fields(request_data)
        return await original(request_data, *args, **kwargs)

    reporter.post_call_failure_hook = report


def reported_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a refused body that are reported, without those of a wrong type.

    >>> reported_fields({"model": "m", "metadata": "x", "litellm_logging_obj": {}, "messages": []})
    {'model': 'm'}
    """
    return {name: body[name] for name, shapes in _REPORTED.items() if name in body and _fits(body[name], shapes)}


def _fits(value: Any, shapes: tuple[Shape, ...]) -> bool:
    try:
        for shape in shapes:
            check(value, shape)
    except ProxyException:
        return False
    return True
