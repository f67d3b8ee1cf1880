"""Reads calls that are JSON objects themselves: name and arguments, or lists of such objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..lenient_json import LenientJsonError
from .argument_schema import ARGUMENT_KEYS, NAME_KEYS
from .json_members import items, members
from .syntax import Call, DeclaredTools, strict_arguments

_NAME_KEYS = (*NAME_KEYS, "recipient_name", "action", "ferramenta")
_ARGUMENT_KEYS = (*ARGUMENT_KEYS, "action_input", "tool_input")
_CALL_KEYS = frozenset({*_NAME_KEYS, *_ARGUMENT_KEYS, "type", "id", "call_id", "tool_call_id", "index"})
_LIST_KEYS = frozenset({"tool_calls", "tool_uses", "function_calls", "calls", "tools", "actions"})
_LISTS_OF_CALLS = frozenset({"multi_tool_use.parallel", "multi_tool_use_parallel", "parallel"})


def calls_in(strict: str, tools: DeclaredTools, *, unknown: bool = True) -> list[Call]:
    """Return the calls in a compact strict JSON object or list; raises LenientJsonError.

    `unknown`: the name of a single call may be undeclared.
    """
    try:
        return list(_calls(strict, tools, unknown=unknown))
    except RecursionError as error:
        raise LenientJsonError("nested too deep for the name of a call") from error


def _calls(strict: str, tools: DeclaredTools, *, unknown: bool) -> Iterator[Call]:
    if strict.startswith("["):
        parts = items(strict)
        if not parts or not all(item.startswith("{") for item in parts):
            raise LenientJsonError("a list of something else than calls")
        for item in parts:
            yield from _calls(item, tools, unknown=unknown)
        return
    found = members(strict)
    keys = found.keys() & _LIST_KEYS
    if len(found) == 1 and keys and (raw := found[keys.pop()][1]).startswith("["):
        yield from _calls(raw, tools, unknown=unknown)
    elif found and all(name in tools and raw.startswith("{") for name, (_, raw) in found.items()):
        for name, (_, raw) in found.items():
            yield Call(name, strict_arguments(raw, tools.dropped_arguments(name)))
    else:
        yield _call(found, tools, unknown=unknown)


def _call(parts: dict[str, tuple[Any, str]], tools: DeclaredTools, *, unknown: bool) -> Call:
    function = parts.get("function")
    if function is not None and isinstance(function[0], dict):  # {"type": "function", "function": {"name": …, …}}
        parts = members(function[1])
    written = next((parts[key][0] for key in _NAME_KEYS if key in parts), None)
    value, raw = next((parts[key] for key in _ARGUMENT_KEYS if key in parts), (None, "{}"))
    if not isinstance(written, str):
        raise LenientJsonError("the object does not name a tool")
    if not (value is None or isinstance(value, str | dict) or value == []):
        raise LenientJsonError("the arguments are no object")
    if raw == "{}" and (flat := _flat(written, parts, tools)) is not None:
        return flat
    if raw == "{}" and not parts.keys() <= _CALL_KEYS:
        raise LenientJsonError("members that are neither of the call nor of its arguments")
    if (name := tools.resolve(written, unknown=unknown)) is None:
        raise LenientJsonError("the name is no tool's")
    properties = tools.parameters(name).get("properties")
    if raw == "{}" and isinstance(properties, Mapping) and properties.keys() & parts.keys() - {*_NAME_KEYS}:
        raise LenientJsonError("arguments beside the name, and not in an object of their own")
    arguments = value if isinstance(value, str) else raw if value else "{}"
    return Call(name, strict_arguments(arguments, tools.dropped_arguments(name)))


def _flat(written: str, parts: dict[str, tuple[Any, str]], tools: DeclaredTools) -> Call | None:
    """Return the call of a declared tool with all its arguments beside its name."""
    name = tools.resolve(written, unknown=False)
    schema = tools.parameters(name or "")
    properties, required = schema.get("properties"), schema.get("required")
    rest = {key: raw for key, (value, raw) in parts.items() if key not in _NAME_KEYS or value != written}
    if name is None or not rest or not isinstance(properties, Mapping) or len(rest) != len(parts) - 1:
        return None
    if not rest.keys() <= properties.keys() or not set(required or ()) <= rest.keys():
        return None
    members_text = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{raw}" for key, raw in rest.items())
    return Call(name, strict_arguments(f"{{{members_text}}}", tools.dropped_arguments(name)))


def take_apart(call: Call, tools: DeclaredTools) -> list[Call]:
    """Return the call, or those in `multi_tool_use.parallel`; raises LenientJsonError."""
    if call.name not in _LISTS_OF_CALLS or call.name in tools:
        return [call]
    return calls_in(call.arguments, tools, unknown=False)
