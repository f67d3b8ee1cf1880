"""What makes a conversation the same one in the next request, and what another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from custom_handler.emulation.prompt.fingerprint import Fingerprint
from custom_handler.events import Finish, ReplyEvent, Text, ToolCallArguments, ToolCallStart, Usage
from custom_handler.request.chat_request import ChatRequest

SYSTEM = {"role": "system", "content": "Responda em uma frase."}
FIRST = [SYSTEM, {"role": "user", "content": "Como está o tempo em Recife?"}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Tells it", "parameters": {}}}
ANSWER = [
    Text("Vou "),
    Text("ver.\n"),
    ToolCallStart(0, "call_1", "get_weather"),
    ToolCallArguments(0, '{"city": '),
    ToolCallArguments(0, '"Recife", "unit": "C"}'),
    Finish("tool_calls", Usage(1, 1)),
]
CALL = {"id": "call_1", "type": "function"} | {
    "function": {"name": "get_weather", "arguments": '{"city": "Recife", "unit": "C"}'}
}
REPLAYED = {"role": "assistant", "content": "Vou ver.\n", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "28 °C"}


def history(messages: list[Any], owner: str = "k c", answer_format: str = "", **params: Any) -> Fingerprint:
    request = ChatRequest.from_openai(messages, {"tools": [WEATHER], **params})
    return Fingerprint(request, owner, answer_format)


def answered(*events: ReplyEvent, messages: list[Any] = FIRST) -> str | None:
    asked = history(messages)
    asked.record(events)
    return asked.answered()


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def put(messages: list[Any], at: int, **fields: Any) -> None:
    messages[at] = {**messages[at], **fields}


def spell(messages: list[Any], arguments: str, name: str = "get_weather") -> None:
    put(messages, 2, tool_calls=[{**CALL, "function": {"name": name, "arguments": arguments}}])


TOOL = {"type": "function", "function": {"name": "search", "description": "Searches", "parameters": {}}}


SAME = {
    "nothing": lambda messages, more: None,
    "blanks around the assistant's text": lambda messages, more: put(messages, 2, content=" Vou ver."),
    "the assistant's text comes as parts": lambda messages, more: put(
        messages, 2, content=[{"type": "text", "text": "Vou ver.", "annotations": []}]
    ),
    "the assistant's turn comes as two": lambda messages, more: messages.__setitem__(
        slice(2, 3), [{"role": "assistant", "content": "Vou ver."}, {**REPLAYED, "content": None}]
    ),
    "arguments are written in another way": lambda messages, more: spell(messages, '{"unit":"C",\n"city": "Recife" }'),
    "the user's text comes as a part": lambda messages, more: put(
        messages, 1, content=[{"type": "text", "text": FIRST[1]["content"], "cache_control": {"type": "ephemeral"}}]
    ),
    "the system text comes as a developer's": lambda messages, more: put(messages, 0, role="developer"),
    "call ids are the client's own": lambda messages, more: (
        put(messages, 2, tool_calls=[{**CALL, "id": "mine"}]),
        put(messages, 3, tool_call_id="mine"),
    ),
    "an empty message of the assistant's": lambda messages, more: messages.append({"role": "assistant", "content": ""}),
    "a call is demanded": lambda messages, more: more.update(tool_choice="required"),
    "another temperature": lambda messages, more: more.update(temperature=0.5, max_tokens=5000),
    "a second turn is new": lambda messages, more: messages.append(user("E em Olinda?")),
    "an image is new": lambda messages, more: messages.append(user([{"type": "image_url", "image_url": {"url": "x"}}])),
}
CHANGED = {
    "the user's text": lambda messages, more: put(messages, 1, content="Como está o tempo em Natal?"),
    "blanks in the user's text": lambda messages, more: put(messages, 1, content=FIRST[1]["content"] + " "),
    "the user's name": lambda messages, more: put(messages, 1, name="Ana"),
    "an image beside the user's text": lambda messages, more: put(
        messages, 1, content=[{"type": "text", "text": FIRST[1]["content"]}, {"type": "image_url", "image_url": {}}]
    ),
    "the system text": lambda messages, more: put(messages, 0, content=SYSTEM["content"] + "."),
    "one more system text": lambda messages, more: messages.insert(2, {"role": "system", "content": "Agora."}),
    "no system text": lambda messages, more: messages.pop(0),
    "the assistant's text": lambda messages, more: put(messages, 2, content="Vejo."),
    "blanks within the assistant's text": lambda messages, more: put(messages, 2, content="Vou  ver."),
    "no text of the assistant's": lambda messages, more: put(messages, 2, content=None),
    "the call's arguments": lambda messages, more: spell(messages, '{"city": "Natal", "unit": "C"}'),
    "the call's name": lambda messages, more: spell(messages, CALL["function"]["arguments"], "search"),
    "one more call": lambda messages, more: (put(messages, 2, tool_calls=[CALL, CALL]), messages.append(RESULT)),
    "no call": lambda messages, more: (put(messages, 2, tool_calls=None), put(messages, 3, role="user")),
    "an older turn more": lambda messages, more: messages.insert(1, user("Oi")),
    "fewer turns": lambda messages, more: messages.__delitem__(slice(2, 4)),
    "one more tool": lambda messages, more: more.update(tools=[TOOL]),
    "no tools": lambda messages, more: more.update(tools=None),
    "tools that must not be called": lambda messages, more: more.update(tool_choice="none"),
    "one call at a time": lambda messages, more: more.update(parallel_tool_calls=False),
    "JSON as the answer": lambda messages, more: more.update(answer_format="JSON"),
    "its owner": lambda messages, more: more.update(owner="k d"),
    "a tool's description": lambda messages, more: more.update(
        tools=[{"type": "function", "function": {**WEATHER["function"], "description": "Tells"}}]
    ),
}


def changed(change: Callable[[list[Any], dict[str, Any]], Any]) -> Fingerprint:
    messages: list[Any] = [*FIRST, REPLAYED, RESULT]
    more: dict[str, Any] = {}
    change(messages, more)
    return history(messages, **more)


@pytest.mark.parametrize("change", SAME)
def test_a_fingerprint_is_the_same_for_the_same_turns(change):
    assert changed(SAME[change]).seen == answered(*ANSWER)


@pytest.mark.parametrize("change", CHANGED)
def test_a_conversation_is_another_where_something_differs(change):
    assert changed(CHANGED[change]).seen != answered(*ANSWER)


def test_no_two_changes_make_the_same_conversation():
    found = [changed(change).seen for change in CHANGED.values()]
    found = [fingerprint for fingerprint in found if fingerprint]
    assert len(set(found)) == len(found) - 1  # tools that must not be called are no tools


def test_an_agent_has_seen_all_turns_up_to_the_assistants_last():
    later = [
        *FIRST,
        REPLAYED,
        RESULT,
        {"role": "assistant", "content": "28 graus."},
        user("E em Olinda?"),
        user("Logo?"),
    ]
    assert [history(messages).turns_seen for messages in (FIRST, later[:4], later)] == [0, 2, 4]
    assert history(later).seen == answered(Text("28 graus."), messages=later[:4])


def test_a_new_conversation_has_no_seen_turns():
    assert (history(FIRST).seen, history(FIRST).open) == (None, True)


def test_a_conversation_that_ends_with_the_assistant_is_not_open():
    unfinished = history([*FIRST, {"role": "assistant", "content": "Vou"}])
    assert (unfinished.open, unfinished.seen, unfinished.turns_seen) == (False, None, 0)


@pytest.mark.parametrize("said", [(), (Text(""),), (Text(" \n"),), (Finish("stop", Usage(1, 1)),)])
def test_an_empty_answer_has_no_fingerprint(said):
    assert answered(*said) is None


def test_no_result_depends_on_how_the_answer_was_cut():
    texts = {answered(*(Text("Vou ver."[at:to]) for at, to in itertools.pairwise((0, cut, 8)))) for cut in range(9)}
    assert len(texts) == 1


def test_a_fingerprint_contains_no_text():
    fingerprint = answered(*ANSWER)
    assert fingerprint
    assert len(fingerprint) == 48
    assert set(fingerprint) <= set("0123456789abcdef")


def test_a_text_that_no_encoding_has_is_no_obstacle():
    assert history([*FIRST, REPLAYED, RESULT, user("meio \ud83d caractere")]).seen == answered(*ANSWER)


def test_the_older_form_of_calls_goes_on_too():
    function = {"name": "get_weather", "arguments": '{"city": "Recife", "unit": "C"}'}
    legacy = {"role": "assistant", "content": "Vou ver.", "function_call": function}
    result = {"role": "function", "name": "get_weather", "content": "28 °C"}
    assert history([*FIRST, legacy, result]).seen == answered(*ANSWER)
