"""Chat over the WebSocket (seed 002): its example as it stands, its sessions, its errors, its load."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.support.providers import Providers
from tests.support.proxy import Proxy, Simulator
from tests.support.waiting import eventually_async

QUESTION = """{
  "question": "Explique resumidamente o que é LangChain.",
  "session_id": "sessao-teste-1"
}"""


def address(proxy: Proxy, query: str = "") -> str:
    return f"{proxy.url.replace('http', 'ws')}/ws/chat/completions{query}"


def socket(proxy: Proxy, **headers: str) -> Any:
    return connect(address(proxy), additional_headers=proxy.headers | headers, proxy=None)


async def answers(websocket: ClientConnection, *, until: str = "end") -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] not in {until, "error"}:
        told.append(json.loads(await asyncio.wait_for(websocket.recv(), 60)))
    return told


async def ask_websocket(
    websocket: ClientConnection, question: str, session_id: str = "s", **more: Any
) -> list[dict[str, Any]]:
    await websocket.send(json.dumps({"question": question, "session_id": session_id} | more))
    return await answers(websocket)


async def test_a_question_is_answered_token_by_token(services: Proxy, simulator: Simulator) -> None:
    pieces = ["LangChain", " é um framework", " para desenvolvimento..."]
    simulator.script({"match": "LangChain", "pieces": pieces, "cadence": 0.3})
    async with socket(services) as websocket:
        await websocket.send(QUESTION)
        start, *tokens, end = await answers(websocket)
    assert (start["type"], start["session_id"]) == ("start", "sessao-teste-1")
    assert {tuple(token) for token in tokens} == {("type", "text")}
    assert "".join(token["text"] for token in tokens) == "".join(pieces)
    assert len(tokens) > 1
    assert (end["type"], end["full_text"]) == ("end", "".join(pieces))
    assert end["usage"]["total_tokens"] > 0
    assert start["request_id"] == end["request_id"]


async def test_each_session_keeps_its_context_while_its_socket_is_open(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "Olá, Ana."}, *[{"text": "…"}] * 3)
    async with socket(services) as websocket:
        await ask_websocket(websocket, "Meu nome é Ana.", "a")
        await ask_websocket(websocket, "Qual é meu nome, a?", "a")
        await ask_websocket(websocket, "Qual é meu nome, b?", "b")
    async with socket(services) as websocket:
        await ask_websocket(websocket, "Qual é meu nome, c?", "a")
    prompts = {name: simulator.requests(f"meu nome, {name}?")[-1] for name in "abc"}
    assert "Meu nome é Ana." in prompts["a"]["prompt"]
    assert "Olá, Ana." in prompts["a"]["prompt"]
    assert "Ana" not in prompts["b"]["prompt"] + prompts["c"]["prompt"]
    ids = {name: prompt["headers"]["correlation-id"] for name, prompt in prompts.items()}
    assert len(set(ids.values())) == 3


async def test_the_correlation_id_of_the_handshake_goes_with_each_question(
    services: Proxy, simulator: Simulator
) -> None:
    async with socket(services, **{"correlation-id": "a conversation"}) as websocket:
        start, *_ = await ask_websocket(websocket, "Oi")
    assert start["correlation_id"] == "a conversation"
    assert simulator.requests()[-1]["headers"]["correlation-id"] == "a conversation"


async def test_nova_micro_answers_through_converse_stream(services: Proxy, providers: Providers) -> None:
    providers.text = ("Olá", ", sou", " a Nova…")
    async with socket(services) as websocket:
        start, *tokens, end = await ask_websocket(websocket, "Quem é você?", model="chat/nova-micro")
    assert (start["model"], start["provider"]) == ("chat/nova-micro", "bedrock")
    assert "".join(token["text"] for token in tokens) == end["full_text"] == "Olá, sou a Nova…"
    assert (end["usage"]["prompt_tokens"], end["usage"]["completion_tokens"]) == (7, 3)
    path, body = providers.requests[-1]
    assert path == "/model/amazon.nova-micro-v1:0/converse-stream"
    assert body["messages"] == [{"role": "user", "content": [{"text": "Quem é você?"}]}]


async def test_a_tool_call_is_told_at_the_end(services: Proxy, simulator: Simulator) -> None:
    call = 'FUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "Recife"}\nFUNCTION_CALL_END'
    simulator.script({"text": call})
    tool = {"type": "function", "function": {"name": "buscar_tempo", "parameters": {"type": "object"}}}
    async with socket(services) as websocket:
        *_, end = await ask_websocket(websocket, "Tempo?", params={"tools": [tool]})
    assert end["finish_reason"] == "tool_calls"
    assert json.loads(end["tool_calls"][0]["function"]["arguments"]) == {"cidade": "Recife"}


async def test_whatever_goes_wrong_the_socket_stays_open(services: Proxy, simulator: Simulator) -> None:
    good = {"question": "Oi", "session_id": "s"}
    wrong = {
        "{": "422",
        "[]": "422",
        b"\xff": "422",
        json.dumps({"question": "Oi"}): "422",
        json.dumps(good | {"question": ""}): "422",
        json.dumps(good | {"unknown": 1}): "422",
        json.dumps(good | {"params": {"messages": []}}): "422",
        json.dumps(good | {"question": "x" * 300_000}): "413",
        json.dumps(good | {"model": "nobody"}): "400",
    }
    async with socket(services) as websocket:
        for message, code in wrong.items():
            await websocket.send(message)
            [error] = await answers(websocket)
            assert (error["type"], error["code"]) == ("error", code)
            assert error["message"]
        simulator.script({"status": 500}, {"text": "Olá"})
        assert (await ask_websocket(websocket, "Oi"))[-1]["type"] == "error"
        assert (await ask_websocket(websocket, "Oi"))[-1]["full_text"] == "Olá"


async def test_a_failure_within_an_answer_is_told_and_forgotten(services: Proxy, simulator: Simulator) -> None:
    simulator.script(
        {"pieces": ["lost ", "text ", "…"], "cadence": 0.3, "fault": "reset_within", "after": 2}, {"text": "Olá"}
    )
    async with socket(services) as websocket:
        start, token, *_, error = await ask_websocket(websocket, "first")
        assert (start["type"], token["type"], error["type"]) == ("start", "token", "error")
        assert error["request_id"] == start["request_id"]
        await ask_websocket(websocket, "second")
    assert "lost" not in simulator.requests("second")[-1]["prompt"]


async def test_a_second_question_is_refused_while_one_is_answered(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"pieces": ["one", "two"], "fault": "stall", "after": 1}, {"text": "Olá"})
    async with socket(services) as websocket:
        await websocket.send(QUESTION)
        await answers(websocket, until="token")
        [refused] = await ask_websocket(websocket, "and?")
        assert refused["code"] == "409"
    async with socket(services) as websocket:
        assert (await ask_websocket(websocket, "and?"))[-1]["full_text"] == "Olá"


async def test_closing_the_socket_ends_the_call(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"match": "endless", "fault": "endless_empty", "cadence": 0.02, "text": "never"})
    async with socket(services) as websocket:
        await websocket.send(json.dumps({"question": "endless", "session_id": "s"}))
        await eventually_async(lambda: simulator.requests("endless"))
    await eventually_async(lambda: simulator.requests("endless")[-1]["disconnected"])


async def test_closing_the_socket_ends_a_call_of_another_provider(services: Proxy, providers: Providers) -> None:
    providers.endless = True
    async with socket(services) as websocket:
        await websocket.send(json.dumps({"question": "Oi", "session_id": "s", "model": "chat/nova-micro"}))
        await answers(websocket, until="token")
    await eventually_async(lambda: providers.left_at)


async def test_a_key_in_the_address_lets_in_and_is_in_no_log(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "Olá"})
    async with connect(address(services, f"?api_key={services.key}&from=browser"), proxy=None) as websocket:
        assert (await ask_websocket(websocket, "Oi"))[-1]["full_text"] == "Olá"
    async with connect(address(services), additional_headers={"x-api-key": services.key}, proxy=None):
        pass
    log = services.log.read_text()
    assert "/ws/chat/completions?from=browser" in log
    assert services.key not in log
    assert "api_key=" not in log


@pytest.mark.parametrize("query", ["", "?api_key=", "?api_key=sk-wrong-key", "?api_key=%0d%0a"])
async def test_a_socket_without_a_key_of_the_proxy_is_not_opened(services: Proxy, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(address(services, query), proxy=None)
    answer = refused.value.response
    assert answer.status_code in {400, 401}
    assert json.loads(answer.body)["error"]["message"]
    assert answer.headers["x-request-id"]
    assert "sk-wrong-key" not in services.log.read_text()


async def test_two_hundred_sockets_are_served_at_once(services: Proxy, simulator: Simulator) -> None:
    simulator.script({"match": "load", "pieces": ["a", "b", "c"], "times": 200, "cadence": 0.5})

    async def one(number: int) -> dict[str, Any]:
        async with connect(
            address(services), additional_headers=services.headers, proxy=None, open_timeout=60, ping_interval=None
        ) as websocket:
            return (await ask_websocket(websocket, f"load {number}", f"s{number}"))[-1]

    told = await asyncio.gather(*map(one, range(200)))
    assert [end.get("full_text") for end in told] == ["abc"] * 200
    assert {end["session_id"] for end in told} == {f"s{number}" for number in range(200)}
