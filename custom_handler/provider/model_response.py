"""What a client is given, in LiteLLM's types: events become an answer or its chunks, our errors LiteLLM's."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import litellm
import openai
from litellm.types.utils import (
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageToolCall,
    Choices,
    Delta,
    Function,
    FunctionCall,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
)
from litellm.types.utils import Usage as LiteLLMUsage

from ..errors import PromptTooLong, RequestError, StackspotError
from ..events import Finish, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Usage

PROVIDER = "stackspot"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """How an answer is given: under the model's name, and with its call as `function_call` where it is `legacy`."""

    model: str
    legacy: bool = False

    def finish_reason(self, reason: str) -> str:
        """Return the reason as the caller knows it."""
        return "function_call" if self.legacy and reason == "tool_calls" else reason


class EventStream(Protocol):
    """Events as they arrive, and a way to hang up."""

    def __aiter__(self) -> AsyncIterator[Sequence[ReplyEvent]]:
        """Return itself."""

    async def __anext__(self) -> Sequence[ReplyEvent]:
        """Return the events that arrived together."""

    async def aclose(self) -> None:
        """Close the connection."""


async def abuild_response(batches: EventStream, form: ResponseOptions) -> ModelResponse:
    """Fold the events into the whole answer, as they come."""
    async with contextlib.aclosing(batches):
        return build_response([event async for events in batches for event in events], form)


def build_response(events: Iterable[ReplyEvent], form: ResponseOptions) -> ModelResponse:
    """Fold the events into the whole answer."""
    calls: dict[int, ChatCompletionMessageToolCall] = {}
    arguments: dict[int, list[str]] = {}
    text: list[str] = []
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
            case Finish():
                finish = event
    for index, call in calls.items():
        call.function.arguments = "".join(arguments[index])
    content = "".join(text)
    made: dict[str, Any] = {"tool_calls": list(calls.values()) or None}
    if form.legacy and calls:
        made = {"function_call": calls[0].function.model_dump()}
    message = Message(role="assistant", content=content or None if calls else content, **made)
    return ModelResponse(
        id=_new_id(),
        created=int(time.time()),
        model=form.model,
        object="chat.completion",
        choices=[Choices(index=0, message=message, finish_reason=form.finish_reason(finish.reason))],
        usage=_usage(finish.usage),
    )


class ChunkBuilder:
    """Makes the chunks of one stream: one id, model and time for all, the role on the first, the finish on the last.

    The proxy passes chunks of this type on as they are, but takes the usage away from a finish chunk without content.
    """

    def __init__(self, form: ResponseOptions) -> None:
        self._id = _new_id()
        self._form = form
        self._created: int | None = None

    def of(self, events: Iterable[ReplyEvent]) -> Sequence[ModelResponseStream]:
        """Return the chunks of events that arrived together, each with one delta of text or of one call."""
        made: list[ModelResponseStream] = []
        for event in _joined(events):
            match event:
                case Text():
                    made.append(self._chunk(Delta(content=event.text)))
                case ToolCallStart():
                    made.append(self._chunk(self._call_delta(event.index, event.id, name=event.name, arguments="")))
                case ToolCallArguments():
                    made.append(self._chunk(self._call_delta(event.index, arguments=event.arguments)))
                case Finish():
                    self._finish(made, event)
        return made

    def _finish(self, made: list[ModelResponseStream], finish: Finish) -> None:
        """Put usage and finish on the last chunk where it has content, else on two of their own: each costs the proxy much."""
        if not made or self._form.legacy:
            made += self._chunk(Delta()), self._chunk(Delta())
            made[-2].usage = _usage(finish.usage)
        else:
            made[-1].usage = _usage(finish.usage)
        made[-1].choices[0].finish_reason = self._form.finish_reason(finish.reason)

    def _chunk(self, delta: Delta) -> ModelResponseStream:
        if self._created is None:
            self._created = int(time.time())
            delta.role = "assistant"
        choice = StreamingChoices(index=0, delta=delta, finish_reason=None)
        return ModelResponseStream(id=self._id, created=self._created, model=self._form.model, choices=[choice])

    def _call_delta(self, index: int, identifier: str | None = None, **function: str) -> Delta:
        if self._form.legacy:
            return Delta(function_call=FunctionCall(**function))
        call = ChatCompletionDeltaToolCall(index=index, id=identifier, type="function", function=Function(**function))
        return Delta(tool_calls=[call])


