"""Run the MCP calls that the client of /v1/responses approves.

LiteLLM returns a call that needs approval as the call of a function; `middleware.mcp_items` shows
it as `mcp_approval_request`. LiteLLM ignores the client's `mcp_approval_response`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litellm.responses.mcp.request_context import MCPRequestContext
from litellm.responses.mcp.tool_precheck import may_name_litellm_mcp_gateway
from litellm.responses.utils import ResponsesAPIRequestUtils

from ..errors import RequestError
from ..provider.litellm_errors import litellm_error
from ..request.context import counts_only, current_request
from ..request.mcp_turn import McpTurn

REQUEST, RESPONSE = "mcp_approval_request", "mcp_approval_response"


def note_servers(kwargs: Mapping[str, Any]) -> McpTurn | None:
    """Note for the current request the MCP servers of a call of which LiteLLM makes others."""
    request, tools = current_request(), kwargs.get("tools")
    if request is None or kwargs.get("_skip_mcp_handler") or not may_name_litellm_mcp_gateway(tools):
        return None
    if request.mcp is None:  # an attempt that is repeated runs no approved call again
        request.mcp = McpTurn.of_tools(tools or ())
    return request.mcp


async def with_approved_calls(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/responses with the results of the MCP calls that its input approves.

    Raises the proxy's error (400) for the approval of an unknown call, or of an unknown server's.
    """
    turn, items = note_servers(kwargs), kwargs.get("input") or ()
    if turn is None and (request := current_request()) is not None and request.mcp is not None:
        request.mcp.note_calls(items)
        return kwargs
    wanted = _approved(items) if isinstance(items, list) else []
    if not wanted or counts_only():
        return kwargs
    asked = {item.get("id"): item for item in items if isinstance(item, Mapping) and item.get("type") == REQUEST}
    if (unknown := next((name for name in wanted if name not in asked), None)) is not None:
        reason = f"mcp_approval_response: the input has no mcp_approval_request {unknown[:80]!r} to approve."
    elif turn is None:
        reason = "mcp_approval_response: name the MCP server of the call in tools again."
    else:
        for name in wanted:
            if name not in turn.approved:
                turn.approved[name] = await _run(kwargs, asked[name])
        return {**kwargs, "input": [turn.approved.get(_approval(item), item) for item in items]}
    raise litellm_error(RequestError(reason, param="input"), str(kwargs.get("model")))


def _approval(item: Any) -> str:
    """Return the id of the call that an item approves, "" for another item."""
    is_approval = isinstance(item, Mapping) and item.get("type") == RESPONSE and item.get("approve") is True
    return str(item.get("approval_request_id")) if is_approval else ""


def _approved(items: Sequence[Any]) -> list[str]:
    """Return the ids of the calls that are approved behind the last output of the model.

    An approval before that has been followed: the client sends it as a part of the conversation.
    """
    found: list[str] = []
    for item in items:
        if (name := _approval(item)) and name not in found:
            found.append(name)
        elif isinstance(item, Mapping) and (item.get("role") == "assistant" or item.get("type") == "mcp_call"):
            found.clear()
    return found


async def _run(kwargs: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item `mcp_call` of an approved call, which LiteLLM runs."""
    from litellm.responses.mcp.litellm_proxy_mcp_handler import LiteLLM_Proxy_MCP_Handler as Handler  # noqa: PLC0415

    metadata = kwargs.get("litellm_metadata") or {}
    caller = kwargs.get("user_api_key_auth") or metadata.get("user_api_key_auth")
    tools = kwargs.get("tools")
    auth, server_auth, oauth2, raw = ResponsesAPIRequestUtils.extract_mcp_headers_from_request(
        secret_fields=kwargs.get("secret_fields"), tools=tools
    )
    servers, _ = await Handler.split_mcp_tools(tools)
    headers = {"mcp_auth_header": auth, "mcp_server_auth_headers": server_auth, "raw_headers": raw}
    served, by_name = await Handler.process_mcp_tools_without_openai_transform(
        user_api_key_auth=caller, mcp_tools_with_litellm_proxy=servers, **headers
    )
    name, arguments = str(asked.get("name")), str(asked.get("arguments") or "{}")
    text = f"The tool {name} is not offered."
    if name in by_name:
        call = {"type": "function_call", "call_id": asked["id"], "name": name, "arguments": arguments}
        results = await Handler.execute_tool_calls(
            tool_server_map=by_name,
            tool_calls=[call],
            user_api_key_auth=caller,
            oauth2_headers=oauth2,
            litellm_call_id=kwargs.get("litellm_call_id"),
            litellm_trace_id=kwargs.get("litellm_trace_id"),
            guardrail_context=MCPRequestContext.resolve_guardrail_context(dict(kwargs)),
            served_tools=served,
            **headers,
        )
        text = "\n".join(str(one.get("result") or "") for one in results)
    return {
        "type": "mcp_call",
        "id": f"mcp_{str(asked['id']).removeprefix('mcpr_')}",
        "approval_request_id": asked["id"],
        "name": name,
        "arguments": arguments,
        "server_label": str(asked.get("server_label") or ""),
        "status": "completed",
        "output": text,
        "error": None,
    }
