"""What Spring AI sends and reads, 1.x with its own client and 2.x with openai-java, as their sources have it.

Neither runs here. The bodies are those of `OpenAiChatModel.createRequest` (1.1) and of `OpenAiCompletionsChatModel` (2.x).
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.protocols import STREAMED, block
from tests.support.proxy import Proxy, Simulator

GENERATIONS = pytest.mark.parametrize("generation", [1, 2])
QUESTION = "Como está o tempo em Recife e em Natal?"
# As Spring AI's JsonSchemaGenerator writes it.
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "cidade": {"type": "string", "description": "A cidade"},
        "dias": {"type": "integer", "format": "int32"},
    },
    "required": ["cidade"],
    "additionalProperties": False,
}
FINISHED = {
    "stop",
    "length",
    "content_filter",
    "tool_calls",
    "function_call",
    "tool_call",
}  # an enum: others are errors


@pytest.fixture
def settings(proxy: Proxy) -> dict[str, str]:
    text = (ROOT / "examples/spring_ai/application.properties").read_text()
    return dict(re.findall(r"^spring\.ai\.openai\.([\w.-]+)=(.*)$", text, re.MULTILINE))


def request(
    generation: int, messages: list[dict[str, Any]], model: str, *, stream: bool, **more: Any
) -> dict[str, Any]:
    """Return the body for messages of the user, or of a tool loop."""
    function = {"name": "buscarTempo", "description": "Busca o tempo", "parameters": SCHEMA}
    if generation == 1:
        return {
            "messages": messages,
            "model": model,
            "stream": stream,
            "temperature": 0.7,
            "tools": [{"type": "function", "function": function}],
        } | more
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    tools = [{"type": "function", "function": function | {"strict": False}}]
    return {"messages": messages, "model": model, "tools": tools} | streamed | more


def history(generation: int, calls: list[dict[str, Any]], results: list[str]) -> list[dict[str, Any]]:
    """Return a tool loop's messages: a result of Java is JSON, a string of it in quotes."""
    called = {"role": "assistant", "tool_calls": calls} | ({"content": ""} if generation == 1 else {})
    named = {"name": "buscarTempo"} if generation == 1 else {}
    told = [
        {"role": "tool", "content": json.dumps(result, ensure_ascii=False), "tool_call_id": call["id"]} | named
        for call, result in zip(calls, results, strict=True)
    ]
    return [{"role": "user", "content": QUESTION}, called, *told]


def merged(generation: int, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge a stream as Spring AI does: 1.x begins a call at each id, 2.x at each index, and both stop at the reason."""
    message: dict[str, Any] = {"content": "", "tool_calls": []}
    reason, places = None, {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            message["content"] += choice["delta"].get("content") or ""
            calls = choice["delta"].get("tool_calls") or []
            assert len(calls) <= 1, "1.x refuses a chunk with two calls"
            for call in calls:
                assert reason is None
                new = bool(call.get("id")) if generation == 1 else call["index"] not in places
                if new:
                    places[call["index"]] = call | {"function": {"name": "", "arguments": ""}}
                    message["tool_calls"].append(places[call["index"]])
                function = (
                    message["tool_calls"][-1]["function"] if generation == 1 else places[call["index"]]["function"]
                )
                for part in ("name", "arguments"):
                    function[part] += call["function"].get(part) or ""
            reason = choice.get("finish_reason") or reason
    calls = [{key: call[key] for key in ("id", "type", "function")} for call in message["tool_calls"]]
    return {"message": message | {"tool_calls": calls}, "finish_reason": reason}


def ask(proxy: Proxy, generation: int, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the choice and the usage, whichever way they came."""
    answer = proxy.post("/v1/chat/completions" if generation == 1 else "/chat/completions", body)
    assert answer.status_code == 200, answer.text
    if not body.get("stream"):
        whole = answer.json()
        [choice] = whole["choices"]
        assert choice["finish_reason"] in FINISHED
        return choice, whole["usage"]
    *lines, done = re.findall(r"^data: (.*)$", answer.text, re.MULTILINE)
    assert done == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    choice = merged(generation, chunks)
    assert choice["finish_reason"] in FINISHED
    return choice, chunks[-1].get("usage")


@STREAMED
@GENERATIONS
def test_two_calls_run_and_their_results_reach_the_agent(
    proxy: Proxy, simulator: Simulator, settings: dict[str, str], generation: int, stream: bool
) -> None:
    assert settings["base-url"] == "http://127.0.0.1:4000"
    model = settings["chat.options.model" if generation == 1 else "chat.model"]
    simulator.script(
        {"text": block("buscarTempo", cidade="Recife") + block("buscarTempo", cidade="Natal", dias=2)},
        {"text": "Sol em Recife, chuva em Natal."},
    )
    asked = request(generation, [{"role": "user", "content": QUESTION}], model, stream=stream)
    choice, _ = ask(proxy, generation, asked)
    calls = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert [(call["type"], call["function"]["name"]) for call in calls] == [("function", "buscarTempo")] * 2
    arguments = [json.loads(call["function"]["arguments"]) for call in calls]
    assert arguments == [{"cidade": "Recife"}, {"cidade": "Natal", "dias": 2}]
    again = request(generation, history(generation, calls, ["28°C, sol", "chuva"]), model, stream=stream)
    choice, usage = ask(proxy, generation, again)
    assert choice["message"]["content"] == "Sol em Recife, chuva em Natal."
    assert not choice["message"].get("tool_calls")
    prompt = simulator.prompts()[-1]
    assert prompt.index("Recife") < prompt.index("28°C, sol") < prompt.index("chuva")
    # 1.x asks a stream for no usage, 2.x always does.
    assert (usage is None) == (generation == 1 and stream)
    if usage:
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


@GENERATIONS
def test_an_entity_is_an_object_of_its_schema(proxy: Proxy, simulator: Simulator, generation: int) -> None:
    name = "custom_schema" if generation == 1 else "json_schema"
    wanted = {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": SCHEMA}}
    simulator.script({"text": '```json\n{"cidade": "Recife", "dias": 3}\n```'})
    body = request(generation, [{"role": "user", "content": QUESTION}], "stackspot-chat", stream=False)
    del body["tools"]
    choice, _ = ask(proxy, generation, body | {"response_format": wanted})
    assert json.loads(choice["message"]["content"]) == {"cidade": "Recife", "dias": 3}
