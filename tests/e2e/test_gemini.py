"""Gemini's routes, asked by Google's own SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.support.protocols import MODEL, STREAMED, ask_gemini
from tests.support.proxy import Proxy, Simulator

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


@STREAMED
def test_an_answer_comes_with_its_usage(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Olá, Ana.", "tokens": {"user": None, "enrichment": None, "input": 42, "output": 7}})
    text, calls, usage = ask_gemini(gemini, "Oi", stream=stream, system_instruction="Seja breve.")
    assert (text, calls) == ("Olá, Ana.", [])
    assert (usage.prompt_token_count, usage.candidates_token_count) == (42, 7)
    assert "Seja breve." in simulator.prompts()[0]


def test_an_error_after_text_is_the_sdks_own(gemini: genai.Client, simulator: Simulator) -> None:
    simulator.script({"pieces": ["Era uma vez"], "fault": "error_frame", "after": 1})
    chunks = gemini.models.generate_content_stream(model=MODEL, contents="Oi")
    received: list[str] = []
    with pytest.raises(errors.ServerError, match="reports an error in its answer") as raised:
        received.extend(chunk.text or "" for chunk in chunks)
    assert "".join(received) == "Era uma vez"
    assert (raised.value.code, raised.value.status) == (502, "UNAVAILABLE")


@STREAMED
def test_limits_and_stop_sequences_hold(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "um dois FIM três"})
    assert ask_gemini(gemini, "Conte", stream=stream, stop_sequences=["FIM"])[0] == "um dois "
    simulator.script({"text": (whole := "um dois três quatro cinco seis sete oito nove dez")})
    text, _, _ = ask_gemini(gemini, "Conte", stream=stream, max_output_tokens=3)
    assert whole.startswith(text)
    assert 0 < len(text) < len(whole) / 2


@STREAMED
def test_a_tool_is_called_and_its_result_reaches_the_agent(
    gemini: genai.Client, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": CALL}, {"text": "28 °C no Recife."})
    question = types.Content(role="user", parts=[types.Part(text="Qual o tempo no Recife?")])
    _, [call], _ = ask_gemini(gemini, [question], stream=stream, tools=[TOOL])
    assert (call.name, call.args) == ("buscar_tempo", {"cidade": "Recife"})
    assert '"parameters":{"type":"object","properties":{"cidade":{"type":"string"}}' in simulator.prompts()[0]
    called = types.Content(role="model", parts=[types.Part(function_call=call)])
    response = types.FunctionResponse(name=call.name, id=call.id, response={"graus": 28})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    text, calls, _ = ask_gemini(gemini, [question, called, result], stream=stream, tools=[TOOL])
    assert (text, calls) == ("28 °C no Recife.", [])
    assert '"graus": 28' in simulator.prompts()[1]


@STREAMED
def test_a_json_answer_keeps_to_its_schema(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": '```json\n{"cidade": "Recife"}\n```'})
    schema = {"type": "OBJECT", "properties": {"cidade": {"type": "STRING"}}, "required": ["cidade"]}
    json_only = {"response_mime_type": "application/json", "response_schema": schema}
    assert ask_gemini(gemini, "Que cidade?", stream=stream, **json_only)[0].strip() == '{"cidade": "Recife"}'
    assert '"cidade"' in simulator.prompts()[0]


@STREAMED
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (None, '{"a": 1}'),
        ({"type": "ARRAY", "items": {"type": "STRING"}}, '["Recife", "Olinda"]'),
        ({"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "nullable": True}}}, '{"a": null}'),
    ],
    ids=["of any kind", "a list", "with a null"],
)
def test_json_of_each_kind_is_asked_for_and_checked(
    gemini: genai.Client, simulator: Simulator, schema: dict[str, Any] | None, text: str, stream: bool
) -> None:
    simulator.script({"text": "Aqui está, sem JSON."}, {"text": text})
    config = {"response_mime_type": "application/json"} | ({"response_schema": schema} if schema else {})
    assert json.loads(ask_gemini(gemini, "Cidades?", stream=stream, **config)[0]) == json.loads(text)
    assert len(simulator.prompts()) == 2


@STREAMED
def test_a_function_that_must_be_called_is_demanded(gemini: genai.Client, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Não sei."}, {"text": CALL})
    calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["buscar_tempo"])
    other = types.Tool(function_declarations=[types.FunctionDeclaration(name="voar", description="Voa")])
    config = types.ToolConfig(function_calling_config=calling)
    _, [call], _ = ask_gemini(gemini, "Recife?", stream=stream, tools=[TOOL, other], tool_config=config)
    assert call.name == "buscar_tempo"
    first, second = simulator.prompts()
    assert "voar" not in first
    assert "buscar_tempo" in second


def test_all_of_a_system_instruction_and_a_file_reach_the_agent(gemini: genai.Client, simulator: Simulator) -> None:
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    parts = [types.Part(text="O que é?"), types.Part.from_bytes(data=png, mime_type="image/png")]
    simulator.script({"text": "Um ponto."})
    instruction = types.Content(parts=[types.Part(text="Seja breve."), types.Part(text="Fale português.")])
    text, _, _ = ask_gemini(gemini, parts, stream=False, system_instruction=instruction)
    assert text == "Um ponto."
    [prompt] = simulator.prompts()

    assert all(said in prompt for said in ("Seja breve.", "Fale português.", "O que é?", "[image"))


@STREAMED
@pytest.mark.parametrize(
    ("contents", "config", "named"),
    [
        (types.Part.from_uri(file_uri="gs://a/b", mime_type="image/png"), {}, "fileData"),
        ("Oi", {"candidate_count": 2}, "candidateCount"),
        ("Oi", {"response_logprobs": True}, "responseLogprobs"),
    ],
    ids=["a file elsewhere", "two answers", "probabilities"],
)
def test_what_an_agent_cannot_do_is_a_400_that_names_it(
    gemini: genai.Client, simulator: Simulator, contents: Any, config: dict[str, Any], named: str, stream: bool
) -> None:
    with pytest.raises(errors.ClientError, match=named) as caught:
        ask_gemini(gemini, contents, stream=stream, **config)
    assert caught.value.code == 400
    assert simulator.requests() == []


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
        ask_gemini(gemini, "Oi", stream=stream)
    assert caught.value.code == code


@STREAMED
def test_a_limit_of_the_platform_says_when_to_try_again(
    gemini: genai.Client, simulator: Simulator, stream: bool
) -> None:
    simulator.script(*[{"status": 429, "headers": {"retry-after": "1"}}] * 4)
    with pytest.raises(errors.ClientError) as caught:
        ask_gemini(gemini, "Oi", stream=stream)
    assert caught.value.code == 429
    assert int(caught.value.response.headers["retry-after"]) > 0


@STREAMED
def test_an_unknown_model_is_refused(gemini: genai.Client, stream: bool) -> None:
    ask_for = gemini.models.generate_content_stream if stream else gemini.models.generate_content
    with pytest.raises(errors.ClientError, match="voar") as caught:
        list(ask_for(model="voar", contents="Oi"))
    assert caught.value.code in {400, 404}


@STREAMED
@pytest.mark.parametrize("model", ["chat/llama-small", "llama3-8b-8192"])
def test_models_of_other_providers_answer_too(services: Proxy, model: str, stream: bool) -> None:
    options = types.HttpOptions(base_url=services.url, api_version="v1beta")
    with genai.Client(api_key=services.key, http_options=options) as client:
        models = client.models
        answers = (
            list(models.generate_content_stream(model=model, contents="Oi"))
            if stream
            else [models.generate_content(model=model, contents="Oi")]
        )
    assert "".join(answer.text or "" for answer in answers) == "Consistência eventual é…"


@STREAMED
def test_a_wrong_key_is_a_401(proxy: Proxy, stream: bool) -> None:
    options = types.HttpOptions(base_url=proxy.url, api_version="v1beta")
    with (
        genai.Client(api_key="fake-key", http_options=options) as client,
        pytest.raises(errors.ClientError, match=r"file \.env .*LITELLM_MASTER_KEY") as caught,
    ):
        ask_gemini(client, "Oi", stream=stream)
    assert caught.value.code == 401


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize(
    "field",
    [
        {"custom_llm_provider": "openai"},
        {"api_base": "http://127.0.0.1:9"},
        {"_private": 1},
        {"_litellm_skip_openai_stream_done": True},
        {"_litellm_raw_sse_stream": True},
        {"model": "chat/llama-small"},
    ],
    ids=str,
)
def test_a_field_of_the_operators_is_refused(
    proxy: Proxy, simulator: Simulator, method: str, field: dict[str, Any]
) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
    answer = proxy.post(f"/v1beta/models/{MODEL}:{method}", body | field)
    assert answer.status_code in {400, 401, 403}, answer.text
    assert simulator.requests() == []
