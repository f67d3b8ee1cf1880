"""Gemini's routes, which LiteLLM translates to chat completions; keeps what its translation would lose, or refuses it.

LiteLLM keeps only the first part of a system instruction, reads the fields of files and schemas in one of their two
spellings, and leaves out JSON without an object's schema and the names of the functions that are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.litellm_core_utils.json_validation_rule import normalize_json_schema_types
from litellm.types.utils import LlmProviders

from ..errors import RequestError
from ..provider.model_response import PROVIDER, litellm_error

_LOST = ("fileData", "file_data", "executableCode", "executable_code", "codeExecutionResult", "code_execution_result")
_ORDER = {"propertyOrdering", "property_ordering"}
_PARTS = {"text": str, "inline_data": Mapping, "functionCall": Mapping, "functionResponse": Mapping}
_SPELLINGS = {"inlineData": "inline_data", "function_call": "functionCall", "function_response": "functionResponse"}


def to_adapter(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Have LiteLLM's Gemini routes translate a call to a chat completion, which comes back to `from_adapter`.

    They do so for each provider that has no such API of its own, but fail for a provider that is not among LiteLLM's own.
    Raises the proxy's error (400) for parts and settings that a StackSpot agent cannot serve.
    """
    model = str(kwargs.get("model")).removeprefix(f"{PROVIDER}/")
    changed = {**kwargs, "model": f"{PROVIDER}/{model}", "custom_llm_provider": LlmProviders.CUSTOM.value}
    if isinstance(tools := kwargs.get("tools"), list):
        changed["tools"] = [_with_schemas(tool) for tool in tools]
    contents = kwargs.get("contents")
    listed = contents if isinstance(contents, list) else [contents]
    changed["contents"] = [_with_parts(content, f"contents[{number}]") for number, content in enumerate(listed)]
    for name in ("systemInstruction", "system_instruction"):
        if isinstance(instruction := kwargs.get(name), Mapping):
            changed[name] = {"parts": [{"text": _joined_text(instruction)}]}
    _refuse_impossible(_first(kwargs, "config", "generationConfig"))
    return changed


def from_adapter(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Give a chat completion that the Gemini routes made its provider back, and what the body asks that they leave out.

    Any other call is returned as it is.
    """
    made = kwargs.get("custom_llm_provider") == LlmProviders.CUSTOM.value
    if not made or not str(kwargs.get("model")).startswith(f"{PROVIDER}/"):
        return kwargs
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    asked = {
        "response_format": _response_format(_first(body, "generationConfig", "config")),
        "tool_choice": _allowed_functions(_first(body, "toolConfig", "tool_config")),
    }
    return {**kwargs, "custom_llm_provider": PROVIDER, **{name: value for name, value in asked.items() if value}}


def _first(fields: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the first object among the fields of these names."""
    return next((value for name in names if isinstance(value := fields.get(name), Mapping)), {})


def _with_schemas(tool: Any) -> Any:
    """Write a tool's schemas under the name that LiteLLM reads; Google's SDK uses the other spelling of the API."""
    declared = tool.get("functionDeclarations") if isinstance(tool, Mapping) else None
    if not isinstance(declared, list):
        return tool
    snake, camel = "parameters_json_schema", "parametersJsonSchema"
    named = [{camel: one[snake], **one} if isinstance(one, Mapping) and snake in one else one for one in declared]
    return {**tool, "functionDeclarations": named}


def _with_parts(content: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise _refusal(f"{place} must be an object.", place)
    role = "user" if (given := content.get("role")) in (None, "function", "tool") else given
    if role not in {"user", "model"}:
        raise _refusal(f'{place}.role must be "user" or "model".', f"{place}.role")
    parts = content.get("parts") or []
    listed = enumerate(parts if isinstance(parts, list) else [parts])
    return {**content, "role": role, "parts": [_part(part, f"{place}.parts[{number}]") for number, part in listed]}


def _part(part: Any, place: str) -> Any:
    """Return a part in the spelling that LiteLLM reads; raises the proxy's error for a kind that it would leave out."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise _refusal(f"{place} must be an object.", place)
    if kind := next((name for name in _LOST if name in part), None):
        raise _refusal(
            f"{place}.{kind} cannot be sent to a StackSpot agent: send text, or a file as inlineData.", place
        )
    spelled = {_SPELLINGS.get(name, name): value for name, value in part.items()}
    for name, type_ in _PARTS.items():
        if name in spelled and not isinstance(spelled[name], type_):
            raise _refusal(f"{place}.{name} must be {'a string' if type_ is str else 'an object'}.", place)
    if data := spelled.get("inline_data"):
        kind = data.get("mimeType") or data.get("mime_type") or "application/octet-stream"
        spelled["inline_data"] = {"mime_type": kind, "data": data.get("data")}
    return spelled


def _joined_text(instruction: Mapping[str, Any]) -> str:
    parts = instruction.get("parts")
    texts = (part.get("text") for part in (parts if isinstance(parts, list) else [parts]) if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _refuse_impossible(generation: Mapping[str, Any]) -> None:
    if generation.get("candidateCount", 1) not in (None, 1):
        raise _refusal("candidateCount must be 1: a StackSpot agent gives one answer to a question.", "candidateCount")
    if generation.get("responseLogprobs"):
        raise _refusal("responseLogprobs: a StackSpot agent returns no probabilities.", "responseLogprobs")


def _response_format(generation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return OpenAI's `response_format` for the JSON that a `generationConfig` asks for."""
    names = ("responseJsonSchema", "response_json_schema", "responseSchema", "response_schema")
    schema = normalize_json_schema_types(_standard(_first(generation, *names)))
    if schema:
        return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    kind = generation.get("responseMimeType") or generation.get("response_mime_type")
    return {"type": "json_object"} if kind == "application/json" else None


def _standard(schema: Any) -> Any:
    """Write a schema of Gemini's as JSON Schema, where null is a type and properties have no order."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    changed = {name: value for name, value in schema.items() if name not in _ORDER and name != "nullable"}
    for name, value in changed.items():
        named = name == "properties" and isinstance(value, Mapping)
        changed[name] = {key: _standard(item) for key, item in value.items()} if named else _standard(value)
    if schema.get("nullable") is True and isinstance(kind := changed.get("type"), str):
        changed["type"] = [kind.lower(), "null"]
        if isinstance(values := changed.get("enum"), list):
            changed["enum"] = [*values, None]
    return changed


def _allowed_functions(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return OpenAI's `tool_choice` for functions that must be called, where they are named."""
    calling = _first(config, "functionCallingConfig", "function_calling_config")
    names = calling.get("allowedFunctionNames") or calling.get("allowed_function_names")
    if calling.get("mode") != "ANY" or not isinstance(names, list):
        return None
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}


def _refusal(message: str, param: str) -> Exception:
    return litellm_error(RequestError(message, param=param), PROVIDER)
