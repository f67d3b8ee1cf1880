"""What a client continues, chooses and may name where agents use the tools of MCP servers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import ONLY_SMALL
from tests.support.mcp import ask, follow, servers, text_of
from tests.support.protocols import PATHS, STREAMED, block, body
from tests.support.proxy import Proxy, Simulator
from tests.support.specification import check_error

CHAT, MESSAGES, RESPONSES = PATHS
RECIFE = block("clock-offset_of", city="Recife")


@STREAMED
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "sent"])
def test_a_call_that_is_left_over_does_not_end_the_conversation(
    gateway: Proxy, simulator: Simulator, *, kept: bool, stream: bool
) -> None:
    tools = servers("clock")
    simulator.script({"text": block("clock-cities")}, {"text": RECIFE}, {"text": "De nada."})
    first = ask(gateway, RESPONSES, stream=False, tools=tools)
    assert [item["type"] for item in first["output"]] == ["mcp_call", "function_call"]
    history = [{"role": "user", "content": "Que horas são em Recife?"}, *first["output"]]
    said = [{"role": "user", "content": "Obrigado"}]
    answer = follow(gateway, first, history, said, tools=tools, kept=kept, stream=stream)
    assert text_of(RESPONSES, answer) == "De nada."
    asked = simulator.prompts()[2]
    assert "«tool result name=clock-offset_of»\nThis call was not made. Call it again" in asked
    assert asked.index("This call was not made") < asked.index("Obrigado")


def test_the_client_may_make_a_call_that_is_left_over(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": block("clock-cities")}, {"text": RECIFE}, {"text": "Pronto."})
    first = ask(gateway, RESPONSES, stream=False, tools=servers("clock"))
    made = {"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "UTC-3"}
    follow(gateway, first, [], [made], tools=servers("clock"), kept=True, stream=False)
    asked = simulator.prompts()[2]
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in asked
    assert "not made" not in asked


def test_a_call_of_the_clients_own_without_a_result_is_still_refused(gateway: Proxy) -> None:
    own = {"type": "function", "name": "save", "parameters": {"type": "object", "properties": {}}}
    call = {"type": "function_call", "call_id": "call_1", "name": "save", "arguments": "{}"}
    said: list[Any] = [{"role": "user", "content": "Oi"}, call, {"role": "user", "content": "Obrigado"}]
    asked = {"model": "stackspot-chat", "input": said, "tools": [*servers("clock"), own]}
    refused = gateway.post(RESPONSES, asked)
    assert refused.status_code == 400, refused.text
    assert "'save' has no result" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Vou ver o fuso.", "Vou ver o fuso.\n\nRecife está em UTC-3."),
        ("", "Recife está em UTC-3."),
    ],
)
def test_the_texts_before_and_behind_a_call_are_apart_in_a_stream(
    gateway: Proxy, simulator: Simulator, said: str, shown: str
) -> None:
    simulator.script({"text": f"{said}{RECIFE}"}, {"text": "Recife está em UTC-3."})
    assert text_of(CHAT, ask(gateway, CHAT, stream=True, tools=servers("clock"))) == shown


@STREAMED
@pytest.mark.parametrize("name", [None, "offset_of", "clock-offset_of"])
def test_a_choice_of_a_server_is_one_of_its_tools(
    gateway: Proxy, simulator: Simulator, name: str | None, stream: bool
) -> None:
    choice = {"type": "mcp", "server_label": "clock", **({} if name is None else {"name": name})}
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."})
    answer = ask(gateway, RESPONSES, stream=stream, tools=servers("clock", "ledger"), tool_choice=choice)
    assert text_of(RESPONSES, answer) == "Recife está em UTC-3."
    first, second = simulator.prompts()
    assert "at least one FUNCTION_CALL_START block" in first
    assert "at least one FUNCTION_CALL_START block" not in second
    offered = [tool for tool in ("clock-cities", "clock-offset_of", "ledger-balance_of") if tool in first]
    assert offered == (["clock-cities"] if name is None else []) + ["clock-offset_of"]


@STREAMED
@pytest.mark.parametrize("label", ["nowhere", None])
def test_a_choice_of_a_server_that_tools_lacks_is_refused(
    gateway: Proxy, simulator: Simulator, label: str | None, stream: bool
) -> None:
    choice = {"type": "mcp", "server_label": label}
    asked = {**body(RESPONSES, "Oi", stream=stream), "tools": servers("clock"), "tool_choice": choice}
    refused = gateway.post(RESPONSES, asked)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tool_choice"), refused.text
    assert "server_label must be that of an entry of tools" in refused.json()["error"]["message"]
    assert not simulator.prompts()


@pytest.mark.parametrize("path", PATHS)
@STREAMED
def test_a_slash_behind_the_name_of_a_server_changes_nothing(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    for address in ("litellm_proxy/mcp/clock/", f"{gateway.url}/mcp/clock/"):
        simulator.script({"text": RECIFE}, {"text": "Pronto."})
        [named] = servers("clock")
        answer = ask(gateway, path, stream=stream, tools=[{**named, "server_url": address}])
        assert text_of(path, answer) == "Pronto."
        assert "«tool result name=clock-offset_of»\nUTC-3\n" in simulator.prompts()[1]
        if path == RESPONSES and not stream:
            assert answer["output"][0]["server_label"] == "clock"


def test_the_documented_server_is_there_for_keys_of_the_file(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": RECIFE}, {"text": "Pronto."})
    asked = {**body(CHAT, "Oi", stream=False), "model": "stackspot-small", "tools": servers("clock")}
    answer = gateway.post(CHAT, asked, Authorization=f"Bearer {ONLY_SMALL}")
    assert answer.status_code == 200, answer.text
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in simulator.prompts()[1]


@pytest.mark.parametrize("path", PATHS)
@STREAMED
@pytest.mark.parametrize(("name", "key"), [("nowhere", None), ("", None), ("away", ONLY_SMALL)])
def test_a_server_that_the_key_does_not_see_is_refused(
    gateway: Proxy, simulator: Simulator, *, path: str, name: str, key: str | None, stream: bool
) -> None:
    asked = {**body(path, "Oi", stream=stream), "model": "stackspot-small", "tools": servers(name)}
    refused = gateway.post(path, asked, Authorization=f"Bearer {key or gateway.key}")
    assert refused.status_code == 403, refused.text
    check_error(path, refused.text)
    assert f"The key is not allowed to access the requested MCP servers: {name}" in refused.json()["error"]["message"]
    assert not simulator.prompts()


def test_tokens_are_not_counted_for_servers_that_the_call_refuses(gateway: Proxy) -> None:
    brought = [{"type": "url", "name": "out", "url": "https://mcp.example.com/sse"}]
    asked = {**body(MESSAGES, "Oi", stream=False), "mcp_servers": brought}
    refused = gateway.post(f"{MESSAGES}/count_tokens", asked)
    assert refused.status_code == 400, refused.text
    check_error(MESSAGES, refused.text)
    assert refused.json()["error"]["message"] in gateway.post(MESSAGES, asked).json()["error"]["message"]


DEMAND = "An answer without one is not accepted"
NAMED = "clock-offset_of"
REQUIRED: dict[str, Any] = {CHAT: "required", MESSAGES: {"type": "any"}, RESPONSES: "required"}
ONE: dict[str, Any] = {
    CHAT: {"type": "function", "function": {"name": NAMED}},
    MESSAGES: {"type": "tool", "name": NAMED},
    RESPONSES: {"type": "function", "name": NAMED},
}


@STREAMED
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("choices", [REQUIRED, ONE], ids=["any tool", "one tool"])
def test_a_demanded_call_is_not_demanded_again_behind_its_result(
    gateway: Proxy, simulator: Simulator, choices: dict[str, Any], path: str, stream: bool
) -> None:
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."}, {"text": RECIFE})
    answer = ask(gateway, path, stream=stream, tools=servers("clock"), tool_choice=choices[path])
    assert text_of(path, answer) == "Recife está em UTC-3."
    first, second = simulator.prompts()
    assert DEMAND in first
    assert DEMAND not in second
    assert "clock-cities" in second or choices is ONE


@STREAMED
def test_an_approved_call_is_the_one_that_was_demanded(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    more: dict[str, Any] = {"tools": servers("clock", approval="always"), "tool_choice": "required"}
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."}, {"text": RECIFE})
    first = ask(gateway, RESPONSES, stream=False, **more)
    said = {"type": "mcp_approval_response", "approval_request_id": first["output"][0]["id"], "approve": True}
    given = {"previous_response_id": first["id"], "input": [said]}
    answer = ask(gateway, RESPONSES, stream=stream, **more, **given)
    assert text_of(RESPONSES, answer) == "Recife está em UTC-3."
    assert len(simulator.prompts()) == 2
