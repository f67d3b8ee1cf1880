"""Every answer and event of the four protocols, held against the SDKs' own types and OpenAI's document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.protocols import MODEL, STREAMED, block
from tests.support.proxy import Proxy, Simulator
from tests.support.search_server import PAGES, SearchServer
from tests.support.specification import Violation, check, check_error

PARAMETERS = {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]}
TOOL: dict[str, Any] = {"name": "tempo", "description": "Diz o tempo", "parameters": PARAMETERS}
CUSTOM = {"name": "patch", "description": "Muda arquivos"}
CHAT, RESPONSES, MESSAGES, GEMINI = "/v1/chat/completions", "/v1/responses", "/v1/messages", "gemini"
JSON_ONLY = {"responseMimeType": "application/json"}
CALL = block("tempo", cidade="Recife")

# What the agent does, and what each protocol asks for; a protocol that has no word for it is left out.
CASES: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "plain": ({"text": "Olá, Ana 🙂"}, {CHAT: {}, RESPONSES: {}, MESSAGES: {}, GEMINI: {}}),
    "empty": ({"text": ""}, {CHAT: {}, RESPONSES: {}, MESSAGES: {}, GEMINI: {}}),
    "without counts": ({"text": "Olá", "tokens": None}, {CHAT: {}, RESPONSES: {}, MESSAGES: {}, GEMINI: {}}),
    "usage": ({"text": "Olá"}, {CHAT: {"stream_options": {"include_usage": True}}}),
    "a call": (
        {"text": CALL},
        {
            CHAT: {"tools": [{"type": "function", "function": TOOL}]},
            RESPONSES: {"tools": [{"type": "function", **TOOL}]},
            MESSAGES: {"tools": [{"name": "tempo", "input_schema": PARAMETERS}]},
            GEMINI: {"tools": [{"functionDeclarations": [TOOL]}]},
        },
    ),
    "text and parallel calls": (
        {"text": f"Vejo.\n{CALL}{CALL}Pronto.", "cut": 7},
        {
            CHAT: {"tools": [{"type": "function", "function": TOOL}], "stream_options": {"include_usage": True}},
            RESPONSES: {"tools": [{"type": "function", **TOOL, "strict": True}]},
            MESSAGES: {"tools": [{"name": "tempo", "input_schema": PARAMETERS}]},
            GEMINI: {"tools": [{"functionDeclarations": [TOOL]}]},
        },
    ),
    "a function of the older API": ({"text": CALL}, {CHAT: {"functions": [TOOL]}}),
    "a custom tool": (
        {"text": f"Mudo.\n{block('patch', input='+ a')}"},
        {
            CHAT: {"tools": [{"type": "custom", "custom": CUSTOM}]},
            RESPONSES: {"tools": [{"type": "custom", **CUSTOM}]},
        },
    ),
    "JSON": (
        {"text": '{"cidade": "Recife"}'},
        {
            CHAT: {"response_format": {"type": "json_object"}},
            RESPONSES: {"text": {"format": {"type": "json_object"}}},
            GEMINI: {"generationConfig": JSON_ONLY},
        },
    ),
    "JSON with a schema": (
        {"text": '{"cidade": "Recife"}'},
        {
            CHAT: {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": PARAMETERS}}},
            RESPONSES: {"text": {"format": {"type": "json_schema", "name": "n", "schema": PARAMETERS}}},
            MESSAGES: {"output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}}},
            GEMINI: {"generationConfig": {**JSON_ONLY, "responseJsonSchema": PARAMETERS}},
        },
    ),
    "a stop sequence": (
        {"text": "um FIM dois"},
        {
            CHAT: {"stop": ["FIM"]},
            MESSAGES: {"stop_sequences": ["FIM"]},
            GEMINI: {"generationConfig": {"stopSequences": ["FIM"]}},
        },
    ),
    "a limit": (
        {"text": "abcd " * 100},
        {
            CHAT: {"max_tokens": 5},
            RESPONSES: {"max_output_tokens": 5},
            MESSAGES: {"max_tokens": 5},
            GEMINI: {"generationConfig": {"maxOutputTokens": 5}},
        },
    ),
    "reasoning": (
        {"text": "<thinking>Penso.</thinking>\nOlá"},
        {
            CHAT: {"reasoning_effort": "low"},
            RESPONSES: {"reasoning": {"effort": "low", "summary": "auto"}},
            MESSAGES: {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            GEMINI: {"generationConfig": {"thinkingConfig": {"thinkingBudget": 10}}},
        },
    ),
}
SEARCH, CITING = block("web_search", query="taxa Selic hoje"), {"text": f"A taxa é 12%, segundo {PAGES[0]['url']}."}
# The status of the search server, and what the agent says.
SEARCHES: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "a search": (200, [{"text": SEARCH}, CITING]),
    "text and a search": (200, [{"text": f"Vou ver.\n{SEARCH}"}, CITING]),
    "two searches": (200, [{"text": SEARCH}, {"text": SEARCH}, CITING]),
    "a search that fails": (500, [{"text": SEARCH}, {"text": "Não consegui buscar."}]),
}
SEARCHING: dict[str, dict[str, Any]] = {
    CHAT: {"web_search_options": {}},
    RESPONSES: {"tools": [{"type": "web_search"}]},
    MESSAGES: {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
}
ASKED = [
    pytest.param(play, path, more, id=f"{name} {path.rpartition('/')[2]}")
    for name, (play, protocols) in CASES.items()
    for path, more in protocols.items()
]
EACH = pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, GEMINI])


def request(path: str, more: dict[str, Any], *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of a question."""
    if path == GEMINI:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        question = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
        return f"/v1beta/models/{MODEL}:{method}", question | more
    said: Any = {"input": "Oi"} if path == RESPONSES else {"messages": [{"role": "user", "content": "Oi"}]}
    limit = {"max_tokens": 1000} if path == MESSAGES else {}
    body = {"model": MODEL, "stream": stream, **said, **limit, **more}
    return path, {name: value for name, value in body.items() if stream or name != "stream_options"}


