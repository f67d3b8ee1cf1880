"""Answers that break off and go on, through the real proxy: every protocol, whole and streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.support.protocols import (
    STREAMED,
    ask_chat,
    ask_gemini,
    ask_messages,
    ask_responses,
    block,
    complete_chat,
    tool,
)
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.waiting import eventually

MODEL = "resuming"  # a credit costs 0.25
QUESTION = "Conte até 12"
ANSWER = "1 2 3 4 5 6 7 8 9 10 11 12"
STORY = (
    "Era uma vez um agente que contava histórias longas. A plataforma as interrompia. Ele continuava, e o fim chegou."
)


@pytest.fixture
def breaking(simulator: Simulator) -> Simulator:
    """The simulator, whose replies break off after five words."""
    simulator.configure(break_after=5)
    return simulator


@pytest.fixture(scope="module")
def gpt(priced: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{priced.url}/v1", api_key=priced.key, max_retries=0) as client:
        yield client


@STREAMED
def test_chat_completions_go_on_and_count_both_requests(gpt: openai.OpenAI, breaking: Simulator, stream: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = complete_chat(gpt, QUESTION, model=MODEL, stream=stream, **options)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")
    first, second = breaking.prompts()
    assert second.startswith(f"{first}\n\n«assistant»\n1 2 3 4 5\n\n«reminder»\n")
    tokens = [-(-len(text) // 4) for text in (first, second, "1 2 3 4 5", " 6 7 8 9 10 11 12")]
    assert answer.usage.prompt_tokens == tokens[0] + tokens[1]
    assert answer.usage.completion_tokens == tokens[2] + tokens[3]


@STREAMED
def test_responses_go_on(gpt: openai.OpenAI, breaking: Simulator, stream: bool) -> None:
    response = ask_responses(gpt, QUESTION, model=MODEL, stream=stream)
    assert (response.output_text, response.status, len(breaking.prompts())) == (ANSWER, "completed", 2)


@STREAMED
def test_messages_go_on(priced: Proxy, breaking: Simulator, stream: bool) -> None:
    with anthropic.Anthropic(base_url=priced.url, auth_token=priced.key, max_retries=0) as client:
        answer = ask_messages(client, QUESTION, model=MODEL, stream=stream)
    assert (answer.content[0].text, answer.stop_reason, len(breaking.prompts())) == (ANSWER, "end_turn", 2)


@STREAMED
def test_geminis_answers_go_on(priced: Proxy, breaking: Simulator, stream: bool) -> None:
    options = types.HttpOptions(base_url=priced.url, api_version="v1beta")
    with genai.Client(api_key=priced.key, http_options=options) as client:
        text, _, _ = ask_gemini(client, QUESTION, stream=stream, model=MODEL)
    assert (text, len(breaking.prompts())) == (ANSWER, 2)


@STREAMED
def test_what_the_rest_repeats_is_not_repeated(gpt: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    words = STORY.split(" ")
    cut = {"pieces": [f"{word} " for word in words[:12]], "fault": "close_within", "after": 12}
    rests = [
        STORY[STORY.index("A plataforma") :],
        STORY,
        f"Desculpe, fui interrompido.\n\n{' '.join(words[12:])}",
    ]
    for rest in rests:
        simulator.script(cut, {"text": rest})
        assert ask_chat(gpt, "Conte uma história.", model=MODEL, stream=stream).message.content == STORY


@STREAMED
def test_json_goes_on(gpt: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"pieces": ['{"dias": ', "3"], "fault": "close_within", "after": 1}, {"text": '3, "certo": true}'})
    choice = ask_chat(gpt, "?", model=MODEL, stream=stream, response_format={"type": "json_object"})
    assert choice.message.content == '{"dias": 3, "certo": true}'


@STREAMED
def test_a_second_break_and_a_call_end_with_the_error(gpt: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    cut = {"pieces": ["um ", "dois "], "fault": "close_within", "after": 1}
    call = block("procura", texto="estorno")
    simulator.script(cut, cut, {"pieces": [call, "x"], "fault": "close_within", "after": 1})
    for asked in ({}, {"tools": [tool("procura", "texto")]}):
        with pytest.raises(openai.APIError, match="broke within its answer"):
            ask_chat(gpt, "?", model=MODEL, stream=stream, **asked)
    assert len(simulator.prompts()) == 3


def test_an_answer_without_its_last_frame_goes_on_after_one_with_it(gpt: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "Oi"}, {"text": "um dois ", "omit_final": True}, {"text": "três"})
    assert ask_chat(gpt, "?", model=MODEL).message.content == "Oi"
    assert ask_chat(gpt, "?", model=MODEL).message.content == "um dois três"


def test_the_option_is_the_models_own(gpt: openai.OpenAI, breaking: Simulator) -> None:
    with pytest.raises(openai.APIError, match="broke within its answer"):
        ask_chat(gpt, QUESTION, model="credits")
    assert len(breaking.prompts()) == 1


def test_both_requests_cost_and_are_in_the_metrics(priced: Proxy, breaking: Simulator) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    assert float(priced.post("/v1/chat/completions", asked).headers["x-litellm-response-cost"]) == 0.5

    def outcomes() -> set[str]:
        metrics = WEB.get(f"{priced.url}/metrics/", headers=priced.headers).text
        return set(
            re.findall(r'^stackspot_resumed_streams_total{account="default",outcome="(\w+)"}', metrics, re.MULTILINE)
        )

    breaking.script({"pieces": ["um ", "x"], "fault": "close_within", "after": 1}, {"status": 500, "body": ""})
    assert priced.post("/v1/chat/completions", asked).status_code == 502
    eventually(lambda: {"succeeded", "failed"} <= outcomes())
