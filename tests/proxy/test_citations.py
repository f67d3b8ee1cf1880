"""Sources in the responses of protocols whose bridge loses them; tests/e2e/test_knowledge.py has the real ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.events import Source
from custom_handler.proxy.middleware.citations import MessagesCitations, ResponsesCitations, citations_for

SOURCES = (Source("Payments handbook", id="01KA"), Source("Wiki", url="https://wiki.example/1"))


def event(**data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def types(events: bytes) -> list[str]:
    return [json.loads(line[5:])["type"] for line in events.split(b"\n") if line.startswith(b"data:")]


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/metrics", "/v1/responses/resp_1", "/v1/messages/count_tokens"]
)
def test_other_routes_need_nothing(path: str) -> None:
    assert citations_for(path) is None


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses/", "/team/v1/messages"])
def test_routes_of_bridges_get_citations(path: str) -> None:
    assert citations_for(path) is not None


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"content": null}', b'{"output": 7}'])
@pytest.mark.parametrize("kind", [MessagesCitations, ResponsesCitations])
def test_a_body_of_another_form_stays_as_it_is(kind: Any, body: bytes) -> None:
    assert kind().whole(body, SOURCES).replace(b" ", b"") == body.replace(b" ", b"")


@pytest.mark.parametrize("kind", [MessagesCitations, ResponsesCitations])
def test_what_is_no_event_stays_as_it_is(kind: Any) -> None:
    for events in (
        b": ping\n\n",
        b"data: [DONE]\n\n",
        b"event: ping\ndata: {}\n\n",
        b"data: {oops\n\n",
        b"data: [1]\n\n",
    ):
        assert kind().stream(events, SOURCES) == events


def test_citations_of_a_message_come_once_before_the_end_of_its_text() -> None:
    citations = MessagesCitations()
    first = citations.stream(
        event(type="content_block_delta", index=0) + event(type="content_block_stop", index=0), SOURCES
    )
    assert types(first) == ["content_block_delta", *["content_block_delta"] * 2, "content_block_stop"]
    again = event(type="content_block_stop", index=1)
    assert citations.stream(again, SOURCES) == again


def test_events_of_a_response_are_numbered_without_gaps() -> None:
    added = event(type="response.output_text.annotation.added", sequence_number=5)
    done = event(type="response.output_text.done", item_id="m", text="Olá", sequence_number=6)
    last = event(type="response.completed", response={"output": []}, sequence_number=7)
    citations = ResponsesCitations()
    events = b"".join(citations.stream(one, SOURCES) for one in (added, done + last))
    found = [json.loads(line[5:]) for line in events.split(b"\n") if line.startswith(b"data:")]
    assert [one["sequence_number"] for one in found] == [5, 6, 7, 8]
    assert [one["annotation"] for one in found[:2]] == [
        {"type": "file_citation", "file_id": "01KA", "filename": "Payments handbook", "index": 3},
        {"type": "url_citation", "start_index": 3, "end_index": 3, "url": "https://wiki.example/1", "title": "Wiki"},
    ]
