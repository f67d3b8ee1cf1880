"""Answers that break off and go on, through the real proxy: every protocol, whole and streamed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from tests.support.prices import GEMINI
from tests.support.protocols import (
    PATHS,
    STREAMED,
    ask_chat,
    ask_gemini,
    ask_messages,
    ask_responses,
    block,
    body,
    complete_chat,
    tool,
)
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.waiting import eventually

MODEL = "resuming"  # a credit costs 0.25
QUESTION = "Conte até 12"
ANSWER = "1 2 3 4 5 6 7 8 9 10 11 12"
ENDS = ("response.completed", "arguments.done", "message_stop", '"finishReason": "STOP"', '"finish_reason":"', "[DONE]")
BROKEN = "broke within its answer"
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


def ask(proxy: Proxy, path: str, *, stream: bool, seconds: float = 0.0) -> httpx.Response:
    """Ask with a tool, within so many seconds if that is not 0."""
    schema = {"type": "object", "properties": {"texto": {"type": "string"}}}
    asked: dict[str, Any] = body(path, QUESTION, stream=stream) | {"model": MODEL}
    match path:
        case "/v1/chat/completions":
            asked["tools"] = [tool("procura", "texto")]
        case "/v1/responses":
            asked["tools"] = [{"type": "function", "name": "procura", "parameters": schema}]
        case "/v1/messages":
            asked["tools"] = [{"name": "procura", "input_schema": schema}]
        case _:
            path = path.format(MODEL).replace(":g", ":streamG") if stream else path.format(MODEL)
            declared = {"name": "procura", "parameters": schema}
            asked = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
            asked["tools"] = [{"functionDeclarations": [declared]}]
    return proxy.post(path, asked, **({"x-litellm-timeout": str(seconds)} if seconds else {}))


def assert_broken(answer: httpx.Response, *, stream: bool) -> None:
    """Assert that an answer ends with the error of the break, and no call is complete before it."""
    if not stream:
        assert answer.status_code == 502, answer.text
    last = [line for line in answer.text.splitlines() if line][-1]
    assert BROKEN in last, answer.text
    assert not any(end in answer.text for end in ENDS), answer.text


@STREAMED
@pytest.mark.parametrize("path", [*PATHS, GEMINI])
def test_an_answer_goes_on_after_a_reset(priced: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"pieces": ["um dois. ", "x"], "fault": "reset_within", "after": 1}, {"text": "fim"})
    answer = ask(priced, path, stream=stream)
    assert answer.status_code == 200, answer.text
    assert ("fim" in answer.text, BROKEN in answer.text) == (True, False)
    assert "«assistant»\num dois." in simulator.prompts()[1]


@STREAMED
@pytest.mark.parametrize("path", [*PATHS, GEMINI])
@pytest.mark.parametrize("said", [block("procura", texto="a"), "FUNCTION_CALL_START\nprocura\narguments: {"])
def test_a_call_in_flight_ends_with_the_error_on_every_protocol(
    priced: Proxy, simulator: Simulator, said: str, path: str, stream: bool
) -> None:
    simulator.script({"pieces": ["Vou ver.\n", said, "x"], "fault": "reset_within", "after": 2})
    assert_broken(ask(priced, path, stream=stream), stream=stream)
    assert len(simulator.prompts()) == 1


def test_a_rest_that_runs_into_the_deadline_ends_with_the_error_of_the_break(
    priced: Proxy, simulator: Simulator
) -> None:
    """All at once, because each takes until its deadline."""
    cut = {"pieces": ["um ", "x"], "fault": "close_within", "after": 1, "times": "always"}
    rest = {"match": "broke off", "text": "dois três", "fault": "stall", "after": 1, "times": "always"}
    simulator.script(rest, cut)
    asked = list(itertools.product((*PATHS, GEMINI), (False, True)))
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = list(threads.map(lambda one: ask(priced, one[0], stream=one[1], seconds=12), asked))
    for answer, (_, stream) in zip(answers, asked, strict=True):
        assert_broken(answer, stream=stream)
    assert len(simulator.requests("broke off")) == len(asked)


@STREAMED
@pytest.mark.parametrize("path", [*PATHS, GEMINI])
def test_there_is_no_second_request_where_too_little_time_is_left(
    priced: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"pieces": ["um ", "x"], "fault": "close_within", "after": 1})
    assert_broken(ask(priced, path, stream=stream, seconds=5), stream=stream)
    assert len(simulator.prompts()) == 1


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
