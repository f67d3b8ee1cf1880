"""What a request asks beside messages and tools, with the openai SDK against the real proxy."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from tests.support.protocols import STREAMED, ask_chat, block
from tests.support.proxy import Proxy, Simulator
from tests.support.specification import conforms

from .test_tools import TIME

WORDS = [f"palavra{number} " for number in range(300)]


class City(pydantic.BaseModel):
    """A city, as a structured answer."""

    nome: str
    habitantes: int


FORMAT = {"type": "json_schema", "json_schema": {"name": "cidade", "schema": City.model_json_schema()}}
RECIFE = '{"nome": "Recife", "habitantes": 1488920}'


@STREAMED
@pytest.mark.parametrize("stop", ["vra12 pal", ["nunca", "vra12 pal", "palavra13"]], ids=["string", "list"])
def test_a_stop_sequence_ends_the_answer_and_the_agents_work(
    client: openai.OpenAI, simulator: Simulator, stop: Any, stream: bool
) -> None:
    simulator.script({"pieces": WORDS, "cadence": 0.01})
    choice = ask_chat(client, "Escreva", stop=stop, stream=stream)
    assert choice.message.content == "".join(WORDS)[: "".join(WORDS).index("vra12 pal")]
    assert choice.finish_reason == "stop"
    assert simulator.wait_for_disconnect()["frames_sent"] < 200


@STREAMED
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_ends_the_answer_and_the_agents_work(
    client: openai.OpenAI, simulator: Simulator, name: str, stream: bool
) -> None:
    simulator.script({"pieces": WORDS, "cadence": 0.01})
    choice = ask_chat(client, "Escreva", stream=stream, **{name: 20})
    assert (choice.message.content, choice.finish_reason) == ("".join(WORDS)[:100], "length")
    assert simulator.wait_for_disconnect()["frames_sent"] < 200


def test_a_call_cut_off_by_the_limit_is_no_call(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "Vejo.\n" + block("tempo", cidade="Recife " * 40)})
    choice = ask_chat(client, "O tempo?", tools=[TIME], max_tokens=20)
    assert (choice.finish_reason, choice.message.tool_calls) == ("length", None)
    assert len(simulator.requests()) == 1, "what a limit cut off is nothing to mend"


def test_a_cut_answer_conforms_to_the_published_schema(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script({"pieces": WORDS})
    body = {"model": "stackspot-chat", "max_tokens": 5, "messages": [{"role": "user", "content": "?"}]}
    answer = proxy.post("/v1/chat/completions", body).json()
    conforms(answer, "CreateChatCompletionResponse")
    assert answer["usage"]["completion_tokens"] == 5


@STREAMED
@pytest.mark.parametrize("wanted", [FORMAT, {"type": "json_object"}], ids=["json_schema", "json_object"])
def test_a_json_answer_comes_out_of_its_fence_and_strict(
    client: openai.OpenAI, simulator: Simulator, wanted: Any, stream: bool
) -> None:
    simulator.script({"text": f"Aqui está:\n```json\n{RECIFE[:-1]},}}\n```\nAlgo mais?", "cut": 7})
    choice = ask_chat(client, "Fale do Recife", response_format=wanted, stream=stream)
    assert json.loads(choice.message.content) == json.loads(RECIFE)
    assert choice.finish_reason == "stop"
    assert ("habitantes" in simulator.prompts()[0]) == (wanted is FORMAT)
    assert len(simulator.requests()) == 1


@STREAMED
def test_the_sdk_parses_a_pydantic_model(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": RECIFE})
    params: Any = {
        "model": "stackspot-chat",
        "messages": [{"role": "user", "content": "Recife?"}],
        "response_format": City,
    }
    if stream:
        with client.chat.completions.stream(**params) as chunks:
            answer = chunks.get_final_completion()
    else:
        answer = client.chat.completions.parse(**params)
    assert answer.choices[0].message.parsed == City(nome="Recife", habitantes=1488920)


@STREAMED
def test_json_that_is_not_valid_is_mended_out_of_sight_and_its_cost_is_told(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    wrong = '{"nome": "Recife", "habitantes": "muitos"}'
    simulator.script(
        {"text": wrong, "tokens": {"input": 50, "output": 10}}, {"text": RECIFE, "tokens": {"input": 70, "output": 12}}
    )
    params: Any = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "?"}], "response_format": FORMAT}
    if stream:
        chunks = list(client.chat.completions.create(**params, stream=True, stream_options={"include_usage": True}))
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    else:
        answer = client.chat.completions.create(**params)
        text, usage = answer.choices[0].message.content, answer.usage
    assert text == RECIFE
    assert (usage.prompt_tokens, usage.completion_tokens) == (120, 22)
    assert "$.habitantes" in simulator.prompts()[1].rpartition("«correction»")[2]


@STREAMED
@pytest.mark.parametrize(
    "second", [{"text": "Não posso."}, {"status": 429, "headers": {"retry-after": "1"}}], ids=["no JSON", "429"]
)
def test_json_that_stays_invalid_is_shown_and_is_no_error(
    client: openai.OpenAI, simulator: Simulator, second: dict[str, Any], stream: bool
) -> None:
    simulator.script({"text": '{"nome": "Recife"}'}, second)
    choice = ask_chat(client, "Recife?", response_format=FORMAT, stream=stream)
    assert (choice.message.content, choice.finish_reason) == ('{"nome": "Recife"}', "stop")


@STREAMED
def test_a_prompt_above_the_agents_limit_is_sent_once_more_and_smaller(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.configure(token_limit=1000)
    history = [
        {"role": role, "content": f"{role} {number} " + "blá " * 50}
        for number in range(20)
        for role in ("user", "assistant")
    ]
    question = {"role": "user", "content": "E então?"}
    simulator.script({"text": "Resumo."})
    choice = ask_chat(client, [{"role": "system", "content": "Seja breve."}, *history, question], stream=stream)
    assert choice.message.content == "Resumo."
    long, short = simulator.prompts()
    assert len(short) <= 4 * 1000 < len(long)
    assert short.startswith("Seja breve.")
    assert "E então?" in short
    assert "older messages are left out" in short
    assert "user 0 " not in short


@STREAMED
def test_a_prompt_that_cannot_be_made_to_fit_is_a_context_error(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.configure(token_limit=100)
    with pytest.raises(openai.BadRequestError, match="ContextWindowExceededError") as caught:
        ask_chat(client, "palavra " * 400, stream=stream)
    assert "the limit is 100" in str(caught.value)
    history = [{"role": "user", "content": f"{number} " + "blá " * 40} for number in range(10)]
    simulator.reset()
    simulator.script({"status": 400, "body": too_long(100, 200), "times": 2})
    with pytest.raises(openai.BadRequestError, match="ContextWindowExceededError"):
        ask_chat(client, history, stream=stream)
    assert len(simulator.requests()) == 2, "it is made smaller once"


def too_long(limit: int, actual: int) -> dict[str, str]:
    details = f"Input tokens exceed the configured limit of {limit} tokens. Your messages resulted in {actual} tokens."
    return {"type": "INFERENCE", "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST", "details": details}


ACCEPTED: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 1,
    "seed": 7,
    "presence_penalty": 0,
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "high",
    "verbosity": "low",
    "user": "ana",
    "metadata": {"projeto": "x"},
    "n": 1,
    "logprobs": False,
    "modalities": ["text"],
    "store": False,
    "service_tier": "auto",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "parallel_tool_calls": True,
    "stop": None,
}


@STREAMED
def test_parameters_that_cannot_act_are_accepted_and_named_in_the_log_once_a_client(
    proxy: Proxy, client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    named = {"extra_headers": {"user-agent": f"um-cliente-{stream}"}}
    for _ in range(2):
        assert ask_chat(client, "Oi", stream=stream, **ACCEPTED, **named).finish_reason == "stop"
    lines = [
        line for line in proxy.log.read_text().splitlines() if f"without effect from 'um-cliente-{stream}'" in line
    ]
    assert len(lines) == 1
    assert all(name in lines[0] for name in ("temperature", "top_p", "seed", "logit_bias"))


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"n": 2}, "n must be 1: a StackSpot agent gives one answer"),
        ({"logprobs": True}, "logprobs is not supported"),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs is not supported"),
        (
            {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
            "a StackSpot agent writes text only",
        ),
    ],
    ids=["n", "logprobs", "top_logprobs", "audio"],
)
@STREAMED
def test_what_an_agent_cannot_do_is_a_400_that_says_so(
    proxy: Proxy, simulator: Simulator, params: dict[str, Any], says: str, stream: bool
) -> None:
    body = {"model": "stackspot-chat", "messages": [{"role": "user", "content": "Oi"}], "stream": stream}
    answer = proxy.post("/v1/chat/completions", body | params)
    assert (answer.status_code, says in answer.json()["error"]["message"]) == (400, True), answer.text
    assert simulator.requests() == []


def test_embeddings_are_a_400_that_says_so(client: openai.OpenAI, simulator: Simulator) -> None:
    with pytest.raises(openai.BadRequestError, match="A StackSpot agent makes no embeddings"):
        client.embeddings.create(model="stackspot-chat", input=["a", "b"])


CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
WRONG_TYPES = [
    (CHAT, {"temperature": "hot"}, "temperature must be a number"),
    (CHAT, {"seed": 1.5}, "seed must be a whole number"),
    (CHAT, {"stop": [1]}, "stop must be a string or a list of strings"),
    (CHAT, {"max_tokens": 0}, "max_tokens must be a whole number above zero"),
    (CHAT, {"max_completion_tokens": "x"}, "max_completion_tokens must be a whole number"),
    (CHAT, {"modalities": 5}, "modalities must be"),
    (CHAT, {"response_format": "json"}, "response_format must be an object"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format must be of type"),
    (CHAT, {"messages": "Oi"}, "messages must be a list"),
    (CHAT, {"messages": []}, "messages must be a list with at least one"),
    (CHAT, {"messages": [5]}, "messages[0] must be an object"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content must be a string or a list"),
    (CHAT, {"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0] must be an object"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": "x"}]}, "messages[0].tool_calls must be a list"),
    (CHAT, {"tools": "x"}, "tools must be a list"),
    (CHAT, {"tools": [5]}, "tools[0] must be an object"),
    (CHAT, {"tools": [TIME], "parallel_tool_calls": "yes"}, "parallel_tool_calls must be true or false"),
    (CHAT, {"user": 5}, "user must be a string"),
    (CHAT, {"stream": "yes"}, "stream must be true or false"),
    (MESSAGES, {"messages": []}, "messages must be a list with at least one"),
    (MESSAGES, {"tools": {"a": 1}}, "tools must be a list"),
    (MESSAGES, {"stop_sequences": 5}, "stop must be"),
    (MESSAGES, {"thinking": True}, "thinking must be an object"),
    (RESPONSES, {"input": 5}, "input must be a string or a list"),
    (RESPONSES, {"tools": [5]}, "tools[0] must be an object"),
    (RESPONSES, {"max_output_tokens": "x"}, "max_output_tokens must be a whole number"),
    (RESPONSES, {"reasoning": "high"}, "reasoning must be an object"),
    ("/v1/completions", {"prompt": [1]}, "prompt must be a string or a list of strings"),
    ("/v1/completions", {"prompt": ["Oi", "Olá"]}, "prompt has 2 texts: send each in a request of its own"),
    ("/v1/completions", {"prompt": "Oi"}, "messages: send a prompt here"),
]


@pytest.mark.parametrize(("path", "wrong", "says"), WRONG_TYPES, ids=lambda value: str(value)[:60])
def test_a_wrong_type_is_a_400_that_names_the_field(
    proxy: Proxy, simulator: Simulator, path: str, wrong: dict[str, Any], says: str
) -> None:
    right: dict[str, Any] = {"input": "Oi"} if path == RESPONSES else {"messages": [{"role": "user", "content": "Oi"}]}
    answer = proxy.post(path, {"model": "stackspot-chat", "max_tokens": 50} | right | wrong)
    assert (answer.status_code, says in answer.json()["error"]["message"]) == (400, True), answer.text
    assert "Traceback" not in answer.text
    assert simulator.requests() == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_list_of_one_prompt_is_that_prompt(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    asked = {"model": "stackspot-chat", "prompt": ["Oi"], "stream": stream}
    assert proxy.post("/v1/completions", asked).status_code == 200
    assert proxy.post("/v1/completions", asked | {"prompt": ["Oi", "Olá"]}).status_code == 400
    assert simulator.prompts() == ["Oi"]
