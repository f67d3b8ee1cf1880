"""The proxy's other two protocols: the Anthropic SDK on /v1/messages, the openai SDK's responses on /v1/responses."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.support.proxy import Proxy, Simulator

SCHEMA = {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]}
CALL = 'Vou ver.\nFUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "São Paulo"}\nFUNCTION_CALL_END\n'
TOKENS = {"input": 30, "output": 12}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_anthropic_sdk_gets_text_then_the_tool_use(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": CALL, "tokens": TOKENS})
    client = anthropic.Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0)
    ask = {
        "model": "stackspot-chat",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "O tempo?"}],
        "tools": [{"name": "buscar_tempo", "description": "Busca o tempo", "input_schema": SCHEMA}],
    }
    if stream:
        with client.messages.stream(**ask) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**ask)
    text, call = message.content
    assert (text.type, text.text, message.stop_reason) == ("text", "Vou ver.", "tool_use")
    assert (call.type, call.name, call.input) == ("tool_use", "buscar_tempo", {"cidade": "São Paulo"})
    assert (message.usage.input_tokens, message.usage.output_tokens) == (30, 12)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("content", ["E agora?", [{"type": "function_call_output", "call_id": "c1", "output": "25"}]])
def test_a_response_that_is_not_kept_is_a_404(proxy: Proxy, simulator: Simulator, stream: bool, content: Any) -> None:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as client:
        first = client.responses.create(model="stackspot-chat", input="Meu nome é Ana.", store=False)
        with pytest.raises(openai.NotFoundError, match="Send the whole conversation in input") as raised:
            client.responses.create(model="stackspot-chat", input=content, previous_response_id=first.id, stream=stream)
    assert (raised.value.param, raised.value.code) == ("previous_response_id", "previous_response_not_found")
    assert len(simulator.requests()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_responses_api_gets_the_function_call(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": CALL, "tokens": TOKENS})
    client = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0)
    tool = {"type": "function", "name": "buscar_tempo", "description": "Busca o tempo", "parameters": SCHEMA}
    ask = {"model": "stackspot-chat", "input": "O tempo?", "tools": [tool]}
    if stream:
        with client.responses.stream(**ask) as events:
            response = events.get_final_response()
    else:
        response = client.responses.create(**ask)
    [call] = [item for item in response.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("buscar_tempo", {"cidade": "São Paulo"})
    assert "Vou ver." in response.output_text
    assert (response.usage.input_tokens, response.usage.output_tokens) == (30, 12)
