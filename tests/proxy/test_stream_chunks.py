"""What a stream costs LiteLLM is done once, and its chunks, its end and its record stay the same."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import litellm
import pytest
from litellm import stream_chunk_builder
from litellm.litellm_core_utils import streaming_handler
from litellm.litellm_core_utils.asyncify import asyncify
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.served_output_texts import served_stream_output_texts
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.litellm_core_utils.token_counter import offload_token_count
from litellm.types.utils import Delta, ModelResponse, ModelResponseStream, StreamingChoices, TextChoices
from litellm.types.utils import Usage as LiteLLMUsage

from custom_handler.events import Finish, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Usage
from custom_handler.provider import PROVIDER
from custom_handler.provider.model_response import ChunkBuilder, ResponseOptions
from custom_handler.proxy.stream_chunks import FEW, complete_chunks, joined_once, read_on_the_loop
from tests.support.clock import Clock

MODEL, DEPLOYMENT = "stackspot-chat", "deployment-1"
CREATE = inspect.unwrap(CustomStreamWrapper.chunk_creator)
ASYNCIFY, OFFLOAD = inspect.unwrap(asyncify), inspect.unwrap(offload_token_count)
USAGE = LiteLLMUsage(prompt_tokens=7, completion_tokens=3, total_tokens=10)

TIMES = {"created_at", "response_cost"}
ENDED = Finish("stop", Usage(3, 2))
TEXT = [[Text("Ol")], [Text("á, "), Text("mundo")], [Text("!"), ENDED]]
CALL = [ToolCallStart(0, "call_1", "read"), ToolCallArguments(0, '{"path": '), ToolCallArguments(0, '"a"}')]
STREAMS: dict[str, list[list[ReplyEvent]]] = {
    "text": TEXT,
    "an end without content": [[Text("Oi")], [ENDED]],
    "nothing": [[ENDED]],
    "a tool call": [[Text("Vou ler.")], [*CALL, Finish("tool_calls", Usage(3, 2))]],
    "a burst": [[Text("Oi"), ENDED]],
    "no end": [[Text("Oi")], [Text("!")]],
}
IDENTIFIER = "chatcmpl-1"


@pytest.fixture(autouse=True)
def stackspot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "_custom_providers", [*litellm._custom_providers, PROVIDER])


def logging(options: dict[str, Any] | None = None) -> Logging:
    made = Logging(
        model=MODEL,
        messages=[{"role": "user", "content": "Oi"}],
        stream=True,
        call_type="acompletion",
        start_time=datetime.now(timezone.utc),
        litellm_call_id="1",
        function_id="1",
    )
    made.update_environment_variables(
        model=MODEL, user=None, optional_params={}, litellm_params={}, custom_llm_provider=PROVIDER
    )
    made.stream_options = options
    return made


async def played(batches: Sequence[Sequence[ReplyEvent]]) -> AsyncIterator[ModelResponseStream]:
    builder = ChunkBuilder(ResponseOptions(MODEL, deployment=DEPLOYMENT))
    builder._id = IDENTIFIER
    for events in batches:
        for chunk in builder.build(events):
            yield chunk


async def streamed(
    batches: Sequence[Sequence[ReplyEvent]], log: Logging
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the chunks that LiteLLM makes of an agent's, and the whole response of its record."""
    recorded: list[Any] = []

    async def record(result: Any, **_: Any) -> None:
        recorded.append(result)

    log.dispatch_success_handlers = record
    stream = CustomStreamWrapper(played(batches), MODEL, log, PROVIDER)
    chunks = [plain(chunk) async for chunk in stream]
    await asyncio.sleep(0)
    return chunks, plain(recorded[0]) if recorded and recorded[0] is not None else None


def plain(response: ModelResponse | ModelResponseStream) -> dict[str, Any]:
    """Return all of a response but its times."""
    fields = {name: value for name, value in response.model_dump().items() if name != "created"}
    return {
        **fields,
        "hidden": {name: str(value) for name, value in response._hidden_params.items() if name not in TIMES},
    }


def replaced(monkeypatch: pytest.MonkeyPatch, *, by: bool) -> None:
    """Install LiteLLM's own functions or, `by` ours, the replacements."""
    monkeypatch.setattr(CustomStreamWrapper, "chunk_creator", complete_chunks(CREATE) if by else CREATE)
    monkeypatch.setattr(streaming_handler, "asyncify", joined_once(ASYNCIFY) if by else ASYNCIFY)


