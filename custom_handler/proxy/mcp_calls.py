"""Call the tools of MCP servers through LiteLLM, for the caller of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from litellm.responses.mcp.request_context import MCPRequestContext
from litellm.responses.utils import ResponsesAPIRequestUtils

from ..data_class import data_class
from ..history.approved_calls import CallNotMade
from ..request.mcp_outcome import INVALID_PARAMS, Outcome

_NOT_MADE = "The call was not made."


@data_class
class McpTools:
    """The tools that a request may call: `by_name` has their servers, `served` what these list."""

    call: Mapping[str, Any]
    caller: Any
    served: Any
    by_name: Mapping[str, str]
    headers: Mapping[str, Any]
    oauth2_headers: Any

    @classmethod
    async def of_call(cls, call: Mapping[str, Any]) -> McpTools:
        """Ask the servers that a call of /v1/responses names for their tools."""
        from litellm.responses.mcp.litellm_proxy_mcp_handler import (  # noqa: PLC0415
            LiteLLM_Proxy_MCP_Handler as Handler,
        )

        tools, caller = call.get("tools"), caller_of(call)
        auth, server_auth, oauth2, raw = ResponsesAPIRequestUtils.extract_mcp_headers_from_request(
            secret_fields=call.get("secret_fields"), tools=tools
        )
        servers, _ = await Handler.split_mcp_tools(tools)
        headers = {"mcp_auth_header": auth, "mcp_server_auth_headers": server_auth, "raw_headers": raw}
        served, by_name = await Handler.process_mcp_tools_without_openai_transform(
            user_api_key_auth=caller, mcp_tools_with_litellm_proxy=servers, **headers
        )
        return cls(call, caller, served, by_name, headers, oauth2)

    async def run(self, call_id: str, name: str, arguments: str, failed: set[str]) -> Outcome:
        """Return the outcome of a call; LiteLLM adds the ids of those that fail to `failed`.

        Raises CallNotMade for a tool that is not offered, and for arguments that are no object.
        """
        from litellm.responses.mcp.litellm_proxy_mcp_handler import (  # noqa: PLC0415
            LiteLLM_Proxy_MCP_Handler as Handler,
        )

        if name not in self.by_name:
            raise CallNotMade(Outcome.refused(f"The tool {name} is not offered. {_NOT_MADE}", INVALID_PARAMS))
        if not _is_object(arguments):
            raise CallNotMade(Outcome.refused(f"The arguments are not a JSON object. {_NOT_MADE}", INVALID_PARAMS))
        results = await Handler.execute_tool_calls(
            tool_server_map=dict(self.by_name),
            tool_calls=[{"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}],
            user_api_key_auth=self.caller,
            oauth2_headers=self.oauth2_headers,
            litellm_call_id=self.call.get("litellm_call_id"),
            litellm_trace_id=self.call.get("litellm_trace_id"),
            guardrail_context=MCPRequestContext.resolve_guardrail_context(dict(self.call)),
            served_tools=self.served,
            **self.headers,
        )
        text = "\n".join(str(one.get("result") or "") for one in results)
        return Outcome.failed(text) if call_id in failed else Outcome(text)


def caller_of(call: Mapping[str, Any]) -> Any:
    """Return the API key that makes a call of /v1/responses, as LiteLLM notes it."""
    return call.get("user_api_key_auth") or (call.get("litellm_metadata") or {}).get("user_api_key_auth")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