def _joined(events: Iterable[ReplyEvent]) -> Iterator[ReplyEvent]:
    """Yield the events, those joined to one that only continue each other: the proxy's work is by the chunk."""
    for continues, group in itertools.groupby(events, key=_continued):
        if continues is None:
            yield from group
        elif continues < 0:
            yield Text("".join(event.text for event in group if isinstance(event, Text)))
        else:
            pieces = (event.arguments for event in group if isinstance(event, ToolCallArguments))
            yield ToolCallArguments(continues, "".join(pieces))


def _continued(event: ReplyEvent) -> int | None:
    """Tell what an event continues: -1 the text, n the arguments of call n, None nothing."""
    return -1 if isinstance(event, Text) else event.index if isinstance(event, ToolCallArguments) else None


def stream_chunks(
    batches: Generator[Sequence[ReplyEvent], None, None], form: ResponseOptions
) -> Iterator[ModelResponseStream]:
    """Yield the answer's chunks as it comes; raises LiteLLM's errors."""
    made = ChunkBuilder(form)
    with contextlib.closing(batches):
        while True:
            # Not around a yield: a stream that is still open when the interpreter exits finds no classes of errors there.
            with litellm_errors(form.model):
                if (events := next(batches, None)) is None:
                    return
                ready = made.of(events)
            yield from ready


class AsyncChunkStream:
    """The answer's chunks as it comes; the async twin of `stream_chunks`.

    Not a generator: closing one that was never begun would leave a connection open that is.
    """

    def __init__(self, batches: EventStream, form: ResponseOptions) -> None:
        self._batches = batches
        self._model = form.model
        self._made = ChunkBuilder(form)
        self._ready: deque[ModelResponseStream] = deque()

    def __aiter__(self) -> AsyncChunkStream:
        return self

    async def __anext__(self) -> ModelResponseStream:
        with litellm_errors(self._model):
            while not self._ready:
                self._ready.extend(self._made.of(await anext(self._batches)))
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Hang up, wherever the answer is."""
        await self._batches.aclose()


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _usage(usage: Usage) -> LiteLLMUsage:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return LiteLLMUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def fixed_response(text: str, model: str) -> ModelResponse:
    """Make an answer that no agent gave."""
    return build_response([Text(text), Finish("stop", Usage(0, 0))], ResponseOptions(model))


@contextlib.contextmanager
def litellm_errors(model: str) -> Iterator[None]:
    """Raise LiteLLM's errors for ours; what nobody foresaw is logged, and a client is told only that it happened."""
    try:
        yield
    except StackspotError as error:
        raise litellm_error(error, model) from None
    except (StopAsyncIteration, openai.OpenAIError):
        raise
    except Exception:
        logger.exception("Unforeseen error")
        message = "The gateway failed in a way it should not: its log has the details."
        raise litellm.InternalServerError(message=message, model=model, llm_provider=PROVIDER) from None


def litellm_error(error: StackspotError, model: str) -> Exception:
    """Translate an error of ours into the one of LiteLLM's that gives a client the same status and message.

    LiteLLM's router decides about retries and fallbacks by these classes; `headers` on one of them reach the client.
    """
    known: Mapping[int, Any] = {
        400: litellm.BadRequestError,
        402: litellm.exceptions.PaymentRequiredError,
        403: litellm.PermissionDeniedError,
        404: litellm.NotFoundError,
        429: litellm.RateLimitError,
        500: litellm.InternalServerError,
        502: litellm.BadGatewayError,
        503: litellm.ServiceUnavailableError,
        504: litellm.Timeout,
    }
    made: Any = litellm.ContextWindowExceededError if isinstance(error, PromptTooLong) else known[error.status_code]
    more: dict[str, Any] = {}
    if error.status_code == 403:
        more["response"] = httpx.Response(403, request=httpx.Request("POST", "https://stackspot.invalid"))
    if error.status_code == 504:
        more["exception_status_code"] = 504
    translated: Any = made(message=error.message, model=model, llm_provider=PROVIDER, **more)
    translated.num_retries = 0  # the router's: whatever could help was tried again before
    if isinstance(error, RequestError):
        translated.param = error.param
    if error.retry_after is not None:
        translated.headers = {"retry-after": str(max(1, round(error.retry_after)))}
    return translated  # type: ignore[no-any-return]
