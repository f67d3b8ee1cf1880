"""Gemini's routes, asked by Google's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from .conftest import Proxy, Simulator

MODEL = "stackspot-chat"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
CALL = 'FUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "Recife"}\nFUNCTION_CALL_END'
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="buscar_tempo",
            description="Diz o tempo em uma cidade",
            parameters_json_schema={
                "type": "object",
                "properties": {"cidade": {"type": "string"}},
                "required": ["cidade"],
            },
        )
    ]
)


@pytest.fixture(scope="module")
def gemini(proxy: Proxy) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=proxy.url, api_version="v1beta")
    with genai.Client(api_key=proxy.key, http_options=options) as client:
        yield client


def ask(gemini: genai.Client, contents: Any, *, stream: bool, **config: Any) -> tuple[str, list[Any], Any]:
    """The text, the function calls and the usage of an answer."""
    asked = {"model": MODEL, "contents": contents, "config": types.GenerateContentConfig(**config)}
    models = gemini.models
    answers = list(models.generate_content_stream(**asked)) if stream else [models.generate_content(**asked)]
    parts = [part for answer in answers for part in (answer.candidates[0].content.parts or [])]
    text = "".join(part.text or "" for part in parts)
    usage = next(answer.usage_metadata for answer in reversed(answers) if answer.usage_metadata)
    return text, [part.function_call for part in parts if part.function_call], usage


@STREAMED
def test_an_answer_comes_with_its_usage(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Olá, Ana.", "tokens": {"user": None, "enrichment": None, "input": 42, "output": 7}})
    text, calls, usage = ask(gemini, "Oi", stream=stream, system_instruction="Seja breve.")
    assert (text, calls) == ("Olá, Ana.", [])
    assert (usage.prompt_token_count, usage.candidates_token_count) == (42, 7)
    assert "Seja breve." in simulator.prompts()[0]


@STREAMED
def test_limits_and_stop_sequences_hold(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "um dois FIM três"})
    assert ask(gemini, "Conte", stream=stream, stop_sequences=["FIM"])[0] == "um dois "


@STREAMED
def test_a_tool_is_called_and_its_result_reaches_the_agent(
    gemini: genai.Client, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": CALL}, {"text": "28 °C no Recife."})
    question = types.Content(role="user", parts=[types.Part(text="Qual o tempo no Recife?")])
    _, [call], _ = ask(gemini, [question], stream=stream, tools=[TOOL])
    assert (call.name, call.args) == ("buscar_tempo", {"cidade": "Recife"})
    assert '"parameters":{"type":"object","properties":{"cidade":{"type":"string"}}' in simulator.prompts()[0]
    called = types.Content(role="model", parts=[types.Part(function_call=call)])
    response = types.FunctionResponse(name=call.name, id=call.id, response={"graus": 28})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    text, calls, _ = ask(gemini, [question, called, result], stream=stream, tools=[TOOL])
    assert (text, calls) == ("28 °C no Recife.", [])
    assert '"graus": 28' in simulator.prompts()[1]


@STREAMED
def test_a_json_answer_keeps_to_its_schema(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": '```json\n{"cidade": "Recife"}\n```'})
    schema = {"type": "OBJECT", "properties": {"cidade": {"type": "STRING"}}, "required": ["cidade"]}
    json_only = {"response_mime_type": "application/json", "response_schema": schema}
    assert ask(gemini, "Que cidade?", stream=stream, **json_only)[0].strip() == '{"cidade": "Recife"}'
    assert '"cidade"' in simulator.prompts()[0]


def test_tokens_are_counted(gemini: genai.Client) -> None:
    assert gemini.models.count_tokens(model=MODEL, contents="um dois três").total_tokens > 0


@STREAMED
@pytest.mark.parametrize(
    ("play", "code"), [({"status": 403}, 403), ({"status": 503}, 503), ({"status": 400}, 400)], ids=str
)
def test_an_error_of_the_agent_has_its_status(
    gemini: genai.Client, simulator: Simulator, play: dict[str, Any], code: int, stream: bool
) -> None:
    simulator.script(play)
    with pytest.raises(errors.APIError) as caught:
        ask(gemini, "Oi", stream=stream)
    assert caught.value.code == code


@STREAMED
def test_a_wrong_key_is_a_401(proxy: Proxy, stream: bool) -> None:
    options = types.HttpOptions(base_url=proxy.url, api_version="v1beta")
    with (
        genai.Client(api_key="fake-key", http_options=options) as client,
        pytest.raises(errors.ClientError, match=r"file \.env .*LITELLM_MASTER_KEY") as caught,
    ):
        ask(client, "Oi", stream=stream)
    assert caught.value.code == 401


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize(
    "field", [{"custom_llm_provider": "openai"}, {"api_base": "http://127.0.0.1:9"}, {"_private": 1}], ids=str
)
def test_a_field_of_the_operators_is_refused(
    proxy: Proxy, simulator: Simulator, method: str, field: dict[str, Any]
) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
    answer = proxy.post(f"/v1beta/models/{MODEL}:{method}", body | field)
    assert answer.status_code in {400, 401, 403}, answer.text
    assert simulator.requests() == []