@STREAMED
@pytest.mark.parametrize(("play", "path", "more"), ASKED)
def test_an_answer_has_the_published_form(
    proxy: Proxy, simulator: Simulator, play: dict[str, Any], path: str, more: dict[str, Any], stream: bool
) -> None:
    simulator.script({"tokens": {"input": 7, "output": 4}, **play})
    path, body = request(path, more, stream=stream)
    response = proxy.post(path, body)
    assert response.status_code == 200, response.text
    check(path, response.text, stream=stream)


ANSWER: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "Oi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 4, "totalTokenCount": 11},
    "modelVersion": "m",
    "responseId": "r",
}
CANDIDATE: dict[str, Any] = ANSWER["candidates"][0]
WRONG_ANSWERS: dict[str, dict[str, Any]] = {
    "an unknown field": {"made_up": 1},
    "an unknown field of a part": {"content": {"parts": [{"text": "Oi", "madeUp": 1}], "role": "model"}},
    "a name in snake case": {"finish_reason": "STOP"},
    "null": {"finishReason": None},
    "an unknown reason": {"finishReason": "tool_calls"},
    "an unknown spelling of a reason": {"finishReason": "stop"},
    "a number as text": {"index": "0"},
    "no role": {"content": {"parts": [{"text": "Oi"}]}},
    "no arguments": {"content": {"parts": [{"functionCall": {"name": "tempo"}}], "role": "model"}},
}


def gemini_stream(*chunks: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)


@pytest.mark.parametrize("fields", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_of_gemini_is_a_violation(fields: dict[str, Any]) -> None:
    path = "/v1beta/models/m:generateContent"
    whole = {
        name: value for name, value in CANDIDATE.items() if name != "finishReason" or "finish_reason" not in fields
    }
    wrong = ANSWER | {"candidates": [whole | fields]}
    for stream, body in (
        (False, json.dumps(wrong)),
        (True, gemini_stream(wrong)),
        (True, gemini_stream(wrong, ANSWER)),
    ):
        with pytest.raises(Violation):
            check(path, body, stream=stream)


@pytest.mark.parametrize("name", [*ANSWER, *CANDIDATE])
def test_an_answer_of_gemini_without_a_field_is_a_violation(name: str) -> None:
    path = "/v1beta/models/m:generateContent"
    candidate = {key: value for key, value in CANDIDATE.items() if key != name}
    wrong = {key: value for key, value in (ANSWER | {"candidates": [candidate]}).items() if key != name}
    for stream, body in ((False, json.dumps(wrong)), (True, gemini_stream(wrong))):
        with pytest.raises(Violation):
            check(path, body, stream=stream)


def test_a_right_answer_of_gemini_is_none() -> None:
    path, part = "/v1beta/models/m:generateContent", {"content": CANDIDATE["content"], "index": 0}
    first = {"candidates": [part], "modelVersion": "m", "responseId": "r"}
    check(path, json.dumps(ANSWER), stream=False)
    check(path, gemini_stream(first, ANSWER), stream=True)
    for wrong in (gemini_stream(ANSWER, ANSWER), gemini_stream(first | {"responseId": "s"}, ANSWER)):
        with pytest.raises(Violation):
            check(path, wrong, stream=True)


@STREAMED
@pytest.mark.parametrize("path", SEARCHING)
@pytest.mark.parametrize("play", SEARCHES.values(), ids=SEARCHES)
def test_an_answer_with_web_searches_has_the_published_form(
    gateway: Proxy,
    simulator: Simulator,
    search_server: SearchServer,
    play: tuple[int, list[dict[str, Any]]],
    path: str,
    stream: bool,
) -> None:
    search_server.status, said = play
    simulator.script(*({"tokens": {"input": 7, "output": 4}, **one} for one in said))
    path, body = request(path, SEARCHING[path], stream=stream)
    response = gateway.post(path, body)
    assert response.status_code == 200, response.text
    assert search_server.queries, "the agent has searched"
    check(path, response.text, stream=stream)


@EACH
def test_an_error_behind_text_has_the_published_form(proxy: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"pieces": ["Era uma vez"], "fault": "error_frame", "after": 1})
    path, body = request(path, {}, stream=True)
    response = proxy.post(path, body)
    assert "reports an error in its answer" in response.text
    check(path, response.text, stream=True)


@STREAMED
@EACH
def test_a_refused_request_has_the_published_error(proxy: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"status": 403, "body": {"code": "DENIED", "message": "no"}})
    path, body = request(path, {}, stream=stream)
    refused = proxy.post(path, body)
    unknown = proxy.post(path.replace(MODEL, "unknown"), body | ({"model": "unknown"} if "model" in body else {}))
    keyless = proxy.post(path, body, Authorization="Bearer sk-wrong")
    for response in (refused, unknown, keyless):
        assert response.status_code >= 400
        check_error(path, response.text)
