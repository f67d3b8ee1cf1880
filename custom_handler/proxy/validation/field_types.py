"""Validate the types of the body fields that LiteLLM reads before any provider does.

Without this, a wrong type is a 500, or a 400 with a traceback and no field name. The fields are the
same for all providers; `request/parameters.py` validates those of StackSpot models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy._types import ProxyException

from ..error_body import invalid_request

_Types = tuple[type, ...]
_NUMBER: _Types = (int, float)

_NAMES: Mapping[type, str] = {
    str: "a string",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}

_BODY: Mapping[str, _Types] = {
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
    "contents": (list, dict),  # Gemini's fields from here on
    "systemInstruction": (dict,),
    "system_instruction": (dict,),
    "generationConfig": (dict,),
    "toolConfig": (dict,),
    "tool_config": (dict,),
}
_ITEMS: Mapping[str, Mapping[str, _Types]] = {
    "messages": {"role": (str,), "content": (str, list), "tool_calls": (list,)},
    "input": {"role": (str,)},
    "tools": {"function": (dict,), "functionDeclarations": (list,)},
    "contents": {"role": (str,), "parts": (list, dict)},
}


def validate_field_types(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for the first field of a wrong type; null counts as absent."""
    _check_types(body, _BODY)
    if body.get("messages") == []:
        raise invalid_request("messages must be a list with at least one message.", "messages")
    for name, types in _ITEMS.items():
        for path, item in _objects(body, name):
            _check_types(item, types, f"{path}.")
            for inner in ("content", "tool_calls", "functionDeclarations"):
                _objects(item, inner, f"{path}.")
    _check_schemas(body)


def _check_schemas(body: Mapping[str, Any]) -> None:
    """Raise for parameters of a tool that are no schema; LiteLLM would use an empty one."""
    for path, tool in _objects(body, "tools"):
        function = tool.get("function")
        inner = function if isinstance(function, dict) else {}
        for name, value in (
            ("function.parameters", inner.get("parameters")),
            ("parameters", tool.get("parameters")),
            ("input_schema", tool.get("input_schema")),
        ):
            _check_schema(value, f"{path}.{name}")
        for function_path, function in _objects(tool, "functionDeclarations", f"{path}."):
            for name in ("parameters", "parametersJsonSchema", "parameters_json_schema"):
                _check_schema(function.get(name), f"{function_path}.{name}")


def _check_schema(value: Any, path: str) -> None:
    if value is not None and not isinstance(value, dict | bool):
        raise invalid_request(f"{path} must be a JSON Schema, which is an object.", path)


def _check_types(fields: Mapping[str, Any], types: Mapping[str, _Types], prefix: str = "") -> None:
    for name, allowed in types.items():
        if (value := fields.get(name)) is not None and not isinstance(value, allowed):
            raise _type_error(f"{prefix}{name}", (float,) if allowed is _NUMBER else allowed)


def _objects(fields: Mapping[str, Any], name: str, prefix: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Return the objects in a list, each with its path; raise for an item that is no object."""
    value = fields.get(name)
    found = [
        (f"{prefix}{name}[{number}]", item) for number, item in enumerate(value if isinstance(value, list) else ())
    ]
    for path, item in found:
        if not isinstance(item, dict):
            raise _type_error(path, (dict,))
    return found


def _type_error(path: str, allowed: _Types) -> ProxyException:
    return invalid_request(f"{path} must be {' or '.join(_NAMES[type_] for type_ in allowed)}.", path)
