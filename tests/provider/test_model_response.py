"""Events in LiteLLM's types, and our errors in LiteLLM's classes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

import litellm
import openai
import pytest

from custom_handler import errors
from custom_handler.errors import AgentFailed, PromptTooLong, RateLimited, StackspotError
from custom_handler.events import Finish, Text, ToolCallArguments, ToolCallStart, Usage
from custom_handler.provider.litellm_errors import litellm_error, litellm_errors
from custom_handler.provider.model_response import (
    ChunkBuilder,
    ResponseOptions,
    build_response,
    fixed_response,
)

FINISH = Finish("stop", Usage(42, 5))
CALLS = [
    Text("Um "),
    Text("momento."),
    ToolCallStart(0, "call_a", "get_weather"),
    ToolCallArguments(0, '{"city": '),
    ToolCallArguments(0, '"Recife"}'),
    ToolCallStart(1, "call_b", "now"),
    ToolCallArguments(1, "{}"),
    Finish("tool_calls", Usage(42, 5)),
]


@dataclass(frozen=True, slots=True)
class Translated:
    """An error of ours, and what LiteLLM makes of its class."""

    error: StackspotError
    kind: type[Exception]
    status: int


TRANSLATED = [
    Translated(errors.StackspotError("m"), litellm.InternalServerError, 500),
    Translated(errors.RequestError("m", param="tools"), litellm.BadRequestError, 400),
    Translated(errors.PromptTooLong("m"), litellm.ContextWindowExceededError, 400),
    Translated(errors.ConfigurationError("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.IdentityError("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.CredentialsRefused("m"), litellm.BadGatewayError, 502),
    Translated(errors.IdentityUnavailable("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.AgentError("m"), litellm.InternalServerError, 500),
    Translated(errors.AgentForbidden("m"), litellm.PermissionDeniedError, 403),
    Translated(errors.AgentNotFound("m"), litellm.NotFoundError, 404),
    Translated(errors.ModelUnknown("m"), litellm.NotFoundError, 404),
    Translated(errors.RateLimited("m", retry_after=7), litellm.RateLimitError, 429),
    Translated(errors.QueueFull("m", retry_after=7), litellm.RateLimitError, 429),
    Translated(errors.TokenRefused("m"), litellm.BadGatewayError, 502),
    Translated(errors.JobStoreUnavailable("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.ResponseStoreUnavailable("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.ApprovedCallRuns("m", retry_after=5), litellm.APIError, 409),
    Translated(errors.ResponseUnknown("m"), litellm.NotFoundError, 404),
    Translated(errors.QuickCommandNotFound("m"), litellm.NotFoundError, 404),
    Translated(errors.QuickCommandForbidden("m"), litellm.PermissionDeniedError, 403),
    Translated(errors.QuickCommandFailed("m"), litellm.BadGatewayError, 502),
    Translated(errors.QuickCommandTimeout("m"), litellm.Timeout, 504),
    Translated(errors.CreditExhausted("m"), litellm.exceptions.PaymentRequiredError, 402),
    Translated(errors.AgentUnreachable("m"), litellm.ServiceUnavailableError, 503),
    Translated(errors.AgentTimeout("m"), litellm.Timeout, 504),
    Translated(errors.ConversationLost("m"), litellm.BadGatewayError, 502),
    Translated(errors.QuotaExhausted("m", retry_after=86_400), litellm.RateLimitError, 429),
    Translated(errors.ContentFiltered("m"), litellm.ContentPolicyViolationError, 400),
    Translated(errors.AgentRejected("m"), litellm.BadRequestError, 400),
    Translated(errors.UploadForbidden("m"), litellm.PermissionDeniedError, 403),
    Translated(errors.UploadFailed("m"), litellm.BadGatewayError, 502),
    Translated(errors.UploadFailed("m", status_code=429, retry_after=7), litellm.RateLimitError, 429),
    Translated(errors.UploadUnknown("m"), litellm.BadGatewayError, 502),
    Translated(errors.AgentFailed("m"), litellm.BadGatewayError, 502),
    Translated(errors.ReplyCutOff("m"), litellm.BadGatewayError, 502),
    *(Translated(AgentFailed("m", status_code=status), kind, status) for status, kind in [
        (500, litellm.InternalServerError),
        (503, litellm.ServiceUnavailableError),
        (504, litellm.Timeout),
    ]),
]  # fmt: skip


def kinds(root: type[StackspotError]) -> set[type[StackspotError]]:
    return {root}.union(*(kinds(child) for child in root.__subclasses__()))


def test_the_table_has_every_error_of_the_tree():
    assert {type(case.error) for case in TRANSLATED} == kinds(StackspotError)


@pytest.mark.parametrize("case", TRANSLATED, ids=lambda case: f"{type(case.error).__name__} {case.status}")
def test_an_error_keeps_its_status_and_message_in_litellms_class(case):
    made: Any = litellm_error(case.error, "stackspot-chat")
    assert (type(made), made.status_code) == (case.kind, case.status)
    assert (made.model, made.llm_provider) == ("stackspot-chat", "stackspot")
    assert made.message.endswith(case.error.message)
    # LiteLLM leaves its own exceptions as they are; any other would be mapped by its status again.
    assert isinstance(made, openai.OpenAIError)


@pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (0.2, "1"), (9.6, "10"), (0, "1")])
def test_retry_after_is_a_header(seconds, header):
    made: Any = litellm_error(RateLimited("m", retry_after=seconds), "m")
    assert made.headers == {"retry-after": header}


def test_without_retry_after_there_is_no_header():
    assert not getattr(litellm_error(AgentFailed("m"), "m"), "headers", None)


def test_a_prompt_too_long_is_a_context_window_error():
    made: Any = litellm_error(PromptTooLong("too long", limit=1, actual=2), "m")
    assert isinstance(made, litellm.BadRequestError)
    assert "too long" in made.message


@pytest.mark.parametrize(
    ("error", "code"),
    [(PromptTooLong("m"), "context_length_exceeded"), (errors.ContentFiltered("m"), "content_policy_violation")],
)
def test_an_error_of_the_prompt_has_openais_code(error, code):
    made: Any = litellm_error(error, "m")
    assert made.code == code


def test_a_quota_that_lasts_for_hours_tells_the_sdks_not_to_retry():
    made: Any = litellm_error(errors.QuotaExhausted("m", retry_after=86_400), "m")
    assert made.headers == {"retry-after": "86400", "x-should-retry": "false"}


def test_an_unexpected_error_is_logged_and_reveals_no_detail(caplog):
    with pytest.raises(litellm.InternalServerError) as raised, litellm_errors("m"):
        {}["canary"]
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "custom_handler.provider.litellm_errors")


@pytest.mark.parametrize(
    "error",
    [StopAsyncIteration(), litellm.RateLimitError("m", "p", "m"), GeneratorExit(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_openai_and_iteration_pass_unchanged(error):
    with pytest.raises(type(error)) as raised, litellm_errors("m"):
        raise error
    assert raised.value is error


def test_a_whole_answer_is_the_fold_of_the_events():
    response = build_response(CALLS, ResponseOptions("stackspot-chat"))
    message = response.choices[0].message
    assert (message.role, message.content) == ("assistant", "Um momento.")
    assert [(call.id, call.type, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("call_a", "function", "get_weather", '{"city": "Recife"}'),
        ("call_b", "function", "now", "{}"),
    ]
    assert (response.model, response.object) == ("stackspot-chat", "chat.completion")
    assert response.choices[0].finish_reason == "tool_calls"
    assert (response.usage.prompt_tokens, response.usage.completion_tokens, response.usage.total_tokens) == (42, 5, 47)


def test_without_text_the_content_of_a_call_is_null():
    assert build_response(CALLS[2:], ResponseOptions("m")).choices[0].message.content is None


def test_without_calls_an_empty_content_is_a_string():
    message = build_response([FINISH], ResponseOptions("m")).choices[0].message
    assert (message.content, message.tool_calls) == ("", None)


def test_each_answer_has_its_own_id():
    ids = {fixed_response("ok", "m").id for _ in range(10)}
    assert len(ids) == 10
    assert all(identifier.startswith("chatcmpl-") for identifier in ids)


def deltas(*batches: Any) -> list[dict[str, Any]]:
    made = ChunkBuilder(ResponseOptions("m"))
    return [
        chunk.choices[0].delta.model_dump(exclude_none=True, exclude_defaults=True)
        for batch in batches
        for chunk in made.build(batch)
    ]


def test_texts_that_arrive_together_are_one_chunk():
    assert deltas([Text("a"), Text("b")], [Text("c")]) == [{"content": "ab", "role": "assistant"}, {"content": "c"}]


def test_arguments_that_arrive_together_are_one_chunk():
    calls = [delta["tool_calls"][0] for delta in deltas(CALLS[2:7])]
    assert [(call["index"], call.get("id"), call["function"]) for call in calls] == [
        (0, "call_a", {"name": "get_weather", "arguments": ""}),
        (0, None, {"arguments": '{"city": "Recife"}'}),
        (1, "call_b", {"name": "now", "arguments": ""}),
        (1, None, {"arguments": "{}"}),
    ]


def test_text_and_calls_keep_their_order():
    shape = [
        "tool_calls" if "tool_calls" in delta else "content" for delta in deltas(CALLS[:3], [Text("b"), *CALLS[3:5]])
    ]
    assert shape == ["content", "tool_calls", "content", "tool_calls"]


def test_a_finish_joins_the_chunk_of_its_text_or_call():
    *_, text = ChunkBuilder(ResponseOptions("m")).build([Text("a"), FINISH])
    *_, call = ChunkBuilder(ResponseOptions("m")).build([*CALLS[2:5], FINISH])
    assert (text.choices[0].delta.content, text.choices[0].finish_reason, text.usage.total_tokens) == ("a", "stop", 47)
    assert (call.choices[0].finish_reason, call.usage.total_tokens) == ("stop", 47)
    assert call.choices[0].delta.tool_calls[0].function.arguments


def test_a_legacy_call_has_its_finish_in_another_chunk():
    *calls, usage, finish = ChunkBuilder(ResponseOptions("m", legacy=True)).build([*CALLS[2:5], FINISH])
    assert all(chunk.choices[0].delta.function_call for chunk in calls)
    assert (usage.usage.total_tokens, usage.choices[0].finish_reason) == (47, None)
    assert (finish.choices[0].delta.function_call, finish.choices[0].finish_reason) == (None, "stop")


def test_an_answer_without_text_has_a_role():
    first, last = ChunkBuilder(ResponseOptions("m")).build([FINISH])
    assert first.choices[0].delta.role == "assistant"
    assert (first.usage.total_tokens, first.choices[0].finish_reason) == (47, None)
    assert (last.choices[0].finish_reason, last.choices[0].delta.role) == ("stop", None)
    assert not hasattr(last, "usage")


def test_the_time_of_a_stream_is_that_of_its_first_chunk():
    made = ChunkBuilder(ResponseOptions("m"))
    chunks = [chunk for event in CALLS for chunk in made.build([event])]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert isinstance(chunks[0].created, int)


def test_closing_an_unstarted_stream_logs_nothing():
    from custom_handler.provider.model_response import AsyncChunkStream

    closed: list[bool] = []

    class Batches:
        async def aclose(self) -> None:
            closed.append(True)

    async def leave() -> None:
        async with contextlib.aclosing(AsyncChunkStream(Batches(), ResponseOptions("m"))):
            pass

    asyncio.run(leave())
    assert closed == [True]


LEGACY = ResponseOptions("m", legacy=True)


def test_legacy_returns_a_function_call():
    choice = build_response([*CALLS[2:5], Finish("tool_calls", Usage(42, 5))], LEGACY).choices[0]
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == (
        "get_weather",
        '{"city": "Recife"}',
    )
    assert (choice.message.tool_calls, choice.message.content, choice.finish_reason) == (None, None, "function_call")


def test_legacy_without_a_call_is_unchanged():
    choice = build_response([Text("Oi"), FINISH], LEGACY).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Oi", "stop")
    assert choice.message.function_call is None


def test_legacy_streams_a_function_call():
    made = ChunkBuilder(LEGACY)
    batches = [CALLS[:3], CALLS[3:4], CALLS[4:5], [Finish("tool_calls", Usage(42, 5))]]
    chunks = [chunk for batch in batches for chunk in made.build(batch)]
    called = [chunk.choices[0].delta.function_call for chunk in chunks]
    assert [(call.name, call.arguments) for call in called if call] == [
        ("get_weather", ""),
        (None, '{"city": '),
        (None, '"Recife"}'),
    ]
    assert not any(chunk.choices[0].delta.tool_calls for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "function_call"
    assert {chunk.choices[0].finish_reason for chunk in chunks[:-1]} == {None}
