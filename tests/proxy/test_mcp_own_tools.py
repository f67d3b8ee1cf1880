"""LiteLLM runs no call of the client's own functions; tests/e2e/test_mcp.py has the real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from custom_handler.proxy.mcp_own_tools import leave_own_calls
from custom_handler.request.context import RequestContext
from custom_handler.request.mcp_turn import McpTurn

pytestmark = pytest.mark.filterwarnings("ignore")  # of LiteLLM's modules, when they are imported

CLOCK = {"type": "function_call", "call_id": "call_1", "name": "clock-now", "arguments": "{}"}
SAVE = {"type": "function_call", "call_id": "call_2", "name": "save", "arguments": "{}"}
MADE = {"tool_call_id": "call_1", "result": "noon", "name": "clock-now"}


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LiteLLM's class, whose calls are counted instead of run."""
    from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler

    run: list[str] = []

    async def execute(*, tool_calls: Any, **_: Any) -> list[Any]:
        run.extend(call["name"] for call in tool_calls)
        return [MADE for call in tool_calls if call["name"] == "clock-now"]

    def choose(tool_calls: Any, tool_choice: Any, gateway: Any) -> Any:
        return tool_calls

    monkeypatch.setattr(LiteLLM_Proxy_MCP_Handler, "tool_calls_to_run", staticmethod(choose))
    monkeypatch.setattr(LiteLLM_Proxy_MCP_Handler, "execute_tool_calls", staticmethod(execute))
    monkeypatch.setattr(LiteLLM_Proxy_MCP_Handler, "run", run, raising=False)
    leave_own_calls()
    leave_own_calls()  # once a process
    return LiteLLM_Proxy_MCP_Handler


def results(handler: Any, *calls: Any) -> list[Any]:
    chosen = handler.tool_calls_to_run(calls, None, None)
    made = asyncio.run(handler.execute_tool_calls(tool_calls=list(calls)))
    assert bool(chosen) is bool(made)
    return [(one["tool_call_id"], one["result"]) for one in made]


def test_calls_of_own_functions_alone_are_not_run(handler: Any) -> None:
    with RequestContext({}, mcp=McpTurn({}, own=frozenset({"save"}))).served():
        assert results(handler, SAVE, SAVE) == []
    assert handler.run == []


def test_beside_calls_of_a_server_the_agent_reads_to_repeat_them(handler: Any) -> None:
    with RequestContext({}, mcp=McpTurn({}, own=frozenset({"save"}))).served():
        first, (identifier, text) = results(handler, SAVE, CLOCK)
    assert (first, identifier, handler.run) == (("call_1", "noon"), "call_2", ["clock-now"])
    assert text.startswith("This call was not made: the client makes it.")


def test_calls_of_other_models_are_litellms(handler: Any) -> None:
    assert results(handler, SAVE, CLOCK) == [("call_1", "noon")]
    assert handler.run == ["save", "clock-now"]
