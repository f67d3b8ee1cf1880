"""One turn, with its steps carried out by the test: what the agent says, in which order, and how long it may take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from custom_handler.chat.turn import SLICE, Turn
from custom_handler.emulation.answer import MAX_CALLS
from custom_handler.emulation.prompt.render import render
from custom_handler.errors import AgentFailed, AgentTimeout, ContentFiltered, StackspotError
from custom_handler.events import Finish, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Usage
from custom_handler.request.chat_request import ChatRequest, Tool
from custom_handler.settings import RequestSettings, Settings
from custom_handler.stackspot.agent_call import AcquireToken, Emit, Read, ResponseHead, Send, advance
from custom_handler.stackspot.deadline import FIRST_TEXT_TIMEOUT
from custom_handler.stackspot.tokens import Token
from tests.support.clock import Clock

USER = {"role": "user", "content": "Olá"}
TOOLS = (Tool("get_weather", "", {"type": "object"}),)
CALL = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def last(**fields: Any) -> bytes:
    return frame(**{"message": "", "stop_reason": "stop", "tokens": {"input": 42, "output": 5}, **fields})


def run(
    answer: Callable[[int], bytes | StackspotError | None],
    *,
    tools: Sequence[Tool] = (),
    timeout: float = 600,
    clock: Callable[[], float] | None = None,
    settings: Settings | None = None,
    on_step: Callable[[Any], object] = lambda _: None,
) -> tuple[list[Sequence[ReplyEvent]], int]:
    """Carry the steps out; `answer` gives what the n-th read gives. The batches of events, and the number of reads."""
    request, settings = ChatRequest((USER,), tools), settings or Settings(requests=RequestSettings(repair=False))
    turn = Turn(request, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "c-1", timeout, settings, clock=clock or Clock())
    steps = turn.steps()
    batches: list[Sequence[ReplyEvent]] = []
    reads, step = 0, advance(steps, None)
    while step is not None:
        given: Any = None
        on_step(step)
        match step:
            case AcquireToken():
                given = Token("t", 1200)
            case Send():
                given = ResponseHead(200, {})
            case Read():
                given = answer(reads)
                reads += 1
            case Emit(events):
                batches.append(events)
        step = advance(steps, given)
    return batches, reads


def replay(*chunks: bytes | StackspotError | None) -> Callable[[int], bytes | StackspotError | None]:
    return lambda number: chunks[number] if number < len(chunks) else None


def events(*chunks: bytes | StackspotError | None, tools: Sequence[Tool] = ()) -> list[ReplyEvent]:
    return [event for batch in run(replay(*chunks), tools=tools)[0] for event in batch]


def finish(*chunks: bytes | StackspotError | None, tools: Sequence[Tool] = ()) -> Finish:
    end = events(*chunks, tools=tools)[-1]
    assert isinstance(end, Finish)
    return end


def test_texts_that_arrive_together_go_out_together():
    batches, _ = run(replay(frame(message="a") + frame(message="b"), frame(message="c"), last()))
    assert batches == [[Text("ab")], [Text("c")], [Finish("stop", Usage(42, 5))]]


def test_a_frame_without_text_goes_out_as_nothing():
    batches, _ = run(replay(frame(message=""), frame(message="a"), frame(message=None), last()))
    assert batches == [[Text("a")], [Finish("stop", Usage(42, 5))]]


def test_an_answer_ends_with_exactly_one_finish():
    ends = [isinstance(event, Finish) for event in events(frame(message="a"), last(), last(message="b"))]
    assert ends == [False, False, True]


def test_without_a_last_frame_the_usage_is_estimated():
    assert finish(frame(message="a" * 9)) == Finish("stop", Usage(1, 3))


def test_the_estimate_counts_the_rendered_prompt():
    prompt = render(ChatRequest((USER,), TOOLS))
    assert finish(frame(message="a"), tools=TOOLS).usage == Usage(-(-len(prompt) // 4), 1)


FILTERED = {"details": "Output blocked by content filtering policy"}
BLOCKED = {
    "a null message for tokens": [frame(message=""), last(message=None)],
    "a null message and its tokens in two frames": [frame(message=None), frame(tokens={"output": 5})],
    "a stop reason": [last(stop_reason="content_filter")],
    "a stop reason of another vendor": [last(stop_reason="guardrail_intervened", tokens=None)],
    "an error": [frame(message=""), frame(**FILTERED)],
}


@pytest.mark.parametrize("chunks", BLOCKED.values(), ids=BLOCKED)
def test_an_answer_that_a_filter_blocked_is_an_error(chunks):
    with pytest.raises(ContentFiltered, match="content filter"):
        events(*chunks)


EMPTY = {
    "no tokens": [last(message=None, tokens={"input": 3, "output": 0})],
    "tokens for an empty message": [last()],
    "an empty message at last": [frame(message=None), last()],
    "an unknown stop reason": [last(stop_reason="anything")],
    "nothing but tokens": [frame(tokens={"input": 3, "output": 5})],
}


@pytest.mark.parametrize("chunks", EMPTY.values(), ids=EMPTY)
def test_an_empty_answer_is_no_filtered_one(chunks):
    assert [type(event) for event in events(*chunks)] == [Finish]
    assert finish(*chunks).reason == "stop"


FILTERED_LATER = {
    "an error": [frame(message="Era"), frame(**FILTERED), frame(message=" uma vez")],
    "an error in the same bytes": [frame(message="Era") + frame(**FILTERED)],
    "an error at the end": [frame(message="Era"), frame(**FILTERED).rstrip(b"\n")],
    "a stop reason": [frame(message="Era"), last(stop_reason="content_filter")],
}


@pytest.mark.parametrize("tools", [(), TOOLS], ids=["text", "tools"])
@pytest.mark.parametrize("chunks", FILTERED_LATER.values(), ids=FILTERED_LATER)
def test_a_filter_after_text_ends_the_answer(chunks, tools):
    *parts, end = events(*chunks, tools=tools)
    assert "".join(part.text for part in parts if isinstance(part, Text)) == "Era"
    assert isinstance(end, Finish)
    assert end.reason == "content_filter"


def test_a_filter_within_a_call_leaves_no_call():
    *parts, end = events(frame(message=CALL[:40]), frame(**FILTERED), tools=TOOLS)
    assert [type(part) for part in parts] == [Text]
    assert isinstance(end, Finish)
    assert end.reason == "content_filter"


def test_a_call_before_a_filter_is_complete():
    assert finish(frame(message=CALL), frame(**FILTERED), tools=TOOLS).reason == "tool_calls"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("refusal", "content_filter"),
        ("SAFETY", "content_filter"),
        ("anything", "stop"),
        (None, "stop"),
    ],
)
def test_the_agents_stop_reason_becomes_one_of_openais(said, reason):
    assert finish(frame(message="a"), last(stop_reason=said)).reason == reason


def test_a_call_has_arguments_and_finish_reason():
    start, arguments, end = events(frame(message=CALL), last(), tools=TOOLS)
    assert isinstance(start, ToolCallStart)
    assert (start.index, start.name) == (0, "get_weather")
    assert isinstance(arguments, ToolCallArguments)
    assert json.loads(arguments.arguments) == {"city": "Recife"}
    assert end == Finish("tool_calls", Usage(42, 5))


MARKERS = "FUNCTION_CALL_START\nget_weather\n" * 3000


def steps_of(text: str, seconds: float) -> list[str]:
    """The names of the steps from the first read on, where each look at the clock takes so long."""
    clock = Clock()

    def late() -> float:
        clock.now += seconds
        return clock.now

    names: list[str] = []
    run(
        replay(frame(message=text), last()),
        tools=TOOLS,
        clock=late,
        on_step=lambda step: names.append(type(step).__name__),
    )
    return names[names.index("Read") :]


def test_other_tasks_run_while_a_text_of_many_markers_is_read():
    assert steps_of(MARKERS, 0.006).count("Sleep") >= len(MARKERS) // SLICE


def test_a_text_that_is_read_quickly_is_read_at_once():
    assert "Sleep" not in steps_of("a" * 100 * SLICE, 0.0)
    assert "Sleep" not in steps_of("a" * SLICE, 1.0)


@pytest.mark.parametrize("size", [7, 1000, 10**6])
def test_an_answer_has_at_most_so_many_calls(size):
    text = f"{CALL}\n" * (MAX_CALLS + 20)
    pieces = [frame(message=text[at : at + size]) for at in range(0, len(text), size)]
    *parts, end = events(*pieces, last(), tools=TOOLS)
    assert sum(isinstance(part, ToolCallStart) for part in parts) == MAX_CALLS
    assert isinstance(end, Finish)
    assert end.reason == "length"


def test_without_declared_tools_a_block_is_text():
    assert events(frame(message=CALL), last())[0] == Text(CALL)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_beyond_the_limit_ends_there(size):
    reads = 0

    def endless(_: int) -> bytes:
        nonlocal reads
        reads += 1
        return frame(message="abcdefghij"[: min(size, 10)] * (size // 10 or 1))

    batches, _ = run(endless, settings=Settings(requests=RequestSettings(max_answer_chars=4321)))
    *parts, end = [event for batch in batches for event in batch]
    assert len("".join(part.text for part in parts if isinstance(part, Text))) == 4321
    assert isinstance(end, Finish)
    assert end.reason == "length"
    assert reads <= 4321 // min(size, 1000) + 1


@pytest.mark.parametrize("arguments", ['arguments: {"city": "', "[[[ "], ids=["a call", "a held block"])
def test_held_text_and_arguments_count_for_the_limit(arguments):
    settings = Settings(requests=RequestSettings(repair=False, max_answer_chars=5000))
    start = frame(message=f"FUNCTION_CALL_START\nget_weather\n{arguments}")
    batches, reads = run(lambda read: frame(message="a" * 100) if read else start, tools=TOOLS, settings=settings)
    *parts, end = [event for batch in batches for event in batch]
    assert isinstance(end, Finish)
    assert (end.reason, reads) == ("length", 51)
    assert sum(len(getattr(part, "text", getattr(part, "arguments", ""))) for part in parts) <= 5000


def test_a_fabricated_result_after_a_call_is_not_awaited():
    invented = frame(message=f"{CALL}\nObservation: 25 °C\nFinal answer: warm\n")
    batches, reads = run(lambda _: invented, tools=TOOLS)
    assert reads == 1
    assert [type(event) for batch in batches for event in batch] == [ToolCallStart, ToolCallArguments, Finish]


def test_a_connection_that_breaks_after_the_end_is_an_end():
    assert finish(frame(message="a"), last(), AgentFailed("broke")) == Finish("stop", Usage(42, 5))


def test_a_connection_that_breaks_before_the_end_is_an_error():
    with pytest.raises(AgentFailed, match="broke"):
        run(replay(frame(message="a"), AgentFailed("broke")))


def test_an_error_of_the_agent_within_the_answer_is_raised():
    with pytest.raises(AgentFailed, match="INFERENCE_5000"):
        run(replay(frame(message="a"), frame(code="INFERENCE_5000", details="x")))


def endless(clock: Clock, **fields: Any) -> Callable[[int], bytes]:
    """An agent that sends the same frame every second for ever."""

    def answer(number: int) -> bytes:
        clock.now += 1
        return frame(**fields)

    return answer


def test_empty_frames_without_end_are_bounded_by_time():
    clock = Clock()
    with pytest.raises(AgentTimeout, match="sent no text within 120 s"):
        run(endless(clock, message=""), clock=clock)
    assert clock.now == FIRST_TEXT_TIMEOUT + 1


def test_a_short_timeout_bounds_the_wait_for_the_first_text_too():
    clock = Clock()
    with pytest.raises(AgentTimeout, match="sent no text within 5 s"):
        run(endless(clock, message=""), clock=clock, timeout=5)
    assert clock.now == 6


def test_an_answer_without_end_is_bounded_by_the_timeout():
    clock = Clock()
    with pytest.raises(AgentTimeout, match="did not finish within 600 s"):
        run(endless(clock, message="a"), clock=clock)
    assert clock.now == 601


def test_a_long_answer_within_its_time_is_complete():
    clock = Clock()
    endless_text = endless(clock, message="a")
    batches, reads = run(lambda number: endless_text(number) if number < 500 else None, clock=clock)
    assert (len(batches), reads) == (501, 501)
