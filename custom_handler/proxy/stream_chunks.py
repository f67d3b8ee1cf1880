"""Skip what LiteLLM repeats for the chunks of a stream.

For each chunk of a StackSpot agent, which is complete, LiteLLM 1.108.7 builds a second one that it
drops. At the end of a stream it joins the chunks on a thread, twice where the client asks for the
usage, and reads their texts on another thread, so that a long stream delays no other. A thread
costs 0.2 ms of CPU each time; a few chunks are joined in one or two milliseconds.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import litellm
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.served_output_texts import served_stream_output_texts
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper, _ProviderChunkEarlyReturn
from litellm.types.utils import ModelResponse, ModelResponseStream, StreamingChoices

from ..provider import PROVIDER

FEW = 16
"""Chunks, and calls in them, that are joined on the event loop."""

_SLOW = ("reasoning_content", "audio", "images")

_Creator: TypeAlias = Callable[[CustomStreamWrapper, Any], ModelResponseStream | None]
_Texts: TypeAlias = tuple[list[object], list[object]]
_Offload: TypeAlias = Callable[..., Callable[..., Awaitable[Any]]]


def complete_chunks(original: _Creator) -> _Creator:
    """Return a `CustomStreamWrapper.chunk_creator` that builds no second chunk for an agent's."""

    @functools.wraps(original)
    def chunk_creator(self: CustomStreamWrapper, chunk: Any) -> ModelResponseStream | None:
        if (
            self.custom_llm_provider != PROVIDER
            or type(chunk) is not ModelResponseStream
            or chunk.provider_specific_fields
            or PROVIDER not in litellm._custom_providers
        ):
            return original(self, chunk)
        self.response_id = chunk.id
        if self.created is None:
            self.created = chunk.created
        result = self._dispatch_provider_chunk(chunk=chunk, model_response=chunk, completion_obj={})
        return result.value if isinstance(result, _ProviderChunkEarlyReturn) else original(self, chunk)

    return chunk_creator


def joined_once(original: _Offload) -> _Offload:
    """Return an `asyncify` for `stream_chunk_builder`, the only function that gets it there.

    Where the client asks for the usage, the first call keeps a copy of its result for the second.
    """
    kept: WeakKeyDictionary[Logging, tuple[Sequence[object], _Texts, ModelResponse]] = WeakKeyDictionary()

    @functools.wraps(original)
    def asyncify(function: Callable[..., Any], **options: Any) -> Callable[..., Awaitable[Any]]:
        offloaded = original(function, **options)

        async def join(*args: Any, **call: Any) -> Any:
            chunks, log = call.get("chunks"), call.get("logging_obj")
            if args or not isinstance(chunks, list) or not isinstance(log, Logging):
                return await offloaded(*args, **call)
            before = kept.pop(log, None)
            if before is not None and before[0] is chunks and before[1] == _texts(chunks):
                return before[2]
            joined = function(**call) if _joins_at_once(chunks) else await offloaded(**call)
            asks_twice = before is None and bool((getattr(log, "stream_options", None) or {}).get("include_usage"))
            if asks_twice and type(joined) is ModelResponse and (texts := _texts(chunks)) is not None:
                kept[log] = chunks, texts, _copied(joined)
            return joined

        return join

    return asyncify


def read_on_the_loop(original: _Offload) -> _Offload:
    """Return an `offload_token_count` that reads the texts of a few chunks on the event loop.

    So they are recorded for a client that is gone, too: its cancelled request can await no thread.
    """

    @functools.wraps(original)
    def offload_token_count(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        offloaded = original(function)
        if function is not served_stream_output_texts:
            return offloaded

        async def read(chunks: Sequence[object]) -> Any:
            return function(chunks) if _few(chunks) else await offloaded(chunks)

        return read

    return offload_token_count


def _few(chunks: Sequence[object]) -> bool:
    """Return whether there are a few chunks, each with one choice at most, the first."""
    return len(chunks) <= FEW and all(
        isinstance(chunk, ModelResponseStream) and [choice.index for choice in chunk.choices] in ([], [0])
        for chunk in chunks
    )


def _joins_at_once(chunks: Sequence[Any]) -> bool:
    """Return whether chunks are few, of text and calls, and hold the usage of a finished stream.

    LiteLLM counts the tokens of others: of a stream without usage or without an end, of reasoning
    and of text completions.
    """
    if not _few(chunks) or all(getattr(chunk, "usage", None) is None for chunk in chunks):
        return False
    choices = [choice for chunk in chunks for choice in chunk.choices]
    if not all(isinstance(choice, StreamingChoices) for choice in choices):
        return False
    deltas = [choice.delta for choice in choices]
    return (
        any(choice.finish_reason for choice in choices)
        and sum(len(getattr(delta, "tool_calls", None) or ()) for delta in deltas) <= FEW
        and all(getattr(delta, part, None) is None for delta in deltas for part in _SLOW)
    )


def _texts(chunks: Sequence[object]) -> _Texts | None:
    """Return the texts and arguments, which a hook may change, None for chunks of no chat."""
    choices = [choice for chunk in chunks for choice in getattr(chunk, "choices", ())]
    if not all(isinstance(choice, StreamingChoices) for choice in choices):
        return None
    deltas = [choice.delta for choice in choices]
    calls = [call for delta in deltas for call in getattr(delta, "tool_calls", None) or ()]
    parts = [getattr(delta, part, None) for delta in deltas for part in ("content", "reasoning_content")]
    return parts, [_arguments(call) for call in calls]


def _arguments(call: object) -> object:
    return getattr(getattr(call, "function", None), "arguments", None)


def _copied(response: ModelResponse) -> ModelResponse:
    """Return a copy with a usage of its own: the client is sent that of the original."""
    return response.model_copy(update={"usage": response.usage.model_copy()})
