"""Limit the lists and numbers of a request before LiteLLM translates it between protocols.

That takes LiteLLM up to a tenth of a millisecond for each message or tool, during which no other
request is served.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...request.chat_request import MAX_TOOLS, too_many_tools
from ..error_body import invalid_request

MAX_DEPTH = 100
MAX_MESSAGES = 10_000  # OpenAI's API takes 2,048
_MESSAGES = ("messages", "input", "contents")
_TOOLS = ("tools", "functions")
_DECLARATIONS = ("functionDeclarations", "function_declarations")


def limit_content(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for too many messages or tools, and for unserializable content.

    That is a body that is nested too deeply, or has a number that is not in JSON: LiteLLM reads NaN
    and Infinity, and numbers that are too large.
    """
    for name in _MESSAGES:
        if (count := sum(isinstance(item, dict) for item in _list(body, name))) > MAX_MESSAGES:
            raise invalid_request(f"{name} has {count} messages, the limit is {MAX_MESSAGES}: send fewer.", name)
    for name in _TOOLS:
        if (count := sum(map(_tools_in, _list(body, name)))) > MAX_TOOLS:
            raise invalid_request(too_many_tools(name, count), name)
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH + 1):
        level = [item for value in level for item in _children(value)]
        if not level:
            return
    raise invalid_request(f"The request is nested deeper than {MAX_DEPTH} levels: flatten it.")


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def _tools_in(tool: Any) -> int:
    """Return how many tools an item of `tools` declares; one of Gemini's declares several."""
    declared = sum(len(_list(tool, name)) for name in _DECLARATIONS) if isinstance(tool, dict) else 0
    return max(1, declared)


def _children(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise invalid_request("The request has NaN, Infinity or a number that is too large: leave it out.")
    return [item for item in items if isinstance(item, dict | list)]
