"""Prepare calls of Gemini's routes for LiteLLM's translation to chat completions.

The translation keeps only the first part of a system instruction, reads one of the two spellings of
fields, and drops the timeout, JSON mode without an object schema and the names of allowed
functions. This module preserves them, or rejects the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.google_genai.adapters.transformation import GoogleGenAIAdapter
from litellm.litellm_core_utils.json_validation_rule import normalize_json_schema_types
from litellm.types.utils import LlmProviders

from ..errors import RequestError
from ..provider import PROVIDER
from ..provider.litellm_errors import litellm_error

_DROPPED_PARTS = (
    "fileData",
    "file_data",
    "executableCode",
    "executable_code",
    "codeExecutionResult",
    "code_execution_result",
)
_TIMEOUT = "stream_timeout"  # a field that the translation keeps, and that a call of its own does not read
_ORDER = {"propertyOrdering", "property_ordering"}
_PART_TYPES = {"text": str, "inline_data": Mapping, "functionCall": Mapping, "functionResponse": Mapping}
_SPELLINGS = {"inlineData": "inline_data", "function_call": "functionCall", "function_response": "functionResponse"}


def to_adapter(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a Gemini call so changed that LiteLLM translates it to a chat completion.

    LiteLLM does this for its own providers without a Gemini API, and fails for custom ones; so the
    call names one of its own, and `from_adapter` names ours again. Raises the proxy's error (400)
    for parts and settings that a StackSpot agent does not support.
    """
    model = str(kwargs.get("model")).removeprefix(f"{PROVIDER}/")
    changed = {**kwargs, "model": f"{PROVIDER}/{model}", "custom_llm_provider": LlmProviders.CUSTOM.value}
    if isinstance(timeout := kwargs.get("timeout"), int | float):
        changed[_TIMEOUT] = timeout
    if isinstance(tools := kwargs.get("tools"), list):
        changed["tools"] = [_with_schemas(tool) for tool in tools]
    contents = kwargs.get("contents")
    numbered = enumerate(contents if isinstance(contents, list) else [contents])
    changed["contents"] = [_with_parts(content, f"contents[{number}]") for number, content in numbered]
    for name in ("systemInstruction", "system_instruction"):
        if isinstance(instruction := kwargs.get(name), Mapping):
            changed[name] = {"parts": [{"text": _joined_text(instruction)}]}
    _reject_unsupported(_first_object(kwargs, "config", "generationConfig"))
    return changed