@pytest.mark.parametrize("options", [None, {"include_usage": True}], ids=["plain", "with usage"])
@pytest.mark.parametrize("events", STREAMS.values(), ids=list(STREAMS))
async def test_a_stream_and_its_record_are_the_original_ones(
    events: list[list[ReplyEvent]], options: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, by=False)
    expected = await streamed(events, logging(options))
    replaced(monkeypatch, by=True)
    assert await streamed(events, logging(options)) == expected
    assert expected[0]
    assert expected[1] is not None


async def test_all_chunks_have_the_identifier_and_time_of_the_agents_first(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, by=True)
    monkeypatch.setattr("custom_handler.provider.model_response.time", SimpleNamespace(time=Clock(1_000)))
    stream = CustomStreamWrapper(played(STREAMS["no end"]), MODEL, logging(), PROVIDER)
    assert [(chunk.id, chunk.created) async for chunk in stream] == [(IDENTIFIER, 1_000)] * 3


class Undispatched(CustomStreamWrapper):
    """A stream whose chunks no provider takes."""

    def _dispatch_provider_chunk(self, **_: Any) -> Any:
        raise AssertionError("the original dispatches")


@pytest.mark.parametrize(
    ("provider", "chunk"),
    [("openai", ModelResponseStream()), (PROVIDER, ModelResponseStream(provider_specific_fields={"a": 1}))],
    ids=["another provider's", "with fields of its own"],
)
def test_another_chunk_is_left_to_the_original(provider: str, chunk: ModelResponseStream) -> None:
    asked: list[object] = []

    def original(_: CustomStreamWrapper, chunk: object) -> None:
        asked.append(chunk)

    assert complete_chunks(original)(Undispatched(None, MODEL, logging(), provider), chunk) is None
    assert asked == [chunk]


def test_where_litellm_knows_no_such_provider_the_original_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "_custom_providers", [])
    create = complete_chunks(lambda *_: None)
    assert create(Undispatched(None, MODEL, logging(), PROVIDER), ModelResponseStream()) is None


async def test_each_chunk_names_its_deployment() -> None:
    """The proxy would look for the settings of another one by its model, for each chunk."""
    assert [chunk._hidden_params async for chunk in played(TEXT)] == [{"model_id": DEPLOYMENT}] * 3


