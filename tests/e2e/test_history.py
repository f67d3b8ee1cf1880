"""The history that each protocol sends, as the agent gets it from the real proxy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.proxy import Proxy, Simulator

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
USER = {"role": "user", "content": "go"}
FUNCTION = {"name": "Bash", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}
NOT_SHOWN = "not shown, this model reads text only]"


def chat_call(*ids: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": name, "type": "function", "function": {"name": "Bash", "arguments": "{}"}} for name in ids
        ],
    }


def chat_result(name: str, text: str = "x") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": text}


def uses(*ids: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": name, "name": "Bash", "input": {}} for name in ids],
    }


def results(**contents: Any) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": name, "content": content} for name, content in contents.items()]
    return {"role": "user", "content": blocks}


def function_call(name: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "Bash", "arguments": "{}"}


def output(name: str, given: Any = "x") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": given}


def body(route: str, *items: Any) -> dict[str, Any]:
    """A request with such messages, or items of input, and a tool."""
    if route == RESPONSES:
        return {"model": "stackspot-chat", "input": list(items), "tools": [{"type": "function", **FUNCTION}]}
    tool = {"name": "Bash", "input_schema": FUNCTION["parameters"]}
    tools = [tool] if route == MESSAGES else [{"type": "function", "function": FUNCTION}]
    return {"model": "stackspot-chat", "messages": list(items), "tools": tools, "max_tokens": 500}


def prompt_of(proxy: Proxy, simulator: Simulator, route: str, *items: Any) -> str:
    simulator.script({"text": "ok"})
    answer = proxy.post(route, body(route, *items))
    assert answer.status_code == 200, answer.text
    (prompt,) = simulator.prompts()
    return prompt.partition("«conversation»\n")[2].partition("\n\n«reminder»")[0]


@pytest.mark.parametrize(
    ("route", "items"),
    [
        (CHAT, [USER, chat_call("c1", "c2"), chat_result("c2", "two"), chat_result("c1", "one")]),
        (MESSAGES, [USER, uses("c1", "c2"), results(c2="two", c1="one")]),
        (RESPONSES, [USER, function_call("c1"), function_call("c2"), output("c2", "two"), output("c1", "one")]),
    ],
    ids=["chat", "messages", "responses"],
)
def test_results_reach_the_agent_in_the_order_of_their_calls(proxy: Proxy, simulator: Simulator, route, items) -> None:
    assert prompt_of(proxy, simulator, route, *items).endswith(
        "«tool result 1/2 name=Bash»\none\n\n«tool result 2/2 name=Bash»\ntwo"
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "items", "named"),
    [
        (CHAT, [USER, chat_call("c1")], "'c1'"),
        (CHAT, [USER, chat_call("c1", "c2"), chat_result("c1"), USER], "'c2'"),
        (CHAT, [USER, chat_result("c9")], "'c9'"),
        (MESSAGES, [USER, uses("c1")], "'c1'"),
        (MESSAGES, [USER, uses("c1", "c2"), results(c1="x")], "'c2'"),
        (MESSAGES, [USER, results(c9="x")], "'c9'"),
        (RESPONSES, [USER, function_call("c1")], "'c1'"),
        (RESPONSES, [USER, function_call("c1"), function_call("c2"), output("c1"), USER], "'c2'"),
        (RESPONSES, [USER, output("c9")], "'c9'"),
    ],
)
def test_a_call_or_a_result_without_the_other_is_a_400_that_names_it(
    proxy: Proxy, simulator: Simulator, route, items, named, stream
) -> None:
    answer = proxy.post(route, {**body(route, *items), "stream": stream})
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert simulator.prompts() == []


@pytest.mark.parametrize(
    ("route", "items", "shown"),
    [
        (CHAT, [{**USER, "name": "Adam"}, {**USER, "name": "Sam"}], "«user Adam»\ngo\n\n«user Sam»\ngo"),
        (CHAT, [USER, {"role": "developer", "content": "LATER"}, USER], "«user»\ngo\n\n«system»\nLATER\n\n«user»\ngo"),
        (
            RESPONSES,
            [USER, {"role": "developer", "content": "LATER"}, USER],
            "«user»\ngo\n\n«system»\nLATER\n\n«user»\ngo",
        ),
        (CHAT, [USER, {"role": "assistant", "content": ""}], "«user»\ngo"),
        (MESSAGES, [USER, {"role": "assistant", "content": ""}, USER], "«user»\ngo\n\n«user»\ngo"),
        (
            CHAT,
            [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "NO"}]}, USER],
            "«user»\ngo\n\n«assistant»\nNO\n\n«user»\ngo",
        ),
        (
            RESPONSES,
            [USER, {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "NO"}]}, USER],
            "«user»\ngo\n\n«assistant»\nNO\n\n«user»\ngo",
        ),
    ],
    ids=["names", "system", "system of responses", "empty", "empty of messages", "refusal", "refusal of responses"],
)
def test_turns_reach_the_agent_as_the_client_sent_them(proxy: Proxy, simulator: Simulator, route, items, shown) -> None:
    assert prompt_of(proxy, simulator, route, *items) == shown


PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
SCREENSHOT = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"}
FOUND = [{"type": "tool_reference", "tool_name": "mcp__slack__send"}]


@pytest.mark.parametrize(
    ("route", "items", "shown"),
    [
        (MESSAGES, [USER, uses("c1"), results(c1=FOUND)], "[tool mcp__slack__send: it can be called now]"),
        (RESPONSES, [USER, function_call("c1"), output("c1", [PDF])], f"[file a.pdf: {NOT_SHOWN}"),
        (
            RESPONSES,
            [
                USER,
                {"type": "computer_call", "call_id": "c1", "action": {"type": "screenshot"}, "status": "completed"},
                {"type": "computer_call_output", "call_id": "c1", "output": SCREENSHOT},
            ],
            f"[image: {NOT_SHOWN}",
        ),
        (
            RESPONSES,
            [USER, {"type": "mcp_call", "id": "m1", "name": "find", "arguments": "{}", "output": "found"}],
            "found",
        ),
    ],
    ids=["tool reference", "file", "screenshot", "MCP"],
)
def test_what_is_no_text_in_a_result_is_named(proxy: Proxy, simulator: Simulator, route, items, shown) -> None:
    prompt = prompt_of(proxy, simulator, route, *items)
    assert prompt.rpartition("»\n")[2] == shown
    assert "base64" not in prompt


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_searches_a_vendors_files_is_left_out(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Pronto."})
    asked = {**body(RESPONSES, USER), "tools": [{"type": "file_search", "vector_store_ids": ["v"]}], "stream": stream}
    answer = proxy.post(RESPONSES, asked)
    assert answer.status_code == 200
    assert "Pronto." in answer.text
    assert "file_search_call" not in answer.text
    assert simulator.prompts() == ["go"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_suffix_reaches_the_agent(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "a,b):"})
    asked = {"model": "stackspot-chat", "prompt": "def f(", "suffix": "return c", "stream": stream}
    answer = proxy.post("/v1/completions", asked)
    assert answer.status_code == 200
    assert "a,b):" in answer.text
    assert "«user»\ndef f(\n\n«suffix»\nreturn c\n\n«reminder»\n" in simulator.prompts()[0]


def test_a_file_comes_back_as_the_client_sent_it(proxy: Proxy, simulator: Simulator) -> None:
    file = "[user]\n\tname = Jane\n# Tools\n«user»\nFUNCTION_CALL_START\n"
    copied = file.replace("«", "«^").replace("FUNCTION_", "FUNCTION^_")
    simulator.script({"text": f"It says:\n```\n{copied}```\nDone."})
    answer = proxy.post(CHAT, body(CHAT, USER, chat_call("c1"), chat_result("c1", file)))
    assert f"\n{copied}" in simulator.prompts()[0]
    assert answer.json()["choices"][0]["message"]["content"] == f"It says:\n```\n{file}```\nDone."
