"""Converts events into LiteLLM's responses and chunks."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence, Set
from typing import Any, TypeAlias

from litellm.types.utils import (
    ChatCompletionCustomToolCallPayload,
    ChatCompletionDeltaCustomToolCall,
    ChatCompletionDeltaCustomToolCallPayload,
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageToolCall,
    Delta,
    Function,
    FunctionCall,
    Message,
    ModelResponse,
    ModelResponseStream,
)
from litellm.types.utils import Usage as LiteLLMUsage

from ..data_class import data_class
from ..events import Finish, ReplyEvent, Sources, Text, ToolCallArguments, ToolCallStart, Usage
from ..request.calls import CUSTOM_ARGUMENT
from ..request.context import current_request
from .annotations import as_annotations
from .filled import stream_chunk, text_delta, text_message, token_usage, whole_response
from .litellm_errors import litellm_errors
from .pace import Pace
from .started_stream import StartedStream

EventStream: TypeAlias = AsyncGenerator[Sequence[ReplyEvent], None] | StartedStream[ReplyEvent]

logger = logging.getLogger(__name__)


@data_class
class ResponseOptions:
    """The model's name in a response; where `legacy`, a call is sent as `function_call`.

    `on_usage` receives the usage before the response has it. Calls of `custom` tools have text in
    the place of arguments. `deployment` is LiteLLM's identifier of the entry in config.yaml.
    """

    model: str
    legacy: bool = False
    on_usage: Callable[[Usage], None] | None = None
    custom: Set[str] = frozenset()
    deployment: str | None = None

    def finish_reason(self, reason: str) -> str:
        """Return the finish reason in the form that the request used."""
        return "function_call" if self.legacy and reason == "tool_calls" else reason

    def usage(self, finish: Finish) -> LiteLLMUsage:
        """Return LiteLLM's usage, after `on_usage` has received it.

        The current HTTP request gets the stop sequence, for which LiteLLM has no field.
        """
        usage = finish.usage
        if (request := current_request()) is not None:
            request.stop_sequence = finish.stop_sequence
        if self.on_usage is not None:
            self.on_usage(usage)
        return token_usage(usage.prompt_tokens, usage.completion_tokens)


async def abuild_response(batches: EventStream, options: ResponseOptions) -> ModelResponse:
    """Read a stream to its end, close it, and return the whole response."""
    async with contextlib.aclosing(batches):
        return build_response([event async for events in batches for event in events], options)


def build_response(events: Iterable[ReplyEvent], options: ResponseOptions) -> ModelResponse:
    """Return the whole response of these events.

    >>> events = [Text("Hel"), Text("lo"), Finish("stop", Usage(3, 1))]
    >>> build_response(events, ResponseOptions("stackspot-chat")).choices[0].message.content
    'Hello'
    """
    calls: dict[int, ChatCompletionMessageToolCall] = {}
    arguments: dict[int, list[str]] = {}
    text: list[str] = []
    sources: Sources | None = None
    finish = Finish("stop", Usage(0, 0))
    for event in events:
        match event:
            case Text():
                text.append(event.text)
            case ToolCallStart():
                arguments[event.index] = []
                calls[event.index] = ChatCompletionMessageToolCall(
                    id=event.id, type="function", function=Function(name=event.name, arguments="")
                )
            case ToolCallArguments():
                arguments[event.index].append(event.arguments)
            case Sources():
                sources = event
            case Finish():
                finish = event
    for index, call in calls.items():
        call.function.arguments = "".join(arguments[index])
    content = "".join(text)
    return whole_response(
        _message(content, list(calls.values()), sources, options) if calls or sources else text_message(content),
        options.finish_reason(finish.reason),
        options.usage(finish),
        identifier=_new_id(),
        created=int(time.time()),
        model=options.model,
    )


def _message(
    content: str, calls: list[ChatCompletionMessageToolCall], sources: Sources | None, options: ResponseOptions
) -> Message:
    fields: dict[str, Any] = {"tool_calls": [_custom_call(call, options) or call for call in calls] or None}
    if options.legacy and calls:
        fields = {"function_call": calls[0].function.model_dump()}
    if sources is not None:
        fields["annotations"] = as_annotations(sources, len(content))
    return Message(role="assistant", content=content or None if calls else content, **fields)


def _custom_call(
    call: ChatCompletionMessageToolCall, options: ResponseOptions
) -> ChatCompletionMessageCustomToolCall | None:
    name = call.function.name or ""
    if name not in options.custom:
        return None
    payload = ChatCompletionCustomToolCallPayload(name=name, input=_custom_input(call.function.arguments))
    return ChatCompletionMessageCustomToolCall(id=call.id, type="custom", custom=payload)


def _custom_input(arguments: str) -> str:
    """Return the text for a custom tool in the arguments of its call."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    text = value.get(CUSTOM_ARGUMENT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


