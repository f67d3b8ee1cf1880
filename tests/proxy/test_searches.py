"""Web searches in the responses that show them; tests/e2e/test_web_search.py has the real ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.events import Page, WebSearch
from custom_handler.proxy.middleware.searches import MessagesSearches, ResponsesSearches, searches_for

FOUND = WebSearch("call_1", "taxa", (Page("https://a.example/1", "Um", "texto", "2026-11-20"),))
FAILED = WebSearch("call_2", "juros", error="unavailable", reason="HTTP 500")


def event(**data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def events_of(written: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in written.split(b"\n") if line.startswith(b"data:")]


def streamed(kind: Any, *steps: bytes | WebSearch) -> list[dict[str, Any]]:
    """Return the events that the client receives of these events, and of searches made between them."""
    adder, made, written = kind(), list[WebSearch](), b""
    for step in steps:
        if isinstance(step, WebSearch):
            made.append(step)
        else:
            written += adder.stream(step, made)
    return events_of(written)


def start(index: int, kind: str = "text") -> bytes:
    return event(type="content_block_start", index=index, content_block={"type": kind, "text": ""})


def delta(index: int, text: str = "Oi") -> bytes:
    return event(type="content_block_delta", index=index, delta={"type": "text_delta", "text": text})


def stop(index: int) -> bytes:
    return event(type="content_block_stop", index=index)


END = event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})


def blocks_of(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return index and type of each block, and hold that blocks follow each other whole."""
    open_block: int | None = None
    found = []
    for one in events:
        if one["type"] == "content_block_start":
            assert open_block is None
            open_block = one["index"]
            found.append((open_block, one["content_block"]["type"]))
        elif one["type"].startswith("content_block"):
            assert one["index"] == open_block
            open_block = None if one["type"] == "content_block_stop" else open_block
    assert open_block is None
    assert [index for index, _ in found] == list(range(len(found)))
    return found


SEARCH = ["server_tool_use", "web_search_tool_result"]


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ((start(0), FOUND, delta(0), stop(0), END), [*SEARCH, "text"]),
        ((FOUND, FAILED, start(0), delta(0), stop(0), END), [*SEARCH, *SEARCH, "text"]),
        ((start(0), delta(0), FOUND, delta(0), stop(0), END), ["text", *SEARCH, "text"]),
        (
            (start(0), delta(0), FOUND, delta(0), FAILED, delta(0), stop(0), END),
            ["text", *SEARCH, "text", *SEARCH, "text"],
        ),
        (
            (start(0), delta(0), FOUND, stop(0), start(1, "tool_use"), delta(1), stop(1), END),
            ["text", *SEARCH, "tool_use"],
        ),
        ((start(0), delta(0), stop(0), FOUND, END), ["text", *SEARCH]),
        ((start(0), delta(0), stop(0), END), ["text"]),
    ],
)
def test_blocks_of_searches_stand_where_they_were_made(steps: tuple[Any, ...], kinds: list[str]) -> None:
    events = streamed(MessagesSearches, *steps)
    assert [kind for _, kind in blocks_of(events)] == kinds
    searches = kinds.count("server_tool_use")
    assert events[-1]["usage"] == {"output_tokens": 5} | (
        {"server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 0}} if searches else {}
    )


def test_a_search_and_its_result_have_anthropics_form() -> None:
    events = streamed(MessagesSearches, FOUND, FAILED, start(0), delta(0), stop(0), END)
    begun = [one["content_block"] for one in events if one["type"] == "content_block_start"]
    assert begun[0] == {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    assert begun[1] == {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.example/1",
                "title": "Um",
                "page_age": "2026-11-20",
                "encrypted_content": "",
            }
        ],
    }
    assert begun[3]["content"] == {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert json.loads(events[1]["delta"]["partial_json"]) == {"query": "taxa"}


def test_what_is_no_block_stays_as_it_is() -> None:
    adder = MessagesSearches()
    for written in (b": ping\n\n", b"event: ping\ndata: {}\n\n", b"data: {oops\n\n", event(type="message_stop")):
        assert adder.stream(written, [FOUND]) == written


def test_a_whole_message_begins_with_its_searches() -> None:
    body = json.dumps({"content": [{"type": "text", "text": "Oi"}], "usage": {}}).encode()
    message = json.loads(MessagesSearches().whole(body, [FOUND]))
    assert [block["type"] for block in message["content"]] == [*SEARCH, "text"]
    assert message["usage"]["server_tool_use"] == {"web_search_requests": 1, "web_fetch_requests": 0}


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"content": null, "output": null}'])
@pytest.mark.parametrize("kind", [MessagesSearches, ResponsesSearches])
def test_a_body_of_another_form_stays_as_it_is(kind: Any, body: bytes) -> None:
    assert kind().whole(body, [FOUND]) == body


def item(kind: str, step: str, index: int) -> bytes:
    return event(
        type=f"response.output_item.{step}", output_index=index, item={"type": kind}, sequence_number=index + 2
    )


CREATED = event(type="response.created", response={"output": []}, sequence_number=0)


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        ((FOUND, "message"), ["web_search_call", "message"]),
        (("message", FOUND), ["message", "web_search_call"]),
        (("message", FOUND, "function_call"), ["message", "web_search_call", "function_call"]),
        ((FOUND, FAILED, "message"), ["web_search_call", "web_search_call", "message"]),
    ],
)
def test_items_of_searches_stand_where_they_were_made(order: tuple[Any, ...], kinds: list[str]) -> None:
    own = [one for one in order if isinstance(one, str)]
    steps = [one if isinstance(one, WebSearch) else item(one, "added", own.index(one)) for one in order]
    done = [item(one, "done", number) for number, one in enumerate(own)]
    output = [{"type": one} for one in own]
    end = event(type="response.completed", response={"output": output}, sequence_number=len(own) * 2 + 2)
    events = streamed(ResponsesSearches, CREATED, *steps, *done, end)
    added = [(one["output_index"], one["item"]["type"]) for one in events if one["type"].endswith("item.added")]
    assert added == list(enumerate(kinds))
    finished = {one["output_index"]: one["item"]["type"] for one in events if one["type"].endswith("item.done")}
    assert finished == dict(enumerate(kinds))
    assert [one["type"] for one in events[-1]["response"]["output"]] == kinds
    assert events[0]["response"]["output"] == []


def test_each_step_of_a_search_has_its_event_and_number() -> None:
    end = event(type="response.completed", response={"output": []}, sequence_number=1)
    events = streamed(ResponsesSearches, CREATED, FOUND, FAILED, end)
    assert [one["sequence_number"] for one in events] == list(range(12))
    assert [one["type"].removeprefix("response.") for one in events[1:6]] == [
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
    ]
    assert events[5]["item"] == {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "taxa", "sources": [{"type": "url", "url": "https://a.example/1"}]},
    }
    assert events[10]["item"]["status"] == "failed"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/messages", MessagesSearches),
        ("/team/v1/responses/", ResponsesSearches),
        ("/v1/chat/completions", type(None)),
        ("/v1/messages/count_tokens", type(None)),
    ],
)
def test_routes_that_show_searches_get_them(path: str, kind: type) -> None:
    assert isinstance(searches_for(path), kind)
