"""The openai SDK against the real proxy: whole answers, streams, tools and conversation tracking."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.support.proxy import Proxy, Simulator

WEATHER = {
    "type": "function",
    "function": {
        "name": "buscar_tempo",
        "description": "Busca o tempo de uma cidade",
        "parameters": {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]},
    },
}
CALL = 'Vou ver.\nFUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "São Paulo"}\nFUNCTION_CALL_END\n'


def create(client: openai.OpenAI, text: str, **params: Any) -> Any:
    return client.chat.completions.create(
        model="stackspot-chat", messages=[{"role": "user", "content": text}], **params
    )


def test_a_whole_answer_has_the_agents_text_and_token_counts(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "Olá, João! 🙂", "tokens": {"user": None, "enrichment": None, "input": 42, "output": 5}})
    answer = create(client, "Oi")
    assert answer.choices[0].message.content == "Olá, João! 🙂"
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (42, 5, 47)
    assert answer.model == "stackspot-chat"


def test_a_stream_is_one_answer_in_pieces(client: openai.OpenAI, simulator: Simulator) -> None:
    pieces = ["Era ", "uma ", "vez", "…"]
    simulator.script({"pieces": pieces, "cadence": 0.02, "tokens": {"input": 7, "output": 4}})
    chunks = list(create(client, "Conte", stream=True, stream_options={"include_usage": True}))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "".join(pieces)
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert len({chunk.id for chunk in chunks}) == len({chunk.created for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"stackspot-chat"}
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
    assert [(c.usage.prompt_tokens, c.usage.completion_tokens) for c in chunks if c.usage] == [(7, 4)]


def test_a_block_in_the_agents_text_becomes_a_tool_call(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": CALL})
    choice = create(client, "O tempo?", tools=[WEATHER]).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Vou ver.")
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("buscar_tempo", {"cidade": "São Paulo"})


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_a_streamed_tool_call_arrives_whole_however_the_network_cut_it(
    client: openai.OpenAI, simulator: Simulator, cut: int
) -> None:
    simulator.script({"text": CALL + CALL.removeprefix("Vou ver.\n"), "cut": cut})
    with client.chat.completions.stream(
        model="stackspot-chat", messages=[{"role": "user", "content": "O tempo?"}], tools=[WEATHER]
    ) as stream:
        choice = stream.get_final_completion().choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Vou ver.")
    calls = choice.message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"cidade": "São Paulo"}] * 2
    assert len({call.id for call in calls}) == 2


def test_a_long_call_goes_out_whole(client: openai.OpenAI, simulator: Simulator) -> None:
    """A fault at its end can still be repaired: what has gone out could not be."""
    lines = [f"linha {number}: abcdefghij\\n" for number in range(200)]
    head = 'FUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "'
    simulator.script({"pieces": [head, *lines, '"}\nFUNCTION_CALL_END'], "cadence": 0.002})
    deltas = [
        call.function.arguments
        for chunk in create(client, "Escreva", tools=[WEATHER], stream=True)
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
    ]
    assert len(list(filter(None, deltas))) == 1
    assert len(json.loads("".join(deltas))["cidade"].splitlines()) == 200


def test_a_tool_loop_runs_to_its_answer(client: openai.OpenAI, simulator: Simulator) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Use as ferramentas disponíveis."},
        {"role": "user", "content": "Qual o tempo em São Paulo?"},
    ]
    first = client.chat.completions.create(model="stackspot-chat", messages=messages, tools=[WEATHER])
    [call] = first.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments) == {"cidade": "São Paulo"}
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "25°C, ensolarado"}]
    second = client.chat.completions.create(model="stackspot-chat", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "25°C, ensolarado" in (second.choices[0].message.content or "")


def test_the_correlation_id_travels_to_the_agent_and_into_the_log(
    proxy: Proxy, client: openai.OpenAI, simulator: Simulator
) -> None:
    headers = {"correlation-id": "conversa-teste-123"}
    create(client, "Rastreie o tempo em São Paulo", tools=[WEATHER], extra_headers=headers)
    [request] = simulator.requests("Rastreie o tempo")
    assert request["headers"]["correlation-id"] == "conversa-teste-123"
    assert "[conversa-teste-123] Tool calls: buscar_tempo" in proxy.log.read_text()


def test_the_agent_is_asked_for_a_stream_with_four_fields_and_no_others(
    client: openai.OpenAI, simulator: Simulator
) -> None:
    create(
        client,
        "Quais campos?",
        temperature=0.2,
        max_tokens=50,
        user="ana",
        extra_body={"agent_id": "evil", "realm": "x"},
    )
    [request] = simulator.requests("Quais campos?")
    assert request["body"] == {"streaming": True, "stackspot_knowledge": False, "return_ks_in_response": False}
    assert request["agent_id"] == simulator.environ["STACKSPOT_GENAI_AGENT_ID"]


async def test_a_client_that_leaves_ends_the_agents_work(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script({"pieces": ["palavra "] * 1000, "cadence": 0.02, "match": "Vou embora"})
    client = openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key)
    stream = await client.chat.completions.create(
        model="stackspot-chat", messages=[{"role": "user", "content": "Vou embora"}], stream=True
    )
    await anext(aiter(stream))
    await stream.close()
    await client.close()
    for _ in range(100):
        if simulator.requests("Vou embora")[0]["disconnected"]:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the agent still writes")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_choice_may_allow_some_of_the_tools(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": CALL})
    other = {"type": "function", "function": {"name": "outra", "parameters": {}}}
    named = {"type": "function", "function": {"name": "buscar_tempo"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    answer = create(client, "Tempo?", tools=[other, WEATHER], tool_choice=choice, stream=stream)
    reasons = (
        [chunk.choices[0].finish_reason for chunk in answer if chunk.choices]
        if stream
        else [answer.choices[0].finish_reason]
    )
    assert reasons[-1] == "tool_calls"
    (request,) = simulator.requests()
    assert '"name":"buscar_tempo"' in request["prompt"]
    assert "outra" not in request["prompt"]
    assert "at least one FUNCTION_CALL_START block." in request["prompt"]