class Counted:
    """`stream_chunk_builder`, and the threads that it ran on."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, **call: Any) -> Any:
        self.threads.append(threading.get_ident())
        return stream_chunk_builder(**call)

    @property
    def on_the_loop(self) -> bool:
        return self.threads == [threading.get_ident()]


def chunks_of(
    count: int, usage: LiteLLMUsage | None = USAGE, end: str | None = "stop", index: int = 0, **delta: Any
) -> list[ModelResponseStream]:
    made = []
    for number in range(count):
        choice = StreamingChoices(index=index, delta=Delta(content="a", **delta))
        choice.finish_reason = end if number == count - 1 else None
        made.append(ModelResponseStream(id="1", created=1, choices=[choice]))
    if usage is not None:
        made[-1].usage = usage
    return made


def calls_of(count: int) -> list[dict[str, Any]]:
    function = {"name": "read", "arguments": "{}"}
    return [{"index": n, "id": str(n), "type": "function", "function": function} for n in range(count)]


ASKED = {"include_usage": True}


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def join(counted: Counted) -> Callable[..., Any]:
    return joined_once(ASYNCIFY)(counted)


async def test_a_few_chunks_are_joined_once_and_on_the_loop(counted: Counted, join: Any) -> None:
    log, chunks = logging(ASKED), chunks_of(FEW, tool_calls=calls_of(1))
    first = await join(chunks=chunks, messages=None, logging_obj=log)
    first.usage.prompt_tokens = 0  # what is sent to the client may be changed
    second = await join(chunks=chunks, messages=None, logging_obj=log)
    assert counted.on_the_loop
    assert (second.usage.prompt_tokens, second.choices[0].message.content) == (7, "a" * FEW)
    assert second.choices == first.choices
    await join(chunks=chunks, messages=None, logging_obj=log)
    assert len(counted.threads) == 2, "nothing is kept after the second time"


@pytest.mark.parametrize(
    "chunks",
    [
        chunks_of(FEW + 1),
        chunks_of(2, usage=None),
        chunks_of(2, end=None),
        chunks_of(2, reasoning_content="Hmm"),
        chunks_of(2, index=1),
        chunks_of(2, tool_calls=calls_of(FEW)),
        chunks_of(2, audio={"id": "1", "data": "QQ=="}),
    ],
    ids=["many", "without usage", "without an end", "of reasoning", "of several choices", "of many calls", "of audio"],
)
async def test_other_chunks_are_joined_on_a_thread(
    chunks: list[ModelResponseStream], counted: Counted, join: Any
) -> None:
    await join(chunks=chunks, logging_obj=logging())
    assert len(counted.threads) == 1
    assert not counted.on_the_loop


async def test_other_chunks_of_a_call_are_joined_anew(counted: Counted, join: Any) -> None:
    log, chunks = logging(ASKED), chunks_of(2)
    await join(chunks=chunks, logging_obj=log)
    chunks += chunks_of(1)
    assert (await join(chunks=chunks, logging_obj=log)).choices[0].message.content == "aaa"
    assert (await join(chunks=chunks_of(3), logging_obj=log)).choices[0].message.content == "aaa"
    assert len(counted.threads) == 3


async def test_chunks_of_another_stream_of_a_call_are_joined(join: Any) -> None:
    log = logging(ASKED)
    await join(chunks=chunks_of(2), logging_obj=log)
    other = LiteLLMUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    assert (await join(chunks=chunks_of(2, other), logging_obj=log)).usage.prompt_tokens == 1


def masked_text(chunk: ModelResponseStream) -> None:
    chunk.choices[0].delta.content = "*"


def masked_reasoning(chunk: ModelResponseStream) -> None:
    chunk.choices[0].delta.reasoning_content = "*"


def masked_call(chunk: ModelResponseStream) -> None:
    chunk.choices[0].delta.tool_calls[0].function.arguments = '"*"'


@pytest.mark.parametrize("mask", [masked_text, masked_reasoning, masked_call])
async def test_chunks_that_a_hook_has_changed_are_joined_anew(mask: Callable[[Any], None], join: Any) -> None:
    log, chunks = logging(ASKED), chunks_of(2, tool_calls=calls_of(1))
    await join(chunks=chunks, logging_obj=log)
    mask(chunks[0])
    assert "*" in (await join(chunks=chunks, logging_obj=log)).model_dump_json()


async def test_nothing_is_kept_where_the_usage_is_not_asked_for(join: Any) -> None:
    log, chunks = logging(), chunks_of(2)
    await join(chunks=chunks, logging_obj=log)
    gone = weakref.ref(chunks[0])
    del chunks
    gc.collect()
    assert gone() is None


async def test_an_error_is_raised_each_time(join: Any) -> None:
    log, chunks = logging(ASKED), [object()]
    for _ in range(2):
        with pytest.raises(litellm.APIError):
            await join(chunks=chunks, logging_obj=log)


async def test_a_call_in_another_form_is_left_to_the_original() -> None:
    double = joined_once(ASYNCIFY)(lambda value=1, **_: 2 * value)
    assert await double(3) == 6
    assert await double(value=4) == 8
    assert await double(chunks=[], logging_obj=None) == 2


async def test_nothing_is_kept_of_a_call_that_is_gone(join: Any) -> None:
    log = logging(ASKED)
    gone = weakref.ref(log)
    await join(chunks=chunks_of(2), logging_obj=log)
    del log
    gc.collect()
    assert gone() is None


class Reader:
    """An `offload_token_count` that counts what is read on a thread."""

    def __init__(self) -> None:
        self.offloaded = 0

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def read(*arguments: Any) -> Any:
            self.offloaded += 1
            return await OFFLOAD(function)(*arguments)

        return read


@pytest.mark.parametrize(
    ("chunks", "texts", "offloaded"),
    [
        (chunks_of(FEW), ("a" * FEW,), 0),
        (chunks_of(FEW + 1), ("a" * (FEW + 1),), 1),
        (chunks_of(2, index=1), (None, "aa"), 1),
        ([b"event: ping\n\n"], None, 1),
    ],
    ids=["few", "many", "of several choices", "of another protocol"],
)
async def test_the_texts_of_a_few_chunks_are_read_on_the_loop(
    chunks: list[Any], texts: tuple[str, ...] | None, offloaded: int
) -> None:
    reader = Reader()
    reader.__name__ = "offload_token_count"  # type: ignore[attr-defined]
    read = read_on_the_loop(reader)(served_stream_output_texts)
    assert await read(chunks) == texts
    assert reader.offloaded == offloaded


async def test_another_function_is_offloaded() -> None:
    assert await read_on_the_loop(OFFLOAD)(threading.get_ident)() != threading.get_ident()


async def test_a_text_completion_is_joined_each_time_and_on_a_thread(counted: Counted, join: Any) -> None:
    log, chunk = logging(ASKED), ModelResponseStream(id="1", created=1, model="m")
    chunk.choices = [TextChoices(index=0, text="Oi", finish_reason="stop")]
    chunk.usage = USAGE
    chunks = [chunk]
    for _ in range(2):
        assert (await join(chunks=chunks, messages=[], logging_obj=log)).choices[0].text == "Oi"
    assert len(counted.threads) == 2
    assert threading.get_ident() not in counted.threads
