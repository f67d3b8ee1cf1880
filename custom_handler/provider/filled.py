"""Makes LiteLLM's response objects by filling in copies of templates.

Its classes validate and convert all fields of each new object; here the types are known. A chunk
takes 8 µs instead of 20, and a copy has what a new object would have.
"""

from __future__ import annotations

import functools
from typing import TypeVar

from litellm.types.utils import Choices, Delta, Message, ModelResponse, ModelResponseStream, StreamingChoices, Usage
from pydantic import BaseModel

_Model = TypeVar("_Model", bound=BaseModel)

MAX_REASONS = 16


def text_message(content: str) -> Message:
    """Return the assistant's message of a text.

    >>> text_message("Hello").content
    'Hello'
    """
    return _filled(_message(), content=content)


def text_delta(content: str) -> Delta:
    """Return the delta of a text, without a role."""
    return _filled(_delta(), content=content)


def token_usage(prompt: int, completion: int) -> Usage:
    """Return the usage of so many tokens."""
    return _filled(_usage(), prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def whole_response(
    message: Message, finish_reason: str, usage: Usage, *, identifier: str, created: int, model: str
) -> ModelResponse:
    """Return a response with one choice."""
    template = _response(finish_reason)
    choices = [_filled(template.choices[0], message=message)]
    response = _filled(template, id=identifier, created=created, model=model, choices=choices, usage=usage)
    response._hidden_params = {}
    return response


def stream_chunk(
    delta: Delta, *, identifier: str, created: int, model: str, deployment: str | None = None
) -> ModelResponseStream:
    """Return a chunk with one choice, without a finish reason.

    Where a chunk names no `deployment`, LiteLLM looks for its settings by the model, again for each
    chunk.
    """
    template = _chunk()
    choices = [_filled(template.choices[0], delta=delta)]
    chunk = _filled(template, id=identifier, created=created, model=model, choices=choices)
    chunk._hidden_params = {"model_id": deployment} if deployment else {}
    return chunk


def _filled(template: _Model, **fields: object) -> _Model:
    return template.model_copy(update=fields)


@functools.cache
def _message() -> Message:
    return Message(role="assistant", content="", tool_calls=None)


@functools.cache
def _delta() -> Delta:
    return Delta(content="")


@functools.cache
def _usage() -> Usage:
    return Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)


@functools.lru_cache(MAX_REASONS)
def _response(finish_reason: str) -> ModelResponse:
    choices = [Choices(index=0, message=_message(), finish_reason=finish_reason)]
    return ModelResponse(id="", created=0, model="", choices=choices, usage=_usage())


@functools.cache
def _chunk() -> ModelResponseStream:
    choices = [StreamingChoices(index=0, delta=_delta(), finish_reason=None)]
    return ModelResponseStream(id="", created=0, model="", choices=choices)
