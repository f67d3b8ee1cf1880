"""The published forms of responses; tests/e2e/test_specifications.py holds the real ones against the SDKs' types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.proxy.middleware.published_form import (
    ChatForm,
    CompletionsForm,
    GeminiForm,
    MessagesForm,
    ResponsesForm,
    published_form_for,
)
from custom_handler.request.context import RequestContext

NO_EVENTS = (b"", b": ping\n\n", b"data: {oops\n\n", b"data: [1]\n\n", b'data: {"choices": 7, "usage":{"a":1}}\n\n')


def event(**data: Any) -> bytes:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def data_of(events: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in events.split(b"\n") if line.startswith(b"data: {")]


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    return event(id="c", choices=[{"index": 0, "delta": delta}], **more)


def messages(stop: str | None) -> MessagesForm:
    return MessagesForm(RequestContext({}, stop_sequence=stop))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/chat/completions", ChatForm),
        ("/openai/deployments/x/chat/completions", ChatForm),
        ("/v1/responses/", ResponsesForm),
        ("/v1/messages", MessagesForm),
        ("/v1/completions", CompletionsForm),
        ("/engines/x/completions", CompletionsForm),
        ("/v1beta/models/a/b:generateContent", GeminiForm),
        ("/models/a:streamGenerateContent", GeminiForm),
        ("/v1beta/models/a:countTokens", type(None)),
        ("/v1/responses/resp_1", type(None)),
        ("/v1/messages/count_tokens", type(None)),
        ("/v1/models", type(None)),
    ],
)
def test_each_route_has_its_form(path: str, kind: type) -> None:
    assert type(published_form_for(RequestContext({"path": path}))) is kind


@pytest.mark.parametrize(
    "form", [ChatForm(), CompletionsForm(), ResponsesForm(), messages("FIM"), GeminiForm(RequestContext({}))]
)
def test_what_is_of_another_form_stays_as_it_is(form: Any) -> None:
    for events in NO_EVENTS:
        assert form.stream(events).replace(b" ", b"") == events.replace(b" ", b"")
    for body in (b"", b"no JSON", b"[]"):
        assert form.whole(body) == body


def test_an_answer_of_gemini_has_an_id_and_a_model_and_no_null() -> None:
    form = GeminiForm(RequestContext({}, "r-1", model="chat"))
    added = {"modelVersion": "chat", "responseId": "r-1"}
    assert json.loads(form.whole(b'{"candidates": [{"index": 0}]}')) == {"candidates": [{"index": 0}], **added}
    first, last = event(candidates=[{"finishReason": None}]), event(candidates=[{"finishReason": "STOP"}])
    assert data_of(form.stream(first + last)) == [
        {"candidates": [{}], **added},
        {"candidates": [{"finishReason": "STOP"}], **added},
    ]
    own = {"candidates": [], "modelVersion": "gemini-3", "responseId": "g"}  # of Google itself
    assert json.loads(form.whole(json.dumps(own).encode())) == own


@pytest.mark.parametrize(
    "delta",
    [{"content": 'a }}]}\n\n "finish_reason"'}, {}, {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}],
)
def test_a_chunk_gets_its_finish_reason(delta: dict[str, Any]) -> None:
    two = chunk(delta) + chunk(delta)
    [once] = data_of(ChatForm().stream(chunk(delta)))
    assert once == {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    assert data_of(ChatForm().stream(two)) == [once, once]


def test_a_finish_reason_is_kept() -> None:
    last = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    assert ChatForm().stream(last) == last


def test_usage_has_no_choice_unless_that_says_something() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": 4}}
    [bare] = data_of(ChatForm().stream(chunk({}, usage=usage)))
    assert bare["choices"] == []
    assert bare["usage"] == {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 0}}
    [full] = data_of(ChatForm().stream(chunk({"content": "a"}, usage=usage)))
    assert full["choices"] == [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("502", "internal_server_error"), ("400", "invalid_request_error"), ("odd", "invalid_request_error")],
)
def test_an_error_in_a_stream_gets_a_type(code: str, kind: str) -> None:
    sent = event(error={"message": "x", "type": None, "code": code})
    for form in (ChatForm(), CompletionsForm()):
        [error] = data_of(form.stream(sent))
        assert error["error"]["type"] == kind


def test_a_chunk_of_a_text_completion_has_a_text_and_no_usage_that_is_not_known() -> None:
    nothing, usage = {"total_tokens": 0}, {"total_tokens": 4, "completion_tokens_details": {"text_tokens": 4}}
    sent = event(choices=[{"index": 0, "text": "a"}], usage=nothing)
    sent += event(choices=[{"index": 0, "text": None, "finish_reason": "stop"}]) + event(
        choices=[{"index": 0}], usage=usage
    )
    assert data_of(CompletionsForm().stream(sent)) == [
        {"choices": [{"index": 0, "text": "a", "logprobs": None, "finish_reason": None}]},
        {"choices": [{"index": 0, "text": "", "finish_reason": "stop", "logprobs": None}]},
        {"choices": [], "usage": {"total_tokens": 4, "completion_tokens_details": {}}},
    ]


def test_events_of_responses_are_named_and_numbered() -> None:
    settings: dict[str, Any] = {
        "id": "r",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [{"type": "function", "name": "a"}],
    }
    item = {"type": "custom_tool_call", "id": "ctc_1", "status": "completed", "input": "+ a"}
    sent = [
        event(type="response.created", response=settings, model="m", sequence_number=5),
        event(type="response.output_item.added", output_index=0, item={**item, "input": ""}),
        event(type="response.function_call_arguments.delta", item_id="ctc_1", delta="{", sequence_number=2, model="m"),
        event(type="response.function_call_arguments.done", item_id="ctc_1", arguments="{}"),
        event(type="response.output_item.done", output_index=0, item=item),
        event(type="response.failed", response={"id": "r", "parallel_tool_calls": False}),
        b"data: [DONE]\n\n",
    ]
    form = ResponsesForm()
    events = b"".join(map(form.stream, sent))
    found = data_of(events)
    assert [one["type"].removeprefix("response.") for one in found] == [
        "created",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "failed",
    ]
    assert [one["sequence_number"] for one in found] == list(range(6))
    names = [line[7:].decode() for line in events.split(b"\n") if line.startswith(b"event: ")]
    assert names == [one["type"] for one in found]
    assert not any("model" in one for one in found)
    assert (found[2]["delta"], found[3]["input"]) == ("+ a", "+ a")
    strict = [{"type": "function", "name": "a", "strict": None}]
    assert {name: found[-1]["response"][name] for name in settings} == {**settings, "tools": strict}


@pytest.mark.parametrize("kind", ["output_text", "function_call_arguments"])
@pytest.mark.parametrize("text", ["Olá", '","sequence_number":7,"model":"x"}\n\n', '"logprobs":', ""])
def test_a_delta_is_changed_alone_as_beside_another_event(kind: str, text: str) -> None:
    delta: dict[str, Any] = {"type": f"response.{kind}.delta", "item_id": "i", "output_index": 0, "delta": text}
    sent = event(**delta, sequence_number=9, model="m")
    alone, beside = ResponsesForm(), ResponsesForm()
    events = alone.stream(sent) + alone.stream(sent)
    assert data_of(events) == data_of(beside.stream(sent + sent))
    logprobs = {"logprobs": []} if kind == "output_text" else {}
    assert data_of(events) == [{**delta, **logprobs, "sequence_number": number} for number in (0, 1)]
    assert events.count(f"event: {delta['type']}\n".encode()) == 2


def test_a_delta_with_probabilities_keeps_them() -> None:
    sent = event(type="response.output_text.delta", item_id="i", logprobs=[7], delta="a", sequence_number=9, model="m")
    assert [one["logprobs"] for one in data_of(ResponsesForm().stream(sent))] == [[7]]


@pytest.mark.parametrize(("cost", "kept"), [(None, False), (0.5, True)])
def test_a_cost_is_in_the_usage_only_where_there_is_one(cost: float | None, kept: bool) -> None:
    body = json.dumps({"id": "r", "usage": {"input_tokens": 1, "cost": cost}}).encode()
    assert ("cost" in json.loads(ResponsesForm().whole(body))["usage"]) is kept


def test_a_response_of_unknown_form_is_numbered_all_the_same() -> None:
    sent = event(type="response.created", response={"tools": 7})
    assert data_of(ResponsesForm().stream(sent))[0]["sequence_number"] == 0


@pytest.mark.parametrize(("stop", "reason"), [("FIM", "stop_sequence"), (None, "end_turn")])
def test_the_stop_sequence_is_in_a_message(stop: str | None, reason: str) -> None:
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    whole = json.loads(messages(stop).whole(json.dumps(ended).encode()))
    delta = event(type="message_delta", delta=ended)
    [streamed] = data_of(messages(stop).stream(event(type="content_block_stop") + delta))[1:]
    assert whole == streamed["delta"] == {"stop_reason": reason, "stop_sequence": stop}


def test_a_limit_is_no_stop_sequence() -> None:
    body = b'{"stop_reason": "max_tokens", "stop_sequence": null}'
    assert json.loads(messages("FIM").whole(body)) == json.loads(body)
