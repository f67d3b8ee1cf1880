"""Validate the types of the body fields that LiteLLM reads before any provider does.

Without this, a wrong type is a 500, or a 400 with a traceback and no field name. The fields are the
same for all providers; `request/parameters.py` validates those of StackSpot models.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from litellm.types.llms.openai import ValidUserMessageContentTypes

from ..error_body import invalid_request
from .client_fields import CLIENT_FIELDS, METADATA
from .shapes import ANY, BOOLEAN, INTEGER, OBJECT, OBJECTS, STRING, Shape, check

_OBJECT_OR_STRING = Shape((str, dict))

# Fields that several protocols have, with the same types in all of them.
_COMMON: Mapping[str, Shape] = {
    **CLIENT_FIELDS,
    "instructions": STRING,
    "max_completion_tokens": INTEGER,  # the proxy calls these two max_tokens
    "max_output_tokens": INTEGER,
    "reasoning": OBJECT,
    "reasoning_effort": _OBJECT_OR_STRING,
    "response_format": OBJECT,
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "text": OBJECT,
    "thinking": Shape((dict,), fields={"budget_tokens": INTEGER}),
    "tool_choice": _OBJECT_OR_STRING,
    "tools": Shape(
        (list,),
        items=Shape(
            (dict,), fields={"type": STRING, "function": OBJECT, "functionDeclarations": OBJECTS, "name": STRING}
        ),
    ),
    "user": STRING,
    "verbosity": STRING,
}

# LiteLLM rejects other parts of a user's message with a 500.
_USER_PARTS = Shape((dict,), kinds=dict.fromkeys(ValidUserMessageContentTypes, ANY), only=True)
_PART = Shape((dict,), fields={"type": STRING})
_MESSAGE = Shape(
    (dict,),
    fields={"role": STRING, "content": Shape((str, list), items=_PART), "tool_calls": OBJECTS},
)
_USER_MESSAGE = Shape((dict,), fields={"content": Shape((str, list), items=_USER_PARTS)})
_CHAT = Shape((dict,), fields={**_COMMON, "messages": Shape((list,), items=_MESSAGE, filled=True)})

_SOURCE = Shape((dict,), fields={"type": STRING}, required=("type",))
_WITH_SOURCE = Shape((dict,), fields={"source": _SOURCE}, required=("source",))
_INNER_BLOCKS = Shape((str, list), items=Shape((dict,), fields={"type": STRING, "text": STRING}, required=("type",)))
_BLOCK = Shape(
    (dict,),
    kinds={  # only what LiteLLM fails without; blocks of other types pass
        "text": Shape(fields={"text": STRING}, required=("text",)),
        "image": _WITH_SOURCE,
        "document": _WITH_SOURCE,
        "image_url": Shape(fields={"image_url": _OBJECT_OR_STRING}, required=("image_url",)),
        "thinking": Shape(fields={"thinking": STRING}, required=("thinking",)),
        "tool_result": Shape(fields={"tool_use_id": STRING, "content": _INNER_BLOCKS}, required=("tool_use_id",)),
        "tool_use": Shape(fields={"id": STRING, "name": STRING, "input": OBJECT}, required=("id", "name")),
    },
)
_ANTHROPIC_MESSAGE = Shape(
    (dict,), fields={"role": STRING, "content": Shape((str, list), items=_BLOCK)}, required=("role", "content")
)
_ANTHROPIC_CHOICE = Shape(
    (dict,),
    fields={"type": Shape((str,), among=frozenset({"auto", "any", "tool", "none"})), "name": STRING},
    required=("type",),
    kinds={"tool": Shape(fields={"name": STRING}, required=("name",))},
)
_MESSAGES = Shape(
    (dict,),
    fields={
        **_COMMON,
        "metadata": Shape((dict, str), fields={**METADATA, "user_id": STRING}),
        "system": Shape((str, list), items=_BLOCK),
        "tool_choice": _ANTHROPIC_CHOICE,
        "messages": Shape((list,), items=_ANTHROPIC_MESSAGE, filled=True),
    },
    required=("messages",),
)

_ITEM = Shape(
    (dict,),
    fields={"role": STRING, "type": STRING, "content": Shape((str, list)), "id": STRING, "call_id": STRING},
)
_APPROVAL = Shape(
    (dict,),
    fields={"approval_request_id": STRING, "approve": BOOLEAN, "reason": STRING},
    required=("approval_request_id", "approve"),
)
_RESPONSES = Shape((dict,), fields={**_COMMON, "input": Shape((str, list), items=_ITEM)})

_TEXT = Shape((dict,), fields={**_COMMON, "prompt": Shape((str, list), items=Shape((str, int, list)), filled=True)})
_TOKENS_END = 100_256  # of cl100k_base, with which LiteLLM decodes the tokens of embeddings
_EMBEDDINGS = Shape(
    (dict,),
    fields={**_COMMON, "input": Shape((str, list), items=Shape((str, int, list, dict), items=INTEGER, filled=True))},
)

_CONTENT = Shape((dict,), fields={"role": STRING, "parts": Shape((list, dict))})
_COUNTED = Shape((dict,), fields={**_CONTENT.fields, "parts": Shape((list, dict), items=OBJECT)}, required=("parts",))
_INSTRUCTION = {"systemInstruction": OBJECT, "system_instruction": OBJECT}
_CONFIG = {"generationConfig": OBJECT, "toolConfig": OBJECT, "tool_config": OBJECT, "config": OBJECT}


def _gemini(content: Shape) -> Shape:
    contents = {"contents": Shape((list, dict), items=content)}
    return Shape((dict,), fields={**_COMMON, **_INSTRUCTION, **_CONFIG, **contents})


_BODIES: Mapping[str, Shape] = {
    "/chat/completions": _CHAT,
    "/completions": _TEXT,
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": _MESSAGES,
    "/responses": _RESPONSES,
    "/responses/input_tokens": _RESPONSES,
    "/embeddings": _EMBEDDINGS,
    ":generateContent": _gemini(_CONTENT),
    ":streamGenerateContent": _gemini(_CONTENT),
    ":countTokens": _gemini(_COUNTED),
}
"""The shapes of bodies by the end of the route's path; of two ends that match, the first counts."""

