"""Each entry of `tools` limits its own server; tests/e2e/test_mcp_allowed_tools.py has real ones."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from custom_handler.proxy.mcp_allowed_tools import limit_tools
from custom_handler.request.allowed_tools import AllowedTools
from custom_handler.request.context import RequestContext
from custom_handler.request.mcp_turn import McpTurn

pytestmark = pytest.mark.filterwarnings("ignore")  # of LiteLLM's modules, when they are imported

READ_ONLY = {"clock-now": True, "clock-set": False}


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """LiteLLM's class, whose server has two tools."""
    from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler

    asked: list[Any] = []

    async def resolve(user_api_key_auth: Any, mcp_tools_with_litellm_proxy: Any, **_: Any) -> Any:
        asked.append([entry.get("allowed_tools") for entry in mcp_tools_with_litellm_proxy])
        [allowed] = asked[-1]
        names = [name for name in READ_ONLY if not allowed or name in allowed]
        hints = [SimpleNamespace(read_only_hint=READ_ONLY[name]) for name in names]
        tools = [SimpleNamespace(name=name, annotations=hint) for name, hint in zip(names, hints, strict=True)]
        return tools, dict.fromkeys(names, "clock")

    name = "process_mcp_tools_without_openai_transform"
    monkeypatch.setattr(LiteLLM_Proxy_MCP_Handler, name, staticmethod(resolve))
    monkeypatch.setattr(LiteLLM_Proxy_MCP_Handler, "asked", asked, raising=False)
    limit_tools()
    limit_tools()  # once a process
    return LiteLLM_Proxy_MCP_Handler


def offered(handler: Any, *allowed: Any) -> Any:
    entries = [{"allowed_tools": one} for one in allowed]
    tools, servers = asyncio.run(handler.process_mcp_tools_without_openai_transform(None, entries))
    assert [tool.name for tool in tools] == list(servers)
    return list(servers)


def test_entries_are_resolved_by_themselves(handler: Any) -> None:
    with RequestContext({}, mcp=McpTurn({})).served():
        assert offered(handler, ["clock-set"], {"tool_names": ["clock-now"]}) == ["clock-set", "clock-now"]
        assert offered(handler, {"read_only": True}, []) == ["clock-now"]
        assert offered(handler, {"read_only": True, "tool_names": ["clock-set"]}) == []
    assert handler.asked == [[["clock-set"]], [["clock-now"]], [None], [["clock-set"]]]


def test_without_a_limit_litellm_resolves_all_at_once(handler: Any) -> None:
    with RequestContext({}, mcp=McpTurn({})).served():
        assert offered(handler, None) == list(READ_ONLY)
    assert handler.asked == [[None]]


def test_tools_of_other_models_are_litellms(handler: Any) -> None:
    assert offered(handler, []) == list(READ_ONLY)


@pytest.mark.parametrize("allowed", ["now", 1, {}, {"other": 1}, {"read_only": False}, {"tool_names": None}, [None]])
def test_an_unknown_form_is_an_error(allowed: Any) -> None:
    with pytest.raises(ValueError, match="a list of names, or an object"):
        AllowedTools.of_entry({"allowed_tools": allowed})
