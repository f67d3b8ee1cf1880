"""The wrapper keeps a response before its client has the last byte of it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.request.context import current_request
from custom_handler.request.response_turn import ResponseTurn

NULL = ("error", "incomplete_details", "instructions", "temperature", "top_p", "max_output_tokens", "reasoning")
RESPONSE = dict.fromkeys((*NULL, "previous_response_id", "truncation", "usage", "user")) | {
    "id": "resp_1",
    "object": "response",
    "metadata": {},
    "text": {},
    "output": [{"text": "Olá"}],
}


async def served(*bodies: bytes, kind: str = "application/json", status: int = 200, **options: Any) -> list[Any]:
    """Serve these parts of a response; return in order what was kept, and what the client received."""
    path, encoding = options.pop("path", "/v1/responses"), options.pop("encoding", "")
    told: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        request = current_request()
        assert request is not None
        request.model, request.response_turn = "chat", ResponseTurn("a", [], 0, **({"bridged": True} | options))
        headers = [(b"content-type", kind.encode())] + ([(b"content-encoding", encoding.encode())] if encoding else [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, body in enumerate(bodies, 1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            told.append(message["body"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def keep(turn: ResponseTurn, response: dict[str, Any]) -> None:
        told.append((turn.owner, response))

    scope = {"type": "http", "path": path, "method": "POST", "headers": []}
    await ProxyWrapper(app, keep=keep)(scope, receive, send)
    return told


def event(name: str, response: Any = RESPONSE) -> bytes:
    return f"data: {json.dumps({'type': f'response.{name}', 'response': response})}\n\n".encode()


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/openai/v1/responses"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_whole_response_is_kept_before_it_is_sent(path: str, encoding: str) -> None:
    body = json.dumps(RESPONSE).encode()
    if encoding:
        body = gzip.compress(body)
    kept, sent = await served(body[:9], body[9:], path=path, encoding=encoding)
    assert (kept, json.loads(sent)) == (("a", RESPONSE), RESPONSE)


@pytest.mark.parametrize("name", ["completed", "incomplete", "failed"])
async def test_a_stream_is_kept_before_the_event_that_ends_it_is_sent(name: str) -> None:
    parts = [event("created"), b'data: {"type":"response.output_text.delta"}\n\n', event(name), b"data: [DONE]\n\n"]
    first, second, kept, end, last = await served(*parts, kind="text/event-stream; charset=utf-8")
    assert kept == ("a", {**RESPONSE, "model": "chat"})
    assert (b"response.created" in first, b"output_text.delta" in second, last) == (True, True, b"")
    assert json.loads(end.partition(b"data: ")[2])["response"] == kept[1]


async def test_the_response_names_the_one_that_it_continues() -> None:
    kept, sent = await served(json.dumps(RESPONSE).encode(), previous="resp_0")
    assert kept[1]["previous_response_id"] == json.loads(sent)["previous_response_id"] == "resp_0"
    first, kept, end = await served(event("created"), event("completed"), kind="text/event-stream", previous="resp_0")
    for part in (first, end):
        assert json.loads(part.partition(b"data: ")[2])["response"]["previous_response_id"] == "resp_0"
    assert kept[1]["previous_response_id"] == "resp_0"


@pytest.mark.parametrize(
    "options",
    [
        {"wanted": False},
        {"bridged": False},
        {"path": "/v1/responses/compact"},
        {"status": 400},
    ],
    ids=["store is false", "its provider keeps it", "another route", "an error"],
)
async def test_other_responses_are_not_kept(options: dict[str, Any]) -> None:
    body = json.dumps(RESPONSE).encode()
    assert [json.loads(part) for part in await served(body, **options)] == [RESPONSE]
    assert len(await served(event("completed"), kind="text/event-stream", **options)) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b'{"object": "response"}', b'{"object":"response","id":7}'])
async def test_what_is_no_response_passes_unchanged(body: bytes) -> None:
    assert await served(body) == [body]
    stream = b'data: {"type": "response.completed", "response": ' + (body or b"null") + b"}\n\n"
    assert len(await served(stream, kind="text/event-stream")) == 1
