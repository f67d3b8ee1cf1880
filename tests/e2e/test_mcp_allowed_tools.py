"""`allowed_tools` of an entry in `tools` limits the tools of its MCP server, on every protocol."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.support.mcp import RESPONSES, ask, final, servers
from tests.support.protocols import PATHS, STREAMED, block, body
from tests.support.proxy import Proxy, Simulator

CHAT, MESSAGES, _ = PATHS
COUNTS = {
    MESSAGES: "/v1/messages/count_tokens",
    RESPONSES: "/v1/responses/input_tokens",
    CHAT: "/utils/token_counter",
}
EVERY_PROTOCOL = pytest.mark.parametrize("path", PATHS)
TOOLS = ["clock-cities", "clock-offset_of", "ledger-balance_of", "ledger-pay"]
FORMS = [["balance_of"], ["ledger-balance_of"], {"tool_names": ["balance_of"]}, {"read_only": True}]
WITHOUT_PAY = pytest.mark.parametrize("allowed", [*FORMS, {"tool_names": ["balance_of", "pay"], "read_only": True}, []])


def entry(name: str, allowed: Any = None, *, approval: str = "never") -> dict[str, Any]:
    [one] = servers(name, approval=approval)
    return {**one, "allowed_tools": allowed}


def whole_gateway(allowed: Any) -> dict[str, Any]:
    return {**entry("all", allowed), "server_url": "litellm_proxy"}


@EVERY_PROTOCOL
@STREAMED
@WITHOUT_PAY
def test_a_tool_that_is_not_allowed_is_neither_offered_nor_run(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool, allowed: Any
) -> None:
    simulator.script({"text": block("ledger-pay", owner="mallory")}, *[{"text": "Pronto."}] * 3)
    ask(gateway, path, stream=stream, tools=[entry("ledger", allowed)])
    prompts = simulator.prompts()
    assert "ledger-pay" not in prompts[0]
    assert ("ledger-balance_of" in prompts[0]) is bool(allowed)
    assert not any("to mallory" in prompt for prompt in prompts)


@STREAMED
@WITHOUT_PAY
def test_an_approval_does_not_run_a_tool_that_is_not_allowed(
    gateway: Proxy, simulator: Simulator, stream: bool, allowed: Any
) -> None:
    asked = f"mcpr_{uuid.uuid4().hex}"
    call = {"type": "mcp_approval_request", "id": asked, "name": "ledger-pay", "server_label": "ledger"}
    said = {"type": "mcp_approval_response", "approval_request_id": asked, "approve": True}
    items = [{"role": "user", "content": "Pague."}, {**call, "arguments": '{"owner": "zed"}'}, said]
    simulator.script({"text": "Não pude."})
    tools = [entry("ledger", allowed, approval="always")]
    [made, _] = final(ask(gateway, RESPONSES, stream=stream, tools=tools, input=items))["output"]
    assert (made["status"], made["error"]["type"]) == ("failed", "mcp_protocol_error")
    assert made["error"]["message"].startswith("The tool ledger-pay is not offered.")


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("tools", "offered"),
    [
        ([entry("clock", ["cities"]), entry("ledger")], ["clock-cities", "ledger-balance_of", "ledger-pay"]),
        ([entry("clock", ["cities", "pay"]), entry("ledger", ["balance_of"])], ["clock-cities", "ledger-balance_of"]),
        ([entry("clock", ["ledger-pay"]), entry("ledger", [])], []),
        ([entry("clock", []), entry("ledger", {"read_only": True})], ["ledger-balance_of"]),
        ([entry("clock", {"tool_names": ["cities"]}), entry("clock", ["offset_of"])], TOOLS[:2]),
        ([whole_gateway({"tool_names": ["clock-cities", "pay"]})], ["clock-cities", "ledger-pay"]),
        ([whole_gateway({"read_only": True}), entry("clock")], TOOLS[:3]),
        ([entry("clock", {"read_only": True})], []),
    ],
)
def test_each_entry_limits_its_own_server(
    gateway: Proxy, simulator: Simulator, path: str, tools: list[dict[str, Any]], offered: list[str]
) -> None:
    asked = {**body(path, "Oi", stream=False), "tools": tools}
    counted = gateway.post(COUNTS[path], asked).json()
    simulator.script({"text": "Pronto."})
    answer = gateway.post(path, asked)
    assert answer.status_code == 200, answer.text
    [prompt] = simulator.prompts()
    assert [name for name in TOOLS if f'"name":"{name}"' in prompt] == offered
    assert (counted.get("input_tokens") or counted["total_tokens"]) == int(answer.headers["x-stackspot-prompt-tokens"])


def test_a_tool_of_a_limited_server_is_run_beside_another_one(gateway: Proxy, simulator: Simulator) -> None:
    calls = block("clock-offset_of", city="Recife") + block("ledger-balance_of", owner="ana")
    simulator.script({"text": calls}, {"text": "Pronto."})
    tools = [entry("clock", ["offset_of"]), entry("ledger", {"read_only": True})]
    ask(gateway, CHAT, stream=False, tools=tools)
    _, second = simulator.prompts()
    assert "name=clock-offset_of»\nUTC-3\n" in second
    assert "name=ledger-balance_of»\nR$ 120,00\n" in second


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    "allowed", ["pay", {}, {"names": ["pay"]}, {"tool_names": None}, {"tool_names": "pay"}, {"read_only": False}, [1]]
)
def test_an_unknown_form_is_refused(gateway: Proxy, simulator: Simulator, path: str, allowed: Any) -> None:
    asked = {**body(path, "Oi", stream=False), "tools": [entry("clock"), entry("ledger", allowed)]}
    refused = gateway.post(path, asked)
    assert refused.status_code == 400, refused.text
    assert "tools[1].allowed_tools: must be a list of names, or" in refused.json()["error"]["message"]
    assert simulator.prompts() == []
