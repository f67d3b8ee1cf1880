"""Tokens before the answer: every protocol counts the prompt that is sent, as the agent will count it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.support.gateway import COUNTED, ONLY_SMALL
from tests.support.prompt_texts import code, portuguese, tools
from tests.support.protocols import MODEL, body, tool
from tests.support.proxy import Proxy, Simulator
from tests.support.specification import events
from tests.support.waiting import eventually

HEADER = "x-stackspot-prompt-tokens"
COUNT = "/v1/messages/count_tokens"
COUNT_FIELDS = {"input_tokens", "totalTokens", "total_tokens"}


@pytest.fixture(scope="module")
def claude(gateway: Proxy) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as made:
        yield made


def asked(text: str, count: int = 0) -> dict[str, Any]:
    declared = [
        {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
        for f in (one["function"] for one in tools(count))
    ]
    messages = [{"role": "user", "content": text}]
    return {"model": COUNTED, "system": "Seja breve.", "messages": messages, **({"tools": declared} if count else {})}


def test_five_answers_make_the_count_right(claude: anthropic.Anthropic, gateway: Proxy, simulator: Simulator) -> None:
    """The agent counts four characters for a token, times 1.15, plus 40: as no tokenizer of ours does."""
    simulator.configure(token_scale=1.15, token_offset=40)
    first = [asked(portuguese(20)), asked(code(8)), asked("Procure.", 40), asked(portuguese(60)), asked(code(25))]
    later = [asked(portuguese(100)), asked(code(50)), asked(portuguese(30) + code(4), 40)]
    before = [claude.messages.count_tokens(**one).input_tokens for one in [*first, *later]]
    assert simulator.requests() == []
    exact = [claude.messages.create(max_tokens=100, **one).usage.input_tokens for one in first]
    after = [claude.messages.count_tokens(**one).input_tokens for one in later]
    for one, estimate in zip(later, after, strict=True):
        with claude.messages.stream(max_tokens=100, **one) as stream:
            started = next(event for event in stream if event.type == "message_start").message.usage.input_tokens
            counted = stream.get_final_message().usage.input_tokens
            header = int(stream.response.headers[HEADER])
        exact.append(counted)
        assert started == header
        assert abs(started / counted - 1) < 0.10
        assert abs(estimate / counted - 1) < 0.10
    assert max(abs(estimate / counted - 1) for estimate, counted in zip(before, exact, strict=True)) < 0.25


METERED = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_fields_of_claude_codes_meter_add_up_to_the_agents_count(
    gateway: Proxy, simulator: Simulator, stream: bool
) -> None:
    """Claude Code adds these up; a count that is not null in `message_delta` replaces that of `message_start`."""
    simulator.script({"text": "Oi", "tokens": {"input": 61_700, "output": 8}})
    question = asked(portuguese(5), 3) | {"model": MODEL, "max_tokens": 100, "stream": stream}
    answer = gateway.post("/v1/messages", question)
    if stream:
        data = [json.loads(event.data) for event in events(answer.text)]
        start = next(one["message"]["usage"] for one in data if one["type"] == "message_start")
        end = next(one["usage"] for one in data if one["type"] == "message_delta")
        assert start["input_tokens"] == int(answer.headers[HEADER])
        usage = start | {name: value for name, value in end.items() if value is not None}
    else:
        usage = answer.json()["usage"]
    assert sum(usage.get(name) or 0 for name in METERED) == 61_700


def test_all_routes_that_count_tell_what_an_answer_tells(gateway: Proxy, simulator: Simulator) -> None:
    text, city = portuguese(30), tool("get_weather", "city")
    function = city["function"]
    chat = {"messages": [{"role": "user", "content": text}], "tools": [city]}
    anthropic_tool = {
        "name": function["name"],
        "description": function["description"],
        "input_schema": function["parameters"],
    }
    gemini_tool = {"functionDeclarations": [function]}
    counts = {
        COUNT: ({**chat, "tools": [anthropic_tool]}, "input_tokens"),
        "/v1/responses/input_tokens": ({"input": text, "tools": [{"type": "function", **function}]}, "input_tokens"),
        f"/v1beta/models/{MODEL}:countTokens": (
            {"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": [gemini_tool]},
            "totalTokens",
        ),
        "/utils/token_counter": (chat, "total_tokens"),
    }
    found = {}
    for path, (sent, field) in counts.items():
        answer = gateway.post(path, {"model": MODEL, **sent})
        assert answer.status_code == 200, answer.text
        found[path] = answer.json()[field]
    assert simulator.requests() == []
    answer = gateway.post("/v1/chat/completions", {"model": MODEL, **chat, "stream": True})
    [prompt] = simulator.prompts()
    assert "«tools»" in prompt
    assert set(found.values()) == {int(answer.headers[HEADER])}


MCP_COUNTS = {
    COUNT: "/v1/messages",
    "/v1/responses/input_tokens": "/v1/responses",
    "/utils/token_counter": "/v1/chat/completions",
    "/v1beta/models/stackspot-small:countTokens": "/v1beta/models/stackspot-small:generateContent",
}


def with_server(path: str, name: str) -> dict[str, Any]:
    """Return a request of a protocol that names an MCP server of the proxy."""
    question = body(path, "Olá", stream=False)
    if path.startswith("/v1beta"):
        question = {"contents": [{"role": "user", "parts": [{"text": "Olá"}]}]}
    url = {"server_url": f"litellm_proxy/mcp/{name}", "require_approval": "never"}
    return {**question, "model": "stackspot-small", "tools": [{"type": "mcp", "server_label": name, **url}]}


@pytest.mark.parametrize(
    ("count", "key", "server"),
    [
        (count, key, server)
        for count in MCP_COUNTS
        for key, server in [("", "clock"), (ONLY_SMALL, "ledger"), (ONLY_SMALL, "clock")]
        if not (key and count == "/utils/token_counter")  # a route of the master key
    ],
)
def test_a_count_lists_the_tools_of_a_server_for_its_key(
    gateway: Proxy, simulator: Simulator, count: str, key: str, server: str
) -> None:
    headers = {"Authorization": f"Bearer {key or gateway.key}"}
    request = with_server(MCP_COUNTS[count], server)
    counted = gateway.post(count, request, **headers)
    assert simulator.requests() == []
    answer = gateway.post(MCP_COUNTS[count], request, **headers)
    assert counted.status_code == answer.status_code, counted.text
    if answer.status_code == 200:
        [prompt] = simulator.prompts()
        assert (f'"{server}-' in prompt) is not count.startswith("/v1beta")
        [found] = [value for name, value in counted.json().items() if name in COUNT_FIELDS]
        assert found == int(answer.headers[HEADER])
        return
    assert (key, server, answer.status_code) == (ONLY_SMALL, "clock", 403)
    expected, error = answer.json()["error"], counted.json()["error"]
    assert (error["message"], error["type"]) == (expected["message"], expected["type"])
    assert "not allowed to access the requested MCP servers: clock" in error["message"]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (COUNT, {"messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "tool", "name": "absent"}}),
        (f"/v1beta/models/{MODEL}:countTokens", {"contents": [{"role": "user", "parts": [{"fileData": {}}]}]}),
        ("/v1/responses/input_tokens", {"input": "x", "tool_choice": "required"}),
        ("/v1/responses/input_tokens", {"input": "x", "conversation": "conv_1"}),
    ],
)
def test_what_a_call_would_refuse_is_refused(
    gateway: Proxy, simulator: Simulator, path: str, sent: dict[str, Any]
) -> None:
    answer = gateway.post(path, {"model": MODEL, **sent})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
    assert simulator.requests() == []


@pytest.mark.parametrize("key", ["", ONLY_SMALL])
def test_earlier_turns_are_counted_for_their_own_key(gateway: Proxy, simulator: Simulator, key: str) -> None:
    headers = {"Authorization": f"Bearer {key or gateway.key}"}
    model = "stackspot-small" if key else MODEL
    simulator.script({"text": portuguese(30)}, {"text": "Sim."})
    first = gateway.post("/v1/responses", {"model": model, "input": portuguese(20)}, **headers).json()
    follows = {"model": model, "input": "E agora?", "previous_response_id": first["id"]}
    counted = gateway.post("/v1/responses/input_tokens", follows, **headers)
    assert counted.status_code == 200, counted.text
    answer = gateway.post("/v1/responses", follows, **headers)
    assert counted.json()["input_tokens"] == int(answer.headers[HEADER])
    other = {"Authorization": f"Bearer {gateway.key if key else ONLY_SMALL}"}
    refused = gateway.post("/v1/responses/input_tokens", {**follows, "model": "stackspot-small"}, **other)
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "previous_response_id"), refused.text


def test_counting_is_no_call(gateway: Proxy, simulator: Simulator) -> None:
    counted = [
        gateway.post(COUNT, asked("Olá")),
        gateway.post("/v1/responses/input_tokens", {"model": MODEL, "input": "Olá"}),
        gateway.post(
            f"/v1beta/models/{MODEL}:countTokens", {"contents": [{"role": "user", "parts": [{"text": "Olá"}]}]}
        ),
    ]
    asked_last = gateway.post(
        "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "Olá"}]}
    )
    assert len(simulator.requests()) == 1

    def recorded() -> set[str]:
        files = (gateway.log.parent / "runs").glob("*/interactions.jsonl")
        return {json.loads(line)["request_id"] for file in files for line in file.read_text().splitlines()}

    eventually(lambda: asked_last.headers["x-request-id"] in recorded())
    assert not recorded() & {answer.headers["x-request-id"] for answer in counted}
