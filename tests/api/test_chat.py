"""The chat services, with an application that replaces the proxy."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from litellm.proxy._types import ProxyException
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient, WebSocketDenialResponse

from custom_handler.api import chat, playground, websocket
from custom_handler.proxy.auth import require_key
from custom_handler.proxy.client import PATH, ProxyClient
from custom_handler.proxy.middleware.wrap import wrap
from custom_handler.settings import AccountSettings, ServiceSettings

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PATHS = ["/chat", "/chat/stream", "/chat/stream-text"]


class Model:
    """Responds with deltas, then `error` if set, or with an error `status`."""

    def __init__(self) -> None:
        self.deltas: list[dict[str, Any]] = [{"content": "Olá"}, {"content": ", Ana"}]
        self.error: dict[str, Any] | None = None
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.waits = False
        self.left = threading.Event()

    async def answer(self, request: Request) -> Response:
        self.headers = dict(request.headers)
        self.asked.append(body := await request.json())
        if self.status != 200:
            return JSONResponse({"error": {"message": "not now", "code": str(self.status)}}, self.status)
        if body["stream"]:
            return StreamingResponse(self._lines(), media_type="text/event-stream")
        message = {
            "role": "assistant",
            "content": "Olá, Ana",
            **{k: v for d in self.deltas for k, v in d.items() if k != "content"},
        }
        return JSONResponse({"model": "m", "choices": [{"message": message}], "usage": USAGE})

    async def _lines(self):
        try:
            for delta in self.deltas:
                yield f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n"
            if self.waits:
                await asyncio.Event().wait()
        finally:
            self.left.set()
        end = (
            [{"error": self.error}]
            if self.error
            else [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"usage": USAGE}]
        )
        for chunk in end:
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"


@pytest.fixture
def model() -> Model:
    return Model()


async def with_a_key(connection: HTTPConnection) -> None:
    if "x-api-key" not in connection.headers:
        raise ProxyException("no key", "auth_error", None, 401)


@pytest.fixture
def client(model: Model) -> Iterator[TestClient]:
    app, settings = FastAPI(), ServiceSettings(message_bytes=1000)
    app.add_api_route(PATH, model.answer, methods=["POST"])
    proxy_client = ProxyClient.in_process(app)
    parts = (
        chat.routes(proxy_client, settings),
        websocket.routes(proxy_client, settings, with_a_key),
        playground.routes(None, AccountSettings()),
    )
    for part in parts:
        app.include_router(part)
    app.dependency_overrides[require_key] = lambda: None
    app.middleware_stack = app.build_middleware_stack()
    wrap(app)
    with TestClient(app, headers={"x-api-key": "k"}) as running:
        yield running


def test_the_json_answer_has_the_promised_fields(client, model):
    body = client.post("/chat", json={"message": "Oi"}, headers={"x-request-id": "mine"}).json()
    assert body.pop("latency_ms") >= 0
    assert body == {
        "content": "Olá, Ana",
        "reply": "Olá, Ana",
        "model": "m",
        "provider": None,
        "usage": USAGE,
        "request_id": "mine",
    }
    assert model.asked == [
        {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Oi"}], "stream": False}
    ]
    assert (model.headers["x-api-key"], model.headers["x-request-id"]) == ("k", "mine")


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/chat/stream-text"])
def test_deeply_nested_json_is_a_400_with_an_error_object(client, path):
    nested = '{"messages": ' + "[" * 50_000 + "]" * 50_000 + "}"
    answer = client.post(path, content=nested, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("asked", [("/chat/stream", {}), ("/chat", {"params": {"stream": True}})])
def test_events_are_meta_text_calls_usage_and_done(client, model, asked):
    model.deltas.append({"tool_calls": [{"index": 0, **CALL}]})
    path, more = asked
    body = client.post(path, json={"message": "Oi", **more}, headers={"x-request-id": "mine"}).text.split("\n\n")
    assert body == [
        'event: meta\ndata: {"request_id": "mine", "provider": null}',
        "data: Olá",
        "data: , Ana",
        f"event: tool_calls\ndata: {json.dumps([CALL])}",
        f"event: usage\ndata: {json.dumps(USAGE)}",
        "data: [DONE]",
        "",
    ]


def test_plain_text_begins_with_the_request_id(client, model):
    headers = {"x-request-id": "mine"}
    assert (
        client.post("/chat/stream-text", json={"message": "Oi"}, headers=headers).text == "[request_id=mine]\nOlá, Ana"
    )
    model.deltas = [{"tool_calls": [{"index": 0, **CALL}]}]
    body = client.post("/chat/stream-text", json={"message": "Oi"}, headers=headers).text
    assert body == f"[request_id=mine]\n\n[tool_calls={json.dumps([CALL])}]\n"


def test_tool_calls_are_in_the_json_answer(client, model):
    model.deltas = [{"tool_calls": [CALL]}]
    assert client.post("/chat", json={"message": "Oi"}).json()["tool_calls"] == [CALL]


@pytest.mark.parametrize("path", PATHS)
def test_an_error_of_the_proxy_keeps_its_status(client, model, path):
    model.status = 429
    body = client.post(path, json={"message": "Oi"})
    assert (body.status_code, body.json()["error"]["message"]) == (429, "not now")


def test_a_failure_in_the_stream_is_its_last_event(client, model):
    model.error = {"message": "gone", "code": "503"}
    events = client.post("/chat/stream", json={"message": "Oi"}).text.split("\n\n")
    error = '{"type": "internal_server_error", "message": "gone", "code": "503"}'
    assert events[-3:-1] == ["data: , Ana", f"event: error\ndata: {error}"]
    assert client.post("/chat/stream-text", json={"message": "Oi"}).text.endswith("Olá, Ana\n[error=gone]\n")


def test_a_socket_answers_with_the_history_of_the_session(client, model):
    with client.websocket_connect(websocket.PATH) as socket:
        socket.send_json({"question": "Oi", "session_id": "s"})
        start, *tokens, end = [socket.receive_json() for _ in range(4)]
        socket.send_json({"question": "E eu?", "session_id": "s", "model": "other", "params": {"seed": 1}})
        assert [socket.receive_json()["type"] for _ in range(4)] == ["start", "token", "token", "end"]
    assert (start["session_id"], start["model"]) == ("s", "stackspot-chat")
    assert tokens == [{"type": "token", "text": "Olá"}, {"type": "token", "text": ", Ana"}]
    assert (end["full_text"], end["usage"], end["request_id"]) == ("Olá, Ana", USAGE, start["request_id"])
    second = model.asked[1]
    assert [message["content"] for message in second["messages"]] == ["Oi", "Olá, Ana", "E eu?"]
    assert (second["model"], second["seed"]) == ("other", 1)
    assert model.headers["correlation-id"] == start["correlation_id"]


@pytest.mark.parametrize(
    ("message", "code"),
    [("{", "422"), ('{"question": "Oi"}', "422"), (json.dumps({"question": "x" * 1000, "session_id": "s"}), "413")],
)
def test_an_invalid_message_is_an_error_and_keeps_the_socket_open(client, message, code):
    with client.websocket_connect(websocket.PATH) as socket:
        socket.send_text(message)
        refused = socket.receive_json()
        assert (refused["type"], refused["code"]) == ("error", code)
        socket.send_bytes(b'{"question": "Oi", "session_id": "s"}')
        assert socket.receive_json()["type"] == "start"


def test_a_failed_question_is_an_error_and_not_in_the_history(client, model):
    with client.websocket_connect(websocket.PATH) as socket:
        model.status = 503
        socket.send_json({"question": "lost", "session_id": "s"})
        body = socket.receive_json()
        assert (body["type"], body["code"], body["message"], body["session_id"]) == ("error", "503", "not now", "s")
        model.status = 200
        socket.send_json({"question": "Oi", "session_id": "s"})
        assert [socket.receive_json()["type"] for _ in range(4)][-1] == "end"
    assert "lost" not in str(model.asked[-1])


def test_one_question_at_a_time_and_a_disconnect_cancels_it(client, model):
    model.waits = True
    with client.websocket_connect(websocket.PATH) as socket:
        socket.send_json({"question": "Oi", "session_id": "s"})
        assert [socket.receive_json()["type"] for _ in range(3)] == ["start", "token", "token"]
        socket.send_json({"question": "and?", "session_id": "s"})
        assert socket.receive_json()["code"] == "409"
        assert not model.left.is_set()
    assert model.left.wait(5)


def test_a_socket_without_a_key_is_denied(client):
    del client.headers["x-api-key"]
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(websocket.PATH):
        pass
    assert (refused.value.status_code, refused.value.json()["error"]["message"]) == (401, "no key")


def test_health_and_the_page_need_no_key(client):
    assert client.get("/healthz").json() == {"status": "ok", "model": "stackspot-chat"}
    page = client.get("/playground")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", PATHS)
def test_a_body_of_very_many_fields_is_one_error(client, path):
    answer = client.post(path, json={"message": "Oi"} | {f"field{number}": 1 for number in range(500)})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        422,
        "The request has 501 fields, the limit is 500: leave some out.",
    )


def test_a_body_that_is_no_json_is_told_by_its_own_error(client):
    answer = client.post("/chat", content="{", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "JSON" in answer.json()["error"]["message"]
