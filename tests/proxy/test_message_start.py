"""The first event of a stream of /v1/messages has the estimated tokens of the prompt."""

from __future__ import annotations

import json

import pytest

from custom_handler.proxy.middleware.message_start import message_start_for

START = {
    "type": "message_start",
    "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 0, "output_tokens": 0}},
}


def event(data: object, name: str = "message_start") -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def read(first: bytes) -> dict[str, object]:
    found = json.loads(first.partition(b"data: ")[2].partition(b"\n")[0])
    assert isinstance(found, dict)
    return found


def test_the_tokens_are_set_once_behind_comments() -> None:
    change = message_start_for("/v1/messages")
    assert change is not None
    delta = event(
        {"type": "content_block_delta", "delta": {"text": 'event: message_start\ndata: {"message": 1}'}}, "delta"
    )
    assert change.stream(b": ping\n\n", 264) == b": ping\n\n"
    changed = change.stream(event(START) + delta, 264)
    assert read(changed)["message"] == {**START["message"], "usage": {"input_tokens": 264, "output_tokens": 0}}
    assert changed.endswith(b"\n\n" + delta)
    assert change.stream(event(START), 264) == event(START)


@pytest.mark.parametrize(
    "first",
    [
        event({"type": "error", "error": {"message": "message_start"}}, "error"),
        event({"type": "message_start", "message": {}}),
        b"event: message_start\ndata: {\n\n",
        json.dumps({"content": [{"text": "event: message_start\ndata: {}"}]}).encode(),
        b"",
    ],
)
def test_anything_else_stays_as_it_is(first: bytes) -> None:
    change = message_start_for("/anthropic/v1/messages/")
    assert change is not None
    assert change.stream(first, 264) == first


def test_a_count_that_is_there_already_stays() -> None:
    change = message_start_for("/v1/messages")
    assert change is not None
    counted = json.loads(json.dumps(START).replace('"input_tokens": 0', '"input_tokens": 7'))
    assert read(change.stream(event(counted), 264)) == counted
