"""The types in a request's body, for the fields at which the proxy stumbles before any provider sees them.

Without this a wrong one is a 500, or a 400 with a traceback and no field's name. These are the same for all providers; what only
ours knows is checked by `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy._types import ProxyException

_Kinds = tuple[type, ...]
_NUMBER: _Kinds = (int, float)

_NAMES: Mapping[type, str] = {
    str: "a string",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}

_BODY: Mapping[str, _Kinds] = {
    "messages": (list,),
    "input": (str, list),
    "system": (str, list),
    "instructions": (str,),
    "tools": (list,),
    "response_format": (dict,),
    "text": (dict,),
    "thinking": (dict,),
    "reasoning": (dict,),
    "reasoning_effort": (str, dict),
    "verbosity": (str,),
    "user": (str,),
    "max_completion_tokens": (int,),  # the proxy calls these two max_tokens
    "max_output_tokens": (int,),
    "stream": (bool,),
    "timeout": _NUMBER,
    "stream_timeout": _NUMBER,
    "max_retries": (int,),
    "tags": (list,),
    "litellm_trace_id": (str,),
    "tool_choice": (str, dict),
    "contents": (list, dict),  # from here on Gemini's
    "systemInstruction": (dict,),
    "system_instruction": (dict,),
    "generationConfig": (dict,),
    "toolConfig": (dict,),
    "tool_config": (dict,),
}
_ITEMS: Mapping[str, Mapping[str, _Kinds]] = {
    "messages": {"role": (str,), "content": (str, list), "tool_calls": (list,)},
    "input": {"role": (str,)},
    "tools": {"function": (dict,), "functionDeclarations": (list,)},
    "contents": {"role": (str,), "parts": (list, dict)},
}


def validate_field_types(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for the first field whose type is wrong; null is as good as left out."""
    _check(body, _BODY)
    if body.get("messages") == []:
        raise _refusal("messages must be a list with at least one message.", "messages")
    for name, fields in _ITEMS.items():
        for where, item in _objects(body, name):
            _check(item, fields, f"{where}.")
            for parts in ("content", "tool_calls", "functionDeclarations"):
                _objects(item, parts, f"{where}.")
    _check_schemas(body)


def _check_schemas(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error for a tool whose parameters are no schema; LiteLLM would put an empty one in their place."""
    for where, tool in _objects(body, "tools"):
        function = tool.get("function")
        inner = function if isinstance(function, dict) else {}
        for name, value in (
            ("function.parameters", inner.get("parameters")),
            ("parameters", tool.get("parameters")),
            ("input_schema", tool.get("input_schema")),
        ):
            _check_schema(value, f"{where}.{name}")
        for declared, function in _objects(tool, "functionDeclarations", f"{where}."):
            for name in ("parameters", "parametersJsonSchema", "parameters_json_schema"):
                _check_schema(function.get(name), f"{declared}.{name}")


def _check_schema(value: Any, where: str) -> None:
    if value is not None and not isinstance(value, dict | bool):
        raise _refusal(f"{where} must be a JSON Schema, which is an object.", where)


def _check(fields: Mapping[str, Any], kinds: Mapping[str, _Kinds], within: str = "") -> None:
    for name, allowed in kinds.items():
        if (value := fields.get(name)) is not None and not isinstance(value, allowed):
            raise _wrong(f"{within}{name}", (float,) if allowed is _NUMBER else allowed)


def _objects(fields: Mapping[str, Any], name: str, within: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Return what is in a list, each with its place; raises the proxy's error for what is no object."""
    value = fields.get(name)
    found = [
        (f"{within}{name}[{number}]", item) for number, item in enumerate(value if isinstance(value, list) else ())
    ]
    for where, item in found:
        if not isinstance(item, dict):
            raise _wrong(where, (dict,))
    return found


def _wrong(where: str, allowed: _Kinds) -> ProxyException:
    return _refusal(f"{where} must be {' or '.join(_NAMES[kind] for kind in allowed)}.", where)


def _refusal(message: str, param: str) -> ProxyException:
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)
