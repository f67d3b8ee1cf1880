"""What `make soak` sees in the answers of a load."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import servers
from benchmarks.protocols import PATHS, Received, body, read_event, read_whole
from benchmarks.soak import NOTED, PREFACE, Call, Load

WHOLE = {
    PATHS[0]: {"choices": [{"message": {"content": "a", "tool_calls": [{"function": {"arguments": "{}"}}]}}]},
    PATHS[1]: {"content": [{"type": "text", "text": "a"}, {"type": "tool_use", "input": {}}]},
    PATHS[2]: {"output": [{"content": [{"text": "a"}]}, {"arguments": "{}"}]},
}
EVENTS: dict[str, list[Any]] = {
    PATHS[0]: [
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
        "[DONE]",
    ],
    PATHS[1]: [{"delta": {"text": "a"}}, {"delta": {"partial_json": "{}"}}, {"type": "message_stop"}],
    PATHS[2]: [
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.function_call_arguments.delta", "delta": "{}"},
        {"type": "response.completed"},
    ],
}


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_read_alike_whole_and_streamed(path):
    whole, streamed = Received(), Received()
    read_whole(path, WHOLE[path], whole)
    for event in EVENTS[path]:
        read_event(path, event if isinstance(event, str) else json.dumps(event), streamed)
    assert whole == streamed == Received(["a"], ["{}"], failed=False, ended=True)
    assert body(path, "m", "Oi", stream=True, tools=True)["tools"]


@pytest.mark.parametrize("path", PATHS)
def test_an_error_within_a_stream_is_seen(path):
    received = Received()
    read_event(path, json.dumps({"type": "error", "error": {"message": "no"}}), received)
    assert (received.failed, received.ended) == (True, False)


def judged(call: Call, received: Received) -> tuple[int, int, dict[str, int]]:
    load = Load(SimpleNamespace(), SimpleNamespace(), servers.STACKSPOT)
    load._judge(call, received, "trouble")
    return load.tally.lost, load.tally.doubled, dict(load.tally.outcomes)


PLAIN = next(call for call in map(Call, range(1000)) if not call.tools and not call.fault)
TOOLS = next(call for call in map(Call, range(1000)) if call.tools)
FAULTY = next(call for call in map(Call, range(1000)) if call.fault)


@pytest.mark.parametrize(
    ("call", "received", "seen"),
    [
        (PLAIN, Received([PLAIN.text], ended=True), (0, 0, {"whole": 1})),
        (PLAIN, Received([PLAIN.text[:-3]], ended=True), (3, 0, {"whole": 1})),
        (PLAIN, Received([PLAIN.text, "xy"], ended=True), (0, 2, {"whole": 1})),
        (PLAIN, Received(["x" + PLAIN.text[1:]], ended=True), (1, 0, {"whole": 1})),
        (PLAIN, Received([PLAIN.text]), (0, 0, {"whole": 1, "without an end": 1})),
        (PLAIN, Received(failed=True), (0, 0, {"failed without a fault": 1})),
        (TOOLS, Received([PREFACE], [json.dumps({"text": NOTED})], ended=True), (0, 0, {"whole": 1})),
        (TOOLS, Received([PREFACE], [json.dumps({"text": NOTED[:-1]})], ended=True), (1, 0, {"whole": 1})),
        (FAULTY, Received([FAULTY.text[:9]], failed=True), (0, 0, {"failed by its fault": 1})),
        (FAULTY, Received(["1 1 2"], failed=True), (0, 5, {"failed by its fault": 1})),
        (FAULTY, Received([FAULTY.text[:-2]], ended=True), (2, 0, {"whole in spite of its fault": 1})),
    ],
)
def test_lost_and_doubled_characters_are_counted(call, received, seen):
    assert judged(call, received) == seen