def as_completion(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages and parameters of the chat completion that a Gemini body becomes.

    Raises what `to_adapter` does.
    """
    changed = to_adapter({**fields, "model": ""})
    config = _first_object(fields, "generationConfig", "config")
    rest = {
        name: value
        for name, value in changed.items()
        if name not in {"model", "contents", "generationConfig", "config"}
    }
    translated = GoogleGenAIAdapter().translate_generate_content_to_completion(
        changed["model"], changed["contents"], dict(config), **rest
    )
    call = {
        **translated,
        "custom_llm_provider": changed["custom_llm_provider"],
        "proxy_server_request": {"body": fields},
    }
    own = {"model", "custom_llm_provider", "proxy_server_request"}
    return {name: value for name, value in from_adapter(call).items() if name not in own}


def from_adapter(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Restore the provider of a translated Gemini call, and the fields that were lost.

    Any other call is returned unchanged.
    """
    translated = kwargs.get("custom_llm_provider") == LlmProviders.CUSTOM.value
    if not translated or not str(kwargs.get("model")).startswith(f"{PROVIDER}/"):
        return kwargs
    kept = {name: value for name, value in kwargs.items() if name != _TIMEOUT}
    body = (kwargs.get("proxy_server_request") or {}).get("body") or {}
    restored = {
        "timeout": kwargs.get(_TIMEOUT),
        "response_format": _response_format(_first_object(body, "generationConfig", "config")),
        "tool_choice": _tool_choice(_first_object(body, "toolConfig", "tool_config")),
    }
    return {**kept, "custom_llm_provider": PROVIDER, **{name: value for name, value in restored.items() if value}}


def _first_object(fields: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the first of the named fields that is an object, else an empty one."""
    return next((value for name in names if isinstance(value := fields.get(name), Mapping)), {})


def _with_schemas(tool: Any) -> Any:
    """Rename a tool's schemas to camel case, which LiteLLM reads; Google's SDK sends snake case.

    LiteLLM fails for declarations that are null.
    """
    if not isinstance(tool, Mapping):
        return tool
    if not isinstance(declarations := tool.get("functionDeclarations"), list):
        return {name: value for name, value in tool.items() if name != "functionDeclarations"}
    snake, camel = "parameters_json_schema", "parametersJsonSchema"
    renamed = [{camel: one[snake], **one} if isinstance(one, Mapping) and snake in one else one for one in declarations]
    return {**tool, "functionDeclarations": renamed}


def _with_parts(content: Any, path: str) -> dict[str, Any]:
    """Return one of `contents` with a role and parts that LiteLLM supports."""
    if not isinstance(content, Mapping):
        raise _error(f"{path} must be an object.", path)
    role = "user" if (sent := content.get("role")) in (None, "function", "tool") else sent
    if role not in {"user", "model"}:
        raise _error(f'{path}.role must be "user" or "model".', f"{path}.role")
    parts = content.get("parts") or []
    numbered = enumerate(parts if isinstance(parts, list) else [parts])
    return {**content, "role": role, "parts": [_part(part, f"{path}.parts[{number}]") for number, part in numbered]}


def _part(part: Any, path: str) -> Any:
    """Return a part in the spelling that LiteLLM reads; raise for a kind that it would drop."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise _error(f"{path} must be an object.", path)
    if kind := next((name for name in _DROPPED_PARTS if name in part), None):
        raise _error(f"{path}.{kind} cannot be sent to a StackSpot agent: send text, or a file as inlineData.", path)
    renamed = {_SPELLINGS.get(name, name): value for name, value in part.items()}
    for name, type_ in _PART_TYPES.items():
        if name in renamed and not isinstance(renamed[name], type_):
            raise _error(f"{path}.{name} must be {'a string' if type_ is str else 'an object'}.", path)
    if data := renamed.get("inline_data"):
        mime_type = data.get("mimeType") or data.get("mime_type") or "application/octet-stream"
        renamed["inline_data"] = {"mime_type": mime_type, "data": data.get("data")}
    return renamed


def _joined_text(instruction: Mapping[str, Any]) -> str:
    parts = instruction.get("parts")
    texts = (part.get("text") for part in (parts if isinstance(parts, list) else [parts]) if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _reject_unsupported(generation: Mapping[str, Any]) -> None:
    if generation.get("candidateCount", 1) not in (None, 1):
        raise _error("candidateCount must be 1: a StackSpot agent gives one answer to a question.", "candidateCount")
    if generation.get("responseLogprobs"):
        raise _error("responseLogprobs: a StackSpot agent returns no probabilities.", "responseLogprobs")


def _response_format(generation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return OpenAI's `response_format` for a `generationConfig`, None for plain text."""
    names = ("responseJsonSchema", "response_json_schema", "responseSchema", "response_schema")
    schema = normalize_json_schema_types(_json_schema(_first_object(generation, *names)))
    if schema:
        return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    mime_type = generation.get("responseMimeType") or generation.get("response_mime_type")
    return {"type": "json_object"} if mime_type == "application/json" else None


def _json_schema(schema: Any) -> Any:
    """Convert a Gemini schema to JSON Schema, where null is a type and properties have no order."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    changed = {name: value for name, value in schema.items() if name not in _ORDER and name != "nullable"}
    for name, value in changed.items():
        is_mapping = name == "properties" and isinstance(value, Mapping)
        changed[name] = {key: _json_schema(item) for key, item in value.items()} if is_mapping else _json_schema(value)
    if schema.get("nullable") is True and isinstance(type_ := changed.get("type"), str):
        changed["type"] = [type_.lower(), "null"]
        if isinstance(values := changed.get("enum"), list):
            changed["enum"] = [*values, None]
    return changed


def _tool_choice(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return OpenAI's `tool_choice` for `allowedFunctionNames` in the mode ANY, else None."""
    calling = _first_object(config, "functionCallingConfig", "function_calling_config")
    names = calling.get("allowedFunctionNames") or calling.get("allowed_function_names")
    if calling.get("mode") != "ANY" or not isinstance(names, list):
        return None
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}


def _error(message: str, param: str) -> Exception:
    return litellm_error(RequestError(message, param=param), PROVIDER)
