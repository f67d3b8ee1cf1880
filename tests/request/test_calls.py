"""Calls and results in a request's messages: each needs the other."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.errors import RequestError
from custom_handler.request.calls import calls_of, require_results
from custom_handler.request.chat_request import ChatRequest
from tests.support.growth import is_linear

USER = {"role": "user", "content": "Olá"}


def asked(*ids: str) -> dict[str, Any]:
    calls = [{"id": identifier, "type": "function", "function": {"name": "now"}} for identifier in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(identifier: str | None) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identifier, "content": "12:00"}


OLD = {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}}
OLD_RESULT = {"role": "function", "name": "now", "content": "12:00"}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [asked("a"), result("a")],
        [asked("a", "b"), result("b"), result("a")],
        [asked("a"), asked("b"), result("a"), result("b")],
        [asked("a"), USER, SYSTEM, result("a"), USER],
        [asked("a"), result("a"), asked("a"), result("a")],
        [asked("a", "a"), result("a"), result("a")],
        [asked("a"), asked("a"), result("a")],
        [asked("", ""), result(None), result("x")],
        [asked("a"), result(None)],
        [asked("a"), result("a"), result("a")],
        [OLD, OLD_RESULT],
        [OLD, USER, OLD_RESULT, OLD_RESULT],
        [{"role": "assistant", "content": "", "tool_calls": []}, USER],
    ],
    ids=[
        "no calls",
        "one",
        "in another order",
        "in several messages",
        "with other messages between",
        "an id that returns",
        "an id twice",
        "a call that a bridge repeats",
        "calls without ids",
        "a result without an id",
        "a second result",
        "the older form",
        "the older form, which has no ids",
        "no call in the list",
    ],
)
def test_a_history_with_all_results_is_accepted(messages):
    assert ChatRequest.from_openai(messages, {}).messages == messages


@pytest.mark.parametrize(
    ("messages", "param", "named"),
    [
        ([USER, asked("c1")], "messages[1].tool_calls", "'c1' of 'now'"),
        ([asked("a", "b"), result("a"), USER], "messages[0].tool_calls", "'b'"),
        ([asked("a"), USER, asked("b"), result("b")], "messages[0].tool_calls", "'a'"),
        ([asked("a"), result("a"), asked("a")], "messages[2].tool_calls", "'a'"),
        ([asked("", ""), result(None)], "messages[0].tool_calls", "''"),
        ([USER, OLD], "messages[1].tool_calls", "'now'"),
        ([USER, result("c9")], "messages[1]", "'c9'"),
        ([result("a"), asked("a")], "messages[0]", "'a'"),
        ([asked("a"), result("b")], "messages[1]", "'b'"),
        ([USER, result(None)], "messages[1]", "''"),
        ([USER, asked("x" * 5000)], "messages[1].tool_calls", f"{'x' * 100}'"),
    ],
    ids=[
        "the last message",
        "one of two",
        "before another turn",
        "an id that returns",
        "one of two without ids",
        "the older form",
        "no call at all",
        "before its call",
        "another id",
        "no id",
        "a long id",
    ],
)
def test_a_call_or_a_result_without_the_other_is_refused_by_name(messages, param, named):
    with pytest.raises(RequestError) as raised:
        ChatRequest.from_openai(messages, {})
    assert (raised.value.status_code, raised.value.param) == (400, param)
    assert raised.value.message.startswith(f"{param}: the ")
    assert named in raised.value.message
    assert len(raised.value.message) < 400


def test_calls_have_id_name_and_arguments_in_both_forms():
    function = {"name": "a", "arguments": {"city": "São Paulo"}}
    message = {"tool_calls": [{"id": "c1", "function": function}, {}], "function_call": {"name": "b"}}
    assert list(calls_of(message)) == [("c1", "a", '{"city":"São Paulo"}'), ("", "", "{}"), ("", "b", "{}")]


def test_many_calls_take_linear_time():
    def check(count: int) -> None:
        ids = [f"c{number}" for number in range(count)]
        require_results([asked(*ids), *map(result, reversed(ids)), asked(*[""] * count), *map(result, ids)])

    assert is_linear(check, 20_000)


@pytest.mark.parametrize("arguments", ["[]", " [] ", "null", "", None, [], {}, "{}"])
def test_empty_arguments_are_an_empty_object(arguments: Any):
    message = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}
    [call] = calls_of(message)
    assert call.arguments == "{}"


def test_the_text_of_a_custom_call_is_its_only_argument():
    call = {"id": "c1", "type": "custom", "custom": {"name": "apply_patch", "input": 'a\n"b"'}}
    assert list(calls_of({"role": "assistant", "tool_calls": [call]})) == [
        ("c1", "apply_patch", '{"input":"a\\n\\"b\\""}')
    ]
