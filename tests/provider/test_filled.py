"""Filled copies of LiteLLM's objects, beside new ones: nothing differs, and nothing is shared."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.types.utils import Choices, Delta, Message, ModelResponse, ModelResponseStream, StreamingChoices, Usage
from pydantic import BaseModel

from custom_handler.provider.filled import stream_chunk, text_delta, text_message, token_usage, whole_response

NAMES: Any = {"identifier": "chatcmpl-1", "created": 7, "model": "chat"}


def parts(value: Any) -> Any:
    """Return all that an object holds, with its class."""
    if isinstance(value, list):
        return [parts(item) for item in value]
    if not isinstance(value, BaseModel):
        return value
    kept = (value.__dict__, value.__pydantic_extra__, value.__pydantic_private__)
    return [
        type(value),
        value.__pydantic_fields_set__,
        *({name: parts(one) for name, one in (fields or {}).items()} for fields in kept),
    ]


def new_response(content: str, reason: str) -> ModelResponse:
    choice = Choices(index=0, message=Message(role="assistant", content=content, tool_calls=None), finish_reason=reason)
    usage = Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
    return ModelResponse(
        id="chatcmpl-1", created=7, model="chat", object="chat.completion", choices=[choice], usage=usage
    )


def new_chunk(content: str) -> ModelResponseStream:
    choice = StreamingChoices(index=0, delta=Delta(content=content), finish_reason=None)
    return ModelResponseStream(id="chatcmpl-1", created=7, model="chat", choices=[choice])


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "function_call"])
@pytest.mark.parametrize("content", ["Olá", ""])
def test_a_response_is_like_a_new_one(content: str, reason: str) -> None:
    filled = whole_response(text_message(content), reason, token_usage(3, 4), **NAMES)
    assert parts(filled) == parts(new_response(content, reason))
    assert filled.model_dump_json() == new_response(content, reason).model_dump_json()


@pytest.mark.parametrize("content", ["Olá", ""])
def test_a_chunk_is_like_a_new_one(content: str) -> None:
    filled = stream_chunk(text_delta(content), **NAMES)
    assert parts(filled) == parts(new_chunk(content))
    assert filled.model_dump_json() == new_chunk(content).model_dump_json()


def mutable(value: Any) -> list[int]:
    """Return the identities of all lists, dictionaries and objects in an object."""
    if isinstance(value, BaseModel):
        kept = (value.__dict__, value.__pydantic_extra__, value.__pydantic_private__, value.__pydantic_fields_set__)
        return [id(value), *(one for fields in kept if fields is not None for one in mutable(fields))]
    if isinstance(value, dict):
        return [id(value), *(one for item in value.values() for one in mutable(item))]
    if isinstance(value, list):
        return [id(value), *(one for item in value for one in mutable(item))]
    return [id(value)] if isinstance(value, set) else []


def test_two_of_them_share_nothing() -> None:
    responses = [whole_response(text_message("a"), "stop", token_usage(1, 2), **NAMES) for _ in range(2)]
    chunks = [stream_chunk(text_delta("a"), **NAMES) for _ in range(2)]
    for first, second in (responses, chunks):
        assert set(mutable(first)).isdisjoint(mutable(second))
