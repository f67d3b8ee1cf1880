"""The LLM API service's own commands and promises (seed 004): chat, streams and request ids."""

from __future__ import annotations

import json
import uuid
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.support.providers import Providers
from tests.support.proxy import Proxy, Simulator
from tests.support.seeds import run
from tests.support.waiting import eventually

DEMO = """curl -s http://127.0.0.1:8000/health >/dev/null
curl -s http://127.0.0.1:8000/ >/dev/null
curl -N -X POST http://127.0.0.1:8000/chat/stream-text \\
  -H "Content-Type: application/json" \\
  -d '{"message":"Give 3 bullets about Kuwait"}'"""
KUWAIT = "- oil\n- pearls\n- heat"


def test_the_demo_prints_the_request_id_and_then_the_text(
    services: Proxy, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.script({"match": "Kuwait", "text": KUWAIT})
    first, text = run(DEMO, services, tmp_path).split("\n", 1)
    assert uuid.UUID(first.removeprefix("[request_id=").removesuffix("]"))
    assert text == KUWAIT


def test_a_message_gets_a_reply(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "Hi"})
    told = services.post("/chat", {"message": "Hello"}, **{"x-request-id": "mine-1"})
    assert told.json()["reply"] == "Hi"
    assert told.json()["request_id"] == told.headers["x-request-id"] == "mine-1"


def test_a_stream_is_meta_then_chunks_then_done(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"pieces": ["- oil\n", "- pearls"], "cadence": 0.05})
    answer = services.post("/chat/stream", {"message": "Kuwait"}, **{"x-request-id": "mine-2"})
    events = [event.split("\n") for event in answer.text.removesuffix("\n\n").split("\n\n")]
    texts = [
        "\n".join(line.removeprefix("data: ") for line in event) for event in events if event[0].startswith("data: ")
    ]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[0][0] == "event: meta"
    assert json.loads(events[0][1].removeprefix("data: "))["request_id"] == "mine-2"
    assert "".join(texts) == "- oil\n- pearls[DONE]"
    assert events[-2][0] == "event: usage"
    assert events[-1] == ["data: [DONE]"]


def test_a_tool_call_is_told_in_every_form(services: Proxy, simulator: Simulator) -> None:
    call = 'FUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "São Paulo"}\nFUNCTION_CALL_END'
    simulator.script(*[{"text": call}] * 3)
    tool = {"type": "function", "function": {"name": "buscar_tempo", "parameters": {"type": "object"}}}
    asked = {"message": "Tempo?", "params": {"tools": [tool]}}
    [whole] = services.post("/chat", asked).json()["tool_calls"]
    assert whole["function"]["name"] == "buscar_tempo"
    assert json.loads(whole["function"]["arguments"]) == {"cidade": "São Paulo"}
    events = services.post("/chat/stream", asked).text
    assert json.loads(events.split("event: tool_calls\ndata: ")[1].split("\n")[0])[0]["function"] == whole["function"]
    assert '[tool_calls=[{"id"' in services.post("/chat/stream-text", asked).text


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/chat/stream-text"])
def test_a_failure_before_the_answer_has_its_status(services: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"status": 429, "headers": {"retry-after": "2"}})
    refused = services.post(path, {"message": "Hello"})
    assert (refused.status_code, refused.headers.get("retry-after")) == (429, "2")
    assert refused.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/chat/stream", "/chat/stream-text"])
def test_a_failure_within_the_stream_is_told_in_it(services: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"pieces": ["- oil ", "- pearls ", "- heat"], "cadence": 0.3, "fault": "reset_within", "after": 2})
    answer = services.post(path, {"message": "Hello"})
    assert answer.status_code == 200
    assert "- oil" in answer.text
    assert "[DONE]" not in answer.text
    mark = "\n\nevent: error\ndata: {" if path == "/chat/stream" else "\n[error="
    assert mark in answer.text


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/chat/stream-text"])
def test_a_request_that_says_nothing_or_says_it_twice_is_refused(services: Proxy, path: str) -> None:
    for body in (
        {},
        {"message": "a", "prompt": "b"},
        {"system_prompt": "a"},
        {"message": ""},
        {"message": "a", "x": 1},
    ):
        refused = services.post(path, body)
        assert (refused.status_code, refused.json()["error"]["type"]) == (422, "invalid_request_error")


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/chat/stream-text"])
def test_without_a_key_nothing_is_answered(services: Proxy, path: str) -> None:
    refused = httpx.post(f"{services.url}{path}", json={"message": "Hello"}, trust_env=False)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"]


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-litellm-api-key"])
def test_the_key_comes_in_any_header_that_the_proxy_takes(services: Proxy, simulator: Simulator, header: str) -> None:
    simulator.script({"text": "Hi"})
    told = httpx.post(
        f"{services.url}/chat", json={"message": "Hello"}, headers={header: services.key}, timeout=30, trust_env=False
    )
    assert told.json()["reply"] == "Hi"


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/v1/chat/completions"])
def test_the_correlation_id_reaches_the_agent(services: Proxy, simulator: Simulator, path: str) -> None:
    body = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Hello"}]}
    services.post(path, body, **{"correlation-id": "a conversation"})
    assert simulator.requests()[-1]["headers"]["correlation-id"] == "a conversation"


@pytest.mark.parametrize(("path", "status"), [("/health/liveliness", 200), ("/v1/models", 401), ("/nothing", 404)])
def test_every_answer_of_the_proxy_has_a_request_id(services: Proxy, path: str, status: int) -> None:
    kept = httpx.get(f"{services.url}{path}", headers={"x-request-id": "mine"}, trust_env=False)
    made = httpx.get(f"{services.url}{path}", headers={"x-request-id": "é".encode()}, trust_env=False)
    assert (kept.status_code, kept.headers["x-request-id"]) == (status, "mine")
    assert uuid.UUID(made.headers["x-request-id"])


def test_the_request_id_is_in_the_log(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "Hi"})
    services.post("/chat", {"message": "Hello"}, **{"x-request-id": "find-me-in-the-log"})
    assert "[find-me-in-the-log] custom_handler" in services.log.read_text()


@pytest.mark.parametrize("path", ["/chat/stream", "/chat/stream-text", "/chat"])
def test_a_client_that_leaves_ends_the_call(
    services: Proxy, providers: Providers, simulator: Simulator, path: str
) -> None:
    simulator.script({"fault": "endless_empty", "cadence": 0.02, "text": "never"})
    client = HTTPConnection(services.url.removeprefix("http://"))
    client.request("POST", path, '{"message": "leave"}', services.headers | {"content-type": "application/json"})
    eventually(lambda: simulator.requests("leave"))
    client.close()
    eventually(lambda: simulator.requests("leave")[-1]["disconnected"])
