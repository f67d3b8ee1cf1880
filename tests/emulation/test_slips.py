"""What weaker models write instead of a correct block, and honest replies that only look like one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from custom_handler.emulation.answer import UNREADABLE, AnswerAssembler
from custom_handler.events import ReplyEvent, Text, ToolCallArguments, ToolCallStart
from custom_handler.request.chat_request import ChatRequest, Tool

CASES = Path(__file__).parents[1] / "cases"
SIZES = (0, 1, 7)  # of the pieces in which the reply arrives; 0: whole
MOST_REQUESTS = 1.3  # of a case, on average
# What the files hold of weaker models: our blocks in a wrong form, and calls in no known form, which are repaired.
SLIPS = {"slips.jsonl": MOST_REQUESTS, "slips_more.jsonl": MOST_REQUESTS, "slips_foreign.jsonl": 2}
LEAST_RIGHT = 0.99


@cache
def lines(name: str) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").split("\n") if line]


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)] if size else [text]


def request(case: dict[str, Any]) -> ChatRequest:
    tools = tuple(Tool(name, "", schema) for name, schema in case["tools"].items())
    return ChatRequest(({"role": "user", "content": "Go on."},), tools)


def read(asked: ChatRequest, parts: Sequence[str]) -> tuple[AnswerAssembler, list[ReplyEvent]]:
    answer = AnswerAssembler(asked)
    events: list[ReplyEvent] = []
    for part in parts:
        if answer.done:
            break
        events += answer.feed(part)
    return answer, events + answer.flush()


def correct(case: dict[str, Any]) -> str:
    """Return the blocks that an agent writes when it is asked again."""
    blocks = (
        f"FUNCTION_CALL_START\n{call['name']}\narguments: {json.dumps(call['arguments'])}\nFUNCTION_CALL_END"
        for call in case["expected"]["calls"]
    )
    return "\n".join(blocks) or "Ok."


def answered(case: dict[str, Any], size: int) -> tuple[str, list[tuple[str, Any]], int]:
    """Return the content and the calls that the client gets, and the number of requests."""
    asked = request(case)
    answer, events = read(asked, pieces(case["text"], size))
    requests = 1
    if answer.repair_reason():
        requests = 2
        assert answer.repair_instruction()
        answer.apply_repair(read(asked, [correct(case)])[0])
    events += answer.release_held()
    names = [event.name for event in events if isinstance(event, ToolCallStart)]
    arguments = ["" for _ in names]
    for event in events:
        if isinstance(event, ToolCallArguments):
            arguments[event.index] += event.arguments
    calls = [(name, json.loads(written)) for name, written in zip(names, arguments, strict=True)]
    return "".join(event.text for event in events if isinstance(event, Text)), calls, requests


def is_right(case: dict[str, Any], content: str, calls: list[tuple[str, Any]]) -> bool:
    expected = [(call["name"], call["arguments"]) for call in case["expected"]["calls"]]
    return calls == expected and not any(text in content for text in case["expected"]["not_in_text"])


@pytest.mark.parametrize("name", SLIPS)
@pytest.mark.parametrize("size", SIZES)
def test_slips_end_right_for_few_requests(name: str, size: int) -> None:
    cases = [case for case in lines(name) if not case["debatable"]]
    results = [(case, *answered(case, size)) for case in cases]
    wrong = [case["id"] for case, content, calls, _ in results if not is_right(case, content, calls)]
    assert len(wrong) <= (1 - LEAST_RIGHT) * len(cases), wrong
    assert sum(requests for *_, requests in results) <= SLIPS[name] * len(cases)


@pytest.mark.parametrize("name", SLIPS)
def test_no_slip_ends_differently_for_another_cut(name: str) -> None:
    for case in lines(name):
        whole = answered(case, 0)
        assert all(answered(case, size) == whole for size in (1, 3, 16)), case["id"]


@pytest.mark.parametrize("tools", [True, False], ids=["tools", "no tools"])
def test_an_honest_reply_is_not_altered_and_asks_for_no_repair(*, tools: bool) -> None:
    for case in lines("honest.jsonl"):
        for size in SIZES:
            asked = request(case) if tools else ChatRequest(({"role": "user", "content": "Go on."},))
            answer, events = read(asked, pieces(case["text"], size))
            assert answer.repair_reason() == "", case["id"]
            events += answer.release_held()
            assert all(isinstance(event, Text) for event in events), case["id"]
            assert "".join(event.text for event in events if isinstance(event, Text)) == case["text"], case["id"]


def test_a_call_in_another_form_is_never_executed_and_goes_out_as_written_without_a_repair() -> None:
    foreign = [case for name in SLIPS for case in lines(name) if case.get("foreign")]
    assert len(foreign) > 100
    for case in foreign:
        answer, events = read(request(case), [case["text"]])
        assert answer.repair_reason() == UNREADABLE, case["id"]
        events += answer.release_held()
        assert "".join(event.text for event in events if isinstance(event, Text)) == case["text"], case["id"]
        assert not answer.calls, case["id"]
