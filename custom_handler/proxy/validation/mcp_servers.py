"""Reject the MCP servers that a request brings, to which a vendor's own API would connect.

The proxy connects agents to the servers of its configuration only. LiteLLM ignores all others, or
shows them to the agent as functions without a name. A form of `allowed_tools` that is unknown is
rejected, too: it would limit nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.responses.mcp.tool_precheck import names_gateway_explicitly, proxy_path_mcp_name
from litellm.types.utils import CallTypes

from ...errors import RequestError
from ...provider.litellm_errors import litellm_error
from ...request.allowed_tools import AllowedTools

_GEMINI = ("mcpServers", "mcp_servers")  # of a tool
_REASON = (
    "this proxy connects agents to the MCP servers of its own configuration only. Ask its operator to add the server "
    "to mcp_servers of config.yaml, and name it in tools with type: mcp and server_url: litellm_proxy/mcp/<name>."
)
_GEMINI_REASON = "MCP servers are not supported on this protocol. Use /v1/responses, /v1/messages or chat completions."


async def reject_external_servers(call: Mapping[str, Any], call_type: CallTypes | None) -> None:
    """Raise the proxy's error (400) for an MCP server that is not one of the proxy's."""
    body = (call.get("proxy_server_request") or {}).get("body") or {}
    tools = body.get("tools")
    for number, tool in enumerate(tools if isinstance(tools, list) else ()):
        if not isinstance(tool, Mapping):
            continue
        path = f"tools[{number}]"
        if (name := next((one for one in _GEMINI if tool.get(one)), None)) is not None:
            raise _error(call, f"{path}.{name}", _GEMINI_REASON)
        if tool.get("type") == "mcp_toolset":
            raise _error(call, path, _REASON)
        if tool.get("type") == "mcp" and not await _is_own(tool):
            raise _error(call, f"{path}.{'server_url' if tool.get('server_url') else 'type'}", _REASON)
        if tool.get("type") == "mcp":
            try:
                AllowedTools.of_entry(tool)
            except ValueError as error:
                raise _error(call, f"{path}.allowed_tools", f"must be {error}.") from None
    if call_type == CallTypes.anthropic_messages and body.get("mcp_servers"):
        raise _error(call, "mcp_servers", _REASON)


def choice_of_server(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/responses whose `tool_choice` of type mcp has a form that LiteLLM knows.

    Raises the proxy's error (400) for one whose server is not in `tools`.
    """
    choice = call.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "mcp":
        return call
    label = choice.get("server_label")
    if not any(_label(tool) == label for tool in call.get("tools") or ()):
        raise _error(call, "tool_choice", "server_label must be that of an entry of tools with type: mcp.")
    named = {name: choice[name] for name in ("type", "server_label", "name") if choice.get(name) is not None}
    return {**call, "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [named]}}


def _label(tool: Any) -> Any:
    return tool.get("server_label") if isinstance(tool, Mapping) and tool.get("type") == "mcp" else None


def without_end_slashes(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call whose MCP servers are named without a slash at the end of the address.

    For LiteLLM an empty name would follow it.
    """
    tools = call.get("tools")
    if not isinstance(tools, list) or not any(_plain(tool) is not tool for tool in tools):
        return call
    return {**call, "tools": [_plain(tool) for tool in tools]}


def _plain(tool: Any) -> Any:
    """Return a tool with the address of its MCP server without a slash at the end."""
    address = tool.get("server_url") if isinstance(tool, Mapping) and tool.get("type") == "mcp" else None
    if not isinstance(address, str) or not address.endswith("/"):
        return tool
    plain = address.rstrip("/")
    return tool if plain.endswith("/mcp") else {**tool, "server_url": plain}  # else it would name all servers


async def _is_own(tool: Mapping[str, Any]) -> bool:
    """Return whether LiteLLM finds the server of a tool in the proxy's configuration."""
    tool = _plain(tool)
    if names_gateway_explicitly(tool):
        return True
    if proxy_path_mcp_name(tool) is None:
        return False
    from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler  # noqa: PLC0415

    return all(await LiteLLM_Proxy_MCP_Handler.routes_through_gateway([tool]))


def _error(call: Mapping[str, Any], param: str, reason: str) -> Exception:
    return litellm_error(RequestError(f"{param}: {reason}", param=param), str(call.get("model")))
