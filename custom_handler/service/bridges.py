"""What LiteLLM's bridges between the protocols would lose without a word, or refuse, before a call of ours reaches the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import RequestError
from ..replies import litellm_error


def with_choice(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Have `allowed_tools` pass LiteLLM, which refuses a `tool_choice` without a function; `request` reads it."""
    choice = kwargs.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return kwargs
    return {**kwargs, "tool_choice": {"function": {}, **choice}}


def require_history(kwargs: Mapping[str, Any]) -> None:
    """Refuse a call of /v1/responses that builds on an earlier one which the proxy cannot recall.

    Its bridge looks the earlier turns up in the database, and goes on without them where it has none.
    """
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    _refuse_lost_parts(body)
    if not body.get("previous_response_id"):
        return
    roles = [message.get("role") for message in kwargs.get("messages") or ()]
    if "assistant" not in roles[roles.index("user") if "user" in roles else len(roles) :]:
        error = RequestError(
            "previous_response_id: this proxy does not know that response, because it keeps none or has dropped it. "
            "Send the whole conversation in input.",
            param="previous_response_id",
        )
        raise litellm_error(error, str(kwargs.get("model")))


def _refuse_lost_parts(body: Mapping[str, Any]) -> None:
    """Refuse what a body of /v1/responses refers to and the proxy's bridge would leave out without a word."""
    items = body.get("input")
    referred = isinstance(items, list) and any(
        isinstance(item, Mapping) and item.get("type") == "item_reference" for item in items
    )
    name = "input" if referred else next((name for name in ("conversation", "prompt") if body.get(name)), "")
    if name and "input" in body:
        error = RequestError(
            f"{name}: this proxy keeps nothing to refer to. Send the whole conversation in input.", param=name
        )
        raise litellm_error(error, str(body.get("model")))
