"""MCP servers that a request brings are refused; those of the proxy's configuration pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from litellm.types.utils import CallTypes

from custom_handler.proxy.validation.mcp_servers import reject_external_servers

OWN = {"type": "mcp", "server_label": "clock", "server_url": "litellm_proxy/mcp/clock"}
EXTERNAL = {"type": "mcp", "server_label": "x", "server_url": "https://mcp.example.com/mcp"}
FUNCTION = {"type": "function", "function": {"name": "mcp"}}


def validate(body: Any, call_type: CallTypes = CallTypes.acompletion) -> None:
    call = {"model": "stackspot/chat", "tools": [], "proxy_server_request": {"body": body}}
    asyncio.run(reject_external_servers(call, call_type))


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([EXTERNAL], "tools[0].server_url"),
        ([OWN, FUNCTION, EXTERNAL], "tools[2].server_url"),
        ([{"type": "mcp", "server_label": "x", "connector_id": "connector_gmail"}], "tools[0].type"),
        ([{"type": "mcp_toolset", "mcp_server_name": "x"}], "tools[0]"),
        ([{"mcpServers": [{"name": "x"}]}], "tools[0].mcpServers"),
    ],
)
def test_another_server_is_refused_by_its_field(tools: list[Any], param: str) -> None:
    with pytest.raises(Exception, match="MCP servers") as refused:
        validate({"tools": tools})
    assert getattr(refused.value, "status_code", None) == 400
    assert getattr(refused.value, "param", None) == param
    assert "example.com" not in str(refused.value)


def test_the_servers_of_anthropics_field_are_refused_on_its_route() -> None:
    body = {"mcp_servers": [{"type": "url", "url": "https://mcp.example.com", "authorization_token": "secret"}]}
    validate(body)
    with pytest.raises(Exception, match="mcp_servers: this proxy connects agents to the MCP servers of its own"):
        validate(body, CallTypes.anthropic_messages)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"tools": None, "mcp_servers": []},
        {"tools": "no list"},
        {"tools": [OWN, {**OWN, "server_url": "litellm_proxy"}, FUNCTION, "x"]},
        {"tools": [{"functionDeclarations": [], "mcpServers": []}]},
    ],
)
def test_all_else_passes(body: Any) -> None:
    validate(body, CallTypes.anthropic_messages)
