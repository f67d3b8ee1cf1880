"""An agent uses the tools of MCP servers that LiteLLM knows, on every protocol, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.gateway import DOCUMENTED_PORT, documented
from tests.support.protocols import PATHS, STREAMED, block, body
from tests.support.proxy import Proxy, Simulator

CHAT, MESSAGES, RESPONSES = PATHS
EVERY_PROTOCOL = pytest.mark.parametrize("path", PATHS)
RECIFE = block("clock-offset_of", city="Recife")


def servers(*names: str, approval: str = "never") -> list[dict[str, Any]]:
    return [
        {"type": "mcp", "server_label": name, "server_url": f"litellm_proxy/mcp/{name}", "require_approval": approval}
        for name in names
    ]


def ask(gateway: Proxy, path: str, *, stream: bool, tools: list[dict[str, Any]], model: str = "stackspot-chat") -> Any:
    """Return the body of the answer, or the events of its stream."""
    request = {**body(path, "Que horas são em Recife?", stream=stream), "tools": tools, "model": model}
    answer = gateway.post(path, request)
    assert answer.status_code == 200, answer.text
    if not stream:
        return answer.json()
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(path: str, answer: Any) -> str:
    """Return the text of an answer or of its stream."""
    if path == CHAT:
        parts = answer if isinstance(answer, list) else [answer]
        choices = [choice for part in parts for choice in part["choices"]]
        return "".join((one.get("delta") or one.get("message") or {}).get("content") or "" for one in choices)
    if path == MESSAGES:
        if isinstance(answer, list):
            return "".join(event["delta"].get("text", "") for event in answer if event["type"] == "content_block_delta")
        return "".join(part.get("text", "") for part in answer["content"])
    if isinstance(answer, list):
        return "".join(event["delta"] for event in answer if event["type"] == "response.output_text.delta")
    return "".join(part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"])


def calls_of(path: str, answer: Any) -> set[str]:
    """Return the names of the tools that a client is asked to call."""
    if path == CHAT:
        parts = answer if isinstance(answer, list) else [answer]
        places = [choice.get("delta") or choice.get("message") for part in parts for choice in part["choices"]]
        calls = [call for place in places if place for call in place.get("tool_calls") or ()]
        return {call["function"]["name"] for call in calls if call["function"].get("name")}
    if path == MESSAGES:
        events = answer if isinstance(answer, list) else []
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        content = blocks if isinstance(answer, list) else answer["content"]
        return {part["name"] for part in content if part["type"] == "tool_use"}
    final = answer[-1]["response"] if isinstance(answer, list) else answer
    return {item["name"] for item in final["output"] if item["type"] == "function_call"}


@EVERY_PROTOCOL
@STREAMED
def test_a_tool_of_a_server_is_run_for_the_agent(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock"))
    assert text_of(path, answer) == "Recife está em UTC-3."
    first, second = simulator.prompts()
    assert '{"name":"clock-offset_of","description":"Return the offset of a city\'s time from UTC, in hours."' in first
    assert "ledger-balance_of" not in first
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in second


@EVERY_PROTOCOL
@STREAMED
def test_with_approval_the_client_receives_the_call(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": RECIFE})
    answer = ask(gateway, path, stream=stream, tools=servers("clock", approval="always"))
    assert calls_of(path, answer) == {"clock-offset_of"}
    assert len(simulator.prompts()) == 1


@EVERY_PROTOCOL
@STREAMED
def test_the_agent_reads_the_error_of_a_tool(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": block("clock-offset_of", city="Atlantis")}, {"text": "Não conheço essa cidade."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock"))
    assert text_of(path, answer) == "Não conheço essa cidade."
    _, second = simulator.prompts()
    assert "«tool result name=clock-offset_of»\nError executing tool" in second


@EVERY_PROTOCOL
@STREAMED
def test_tools_of_two_servers_are_called_at_once(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": RECIFE + block("ledger-balance_of", owner="ana")}, {"text": "UTC-3 e R$ 120,00."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock", "ledger"))
    assert text_of(path, answer) == "UTC-3 e R$ 120,00."
    _, second = simulator.prompts()
    assert "«tool result 1/2 name=clock-offset_of»\nUTC-3\n" in second
    assert "«tool result 2/2 name=ledger-balance_of»\nR$ 120,00\n" in second


@STREAMED
def test_a_tool_of_the_client_beside_a_server_stays_the_clients(
    gateway: Proxy, simulator: Simulator, stream: bool
) -> None:
    own = {"type": "function", "function": {"name": "save", "parameters": {"type": "object", "properties": {}}}}
    simulator.script({"text": block("save")})
    answer = ask(gateway, CHAT, stream=stream, tools=[*servers("clock", approval="always"), own])
    assert calls_of(CHAT, answer) == {"save"}


def test_an_error_before_the_first_text_of_a_stream_has_its_status(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"status": 403, "body": {"code": "FORBIDDEN"}})
    request = {**body(CHAT, "Olá", stream=True), "tools": servers("clock")}
    assert gateway.post(CHAT, request).status_code == 403


def test_the_log_has_the_agents_answer_and_not_the_servers(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": RECIFE}, {"text": "UTC-3."})
    ask(gateway, CHAT, stream=False, tools=servers("clock"))
    ask(gateway, CHAT, stream=False, tools=[])  # its line comes behind the one of the call before
    lines = [line for line in gateway.log.read_text().splitlines() if "custom_handler.calls: call" in line]
    assert lines
    assert not [line for line in lines if "model=MCP" in line]


def test_the_document_shows_the_server_that_it_configures() -> None:
    assert DOCUMENTED_PORT in documented("python")
    assert f"http://127.0.0.1:{DOCUMENTED_PORT}/mcp" in documented("yaml")
    assert "litellm_proxy/mcp/clock" in documented("bash")
