"""Limit the fields, lists and numbers of a request before LiteLLM reads them.

LiteLLM translates messages and tools between protocols, copies all fields for its logs, and
searches errors for secrets. During that no other request is served: a `model` of 1 MB took it nine
seconds, 190,000 fields half a minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...request.chat_request import MAX_TOOLS, too_many_tools
from ..error_body import invalid_request

MAX_DEPTH = 100
MAX_MESSAGES = 10_000  # OpenAI's API takes 2,048
MAX_FIELDS = 500
MAX_FIELD_VALUES = 50_000  # in a field that is no content, such as metadata
MAX_MODEL_CHARACTERS = 1_000
MAX_DROPPED = 100  # for each of them, LiteLLM may copy all tools
_MESSAGES = ("messages", "input", "contents")
_TOOLS = ("tools", "functions")
_CONTENT = frozenset({*_MESSAGES, *_TOOLS, "documents", "prompt"})
_DROPPED = "additional_drop_params"
_SHOWN_NAME = 100
_DECLARATIONS = ("functionDeclarations", "function_declarations")


def limit_content(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for too much of anything, and for unserializable content.

    The latter is a body that is nested too deeply, or has a number that is not in JSON: LiteLLM
    reads NaN and Infinity, and numbers that are too large.
    """
    _limit_fields(body)
    for name in _MESSAGES:
        if (count := sum(isinstance(item, dict) for item in _list(body, name))) > MAX_MESSAGES:
            raise invalid_request(f"{name} has {count} messages, the limit is {MAX_MESSAGES}: send fewer.", name)
    for name in _TOOLS:
        if (count := sum(map(_tools_in, _list(body, name)))) > MAX_TOOLS:
            raise invalid_request(too_many_tools(name, count), name)
    level: list[Any] = [dict(body)]
    for _ in range(MAX_DEPTH + 1):
        level = [item for value in level for item in _children(value)]
        if not level:
            return
    raise invalid_request(f"The request is nested deeper than {MAX_DEPTH} levels: flatten it.")


def too_many_fields(count: int) -> str:
    """Return the error's text."""
    return f"The request has {count} fields, the limit is {MAX_FIELDS}: leave some out."


def _limit_fields(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error for too many fields, or too much in one that is no content."""
    if len(body) > MAX_FIELDS:
        raise invalid_request(too_many_fields(len(body)))
    model = body.get("model")
    if isinstance(model, str) and len(model) > MAX_MODEL_CHARACTERS:
        raise invalid_request(
            f"model has {len(model)} characters, the limit is {MAX_MODEL_CHARACTERS}: ask for one of GET /v1/models.",
            "model",
        )
    if (count := len(_list(body, _DROPPED))) > MAX_DROPPED:
        raise invalid_request(f"{_DROPPED} has {count} entries, the limit is {MAX_DROPPED}: send fewer.", _DROPPED)
    for name, value in body.items():
        if name not in _CONTENT and (count := _count_values(value)) > MAX_FIELD_VALUES:
            shown = name[:_SHOWN_NAME]
            raise invalid_request(f"{shown} has {count} values, the limit is {MAX_FIELD_VALUES}: send fewer.", shown)


def _count_values(value: Any) -> int:
    """Return how many values are in a list or an object, at any level up to MAX_DEPTH."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        count += sum(map(len, inner))
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
        if not level:
            break
    return count


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def _tools_in(tool: Any) -> int:
    """Return how many tools an item of `tools` declares; one of Gemini's declares several."""
    declared = sum(len(_list(tool, name)) for name in _DECLARATIONS) if isinstance(tool, dict) else 0
    return max(1, declared)


def _children(value: dict[str, Any] | list[Any]) -> list[Any]:
    children = []
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            children.append(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise invalid_request("The request has NaN, Infinity or a number that is too large: leave it out.")
    return children