_CALL_ENDS: Mapping[str, str] = {
    "acompletion": "/chat/completions",
    "atext_completion": "/completions",
    "anthropic_messages": "/v1/messages",
    "aresponses": "/responses",
    "aembedding": "/embeddings",
    "agenerate_content": ":generateContent",
    "agenerate_content_stream": ":generateContent",
}


def body_of_route(path: str) -> Shape | None:
    """Return the shape of a route's body, None for a route that is of no protocol."""
    return next((shape for end, shape in _BODIES.items() if path.endswith(end)), None)


def body_of_call(call_type: str) -> Shape | None:
    """Return the shape of the body of one of LiteLLM's calls, None for any other call."""
    return _BODIES.get(_CALL_ENDS.get(call_type, ""))


def validate_field_types(body: Mapping[str, Any], shape: Shape) -> None:
    """Raise the proxy's error (400) for the first field of a wrong type; null counts as absent."""
    check(dict(body), shape)
    if shape is _CHAT:
        for path, message in _objects(body, "messages"):
            if message.get("role") == "user":
                check(message, _USER_MESSAGE, path)
    if shape is _RESPONSES:
        for path, item in _objects(body, "input"):
            if item.get("type") == "mcp_approval_response":
                check(item, _APPROVAL, path)
    if shape is _EMBEDDINGS:
        _check_texts(body.get("input"))
    _check_schemas(body)
    _check_nested_metadata(body)


def _check_nested_metadata(body: Mapping[str, Any]) -> None:
    """Raise for null in metadata of metadata, in which LiteLLM looks for a name."""
    for name, inner in itertools.product(("metadata", "litellm_metadata"), repeat=2):
        fields = body.get(name)
        if isinstance(fields, dict) and inner in fields and fields[inner] is None:
            raise invalid_request(f"{name}.{inner} must not be null: leave it out.", f"{name}.{inner}")


def _check_texts(texts: Any) -> None:
    """Raise for a list of texts and tokens, which LiteLLM would decode as if all were tokens.

    A token that its tokenizer does not have is a 500.
    """
    if not isinstance(texts, list):
        return
    if len({type(text) for text in texts}) > 1:
        raise invalid_request("input must be a list of items of one type.", "input")
    for number, text in enumerate(texts):
        tokens = text if isinstance(text, list) else [text]
        if not all(0 <= token < _TOKENS_END for token in tokens if isinstance(token, int)):
            path = f"input[{number}]"
            raise invalid_request(f"{path} must be a token from 0 to {_TOKENS_END - 1}, or a list of them.", path)


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


def _objects(fields: Mapping[str, Any], name: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects in a list, each with its path."""
    value = fields.get(name)
    for number, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield f"{prefix}{name}[{number}]", item