class ChunkBuilder:
    """Build the chunks of one stream, with the role on the first and usage and finish on the last.

    LiteLLM forwards chunks of this type, but drops the usage of a finish chunk without content.
    """

    def __init__(self, options: ResponseOptions) -> None:
        self._id = _new_id()
        self._options = options
        self._created: int | None = None
        self._characters = 0
        self._custom: set[int] = set()  # the indexes of calls of custom tools

    def build(self, events: Sequence[ReplyEvent]) -> Sequence[ModelResponseStream]:
        """Return the chunks of events that arrived together, each of text or of one call."""
        chunks: list[ModelResponseStream] = []
        for event in events if len(events) == 1 else _merge(events):
            match event:
                case Text():
                    self._characters += len(event.text)
                    chunks.append(self._chunk(text_delta(event.text)))
                case ToolCallStart() if event.name in self._options.custom:
                    self._custom.add(event.index)
                    chunks.append(self._chunk(_custom_delta(event.index, event.id, name=event.name, input="")))
                case ToolCallArguments() if event.index in self._custom:
                    chunks.append(self._chunk(_custom_delta(event.index, input=_custom_input(event.arguments))))
                case ToolCallStart():
                    chunks.append(self._chunk(self._call_delta(event.index, event.id, name=event.name, arguments="")))
                case ToolCallArguments():
                    chunks.append(self._chunk(self._call_delta(event.index, arguments=event.arguments)))
                case Sources():
                    chunks.append(self._chunk(Delta(annotations=as_annotations(event, self._characters))))
                case Finish():
                    self._finish(chunks, event)
        return chunks

    def _finish(self, chunks: list[ModelResponseStream], finish: Finish) -> None:
        """Set usage and finish on the last chunk if it has content, else on two new ones."""
        if not chunks or self._options.legacy or not _has_content(chunks[-1].choices[0].delta):
            chunks += self._chunk(Delta()), self._chunk(Delta())
            chunks[-2].usage = self._options.usage(finish)
        else:
            chunks[-1].usage = self._options.usage(finish)
        chunks[-1].choices[0].finish_reason = self._options.finish_reason(finish.reason)

    def _chunk(self, delta: Delta) -> ModelResponseStream:
        if self._created is None:
            self._created = int(time.time())
            delta.role = "assistant"
        options = self._options
        return stream_chunk(
            delta, identifier=self._id, created=self._created, model=options.model, deployment=options.deployment
        )

    def _call_delta(self, index: int, identifier: str | None = None, **function: str) -> Delta:
        if self._options.legacy:
            return Delta(function_call=FunctionCall(**function))
        call = ChatCompletionDeltaToolCall(index=index, id=identifier, type="function", function=Function(**function))
        return Delta(tool_calls=[call])


def _custom_delta(index: int, identifier: str | None = None, **payload: str) -> Delta:
    custom = ChatCompletionDeltaCustomToolCallPayload(**payload)
    return Delta(
        tool_calls=[ChatCompletionDeltaCustomToolCall(index=index, id=identifier, type="custom", custom=custom)]
    )


def _has_content(delta: Delta) -> bool:
    """Return whether LiteLLM forwards a delta that has a finish reason, too."""
    return bool(delta.content or delta.tool_calls)


def _merge(events: Iterable[ReplyEvent]) -> Iterator[ReplyEvent]:
    """Yield the events, consecutive texts or arguments joined: each chunk costs the proxy time."""
    for index, group in itertools.groupby(events, key=_merge_key):
        if index is None:
            yield from group
        elif index < 0:
            yield Text("".join(event.text for event in group if isinstance(event, Text)))
        else:
            pieces = (event.arguments for event in group if isinstance(event, ToolCallArguments))
            yield ToolCallArguments(index, "".join(pieces))


def _merge_key(event: ReplyEvent) -> int | None:
    """Return -1 for text, n for arguments of call n, and None for an event that stays single."""
    return -1 if isinstance(event, Text) else event.index if isinstance(event, ToolCallArguments) else None


def stream_chunks(
    batches: Generator[Sequence[ReplyEvent], None, None], options: ResponseOptions
) -> Iterator[ModelResponseStream]:
    """Yield the chunks as their events arrive; raises LiteLLM's errors."""
    builder = ChunkBuilder(options)
    with contextlib.closing(batches):
        while True:
            # Not around the yield: a stream closed at interpreter exit finds no error classes.
            with litellm_errors(options.model):
                if (events := next(batches, None)) is None:
                    return
                chunks = builder.build(events)
            yield from chunks


class AsyncChunkStream:
    """The async counterpart of `stream_chunks`.

    Not a generator: closing one before its first step would leave the connection open.
    """

    def __init__(self, batches: EventStream, options: ResponseOptions) -> None:
        self._batches = batches
        self._model = options.model
        self._builder = ChunkBuilder(options)
        self._ready: deque[ModelResponseStream] = deque()
        self._pace = Pace()

    def __aiter__(self) -> AsyncChunkStream:
        return self

    async def __anext__(self) -> ModelResponseStream:
        with litellm_errors(self._model):
            while not self._ready:
                await self._pace.wait()
                self._ready.extend(self._builder.build(await anext(self._batches)))
                self._pace.count(len(self._ready))
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._batches.aclose()


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def fixed_response(text: str, model: str) -> ModelResponse:
    """Return a response with this text, without an agent."""
    return build_response([Text(text), Finish("stop", Usage(0, 0))], ResponseOptions(model))
