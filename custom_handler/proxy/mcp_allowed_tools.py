"""Offer of each MCP server the tools that its entry in `tools` allows, and let no other be run.

LiteLLM joins the `allowed_tools` of all entries, and takes those that are no list, or an empty one,
for no limit. For models of StackSpot, each entry is resolved by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

from ..request.allowed_tools import AllowedTools
from ..request.context import current_request

_Listed: TypeAlias = tuple[list[Any], dict[str, str]]
"""Tools, and the names of their servers by theirs."""


def limit_tools() -> None:
    """Replace LiteLLM's function that lists the tools of entries, once a process."""
    try:
        from litellm.responses.mcp.litellm_proxy_mcp_handler import (  # noqa: PLC0415
            LiteLLM_Proxy_MCP_Handler as Handler,
        )
    except ImportError:  # without the package `mcp` there are no tools
        return
    resolve = Handler.process_mcp_tools_without_openai_transform
    if resolve.__module__ == __name__:
        return

    async def allowed(user_api_key_auth: Any, mcp_tools_with_litellm_proxy: Any, **kwargs: Any) -> _Listed:
        async def of_entry(entry: Mapping[str, Any], limit: AllowedTools) -> _Listed:
            if limit.names == ():
                return [], {}
            given = {**entry, "allowed_tools": None if limit.names is None else list(limit.names)}
            tools, by_name = await resolve(user_api_key_auth, [given], **kwargs)
            return [tool for tool in tools if not limit.read_only or _is_read_only(tool)], by_name

        entries, request = list(mcp_tools_with_litellm_proxy or ()), current_request()
        limits = [] if request is None or request.mcp is None else list(map(AllowedTools.of_entry, entries))
        if all(limit == AllowedTools() for limit in limits):
            found: _Listed = await resolve(user_api_key_auth, entries, **kwargs)
            return found
        tools, servers = {}, {}
        for listed, by_name in await asyncio.gather(*map(of_entry, entries, limits)):
            tools.update({tool.name: tool for tool in listed})
            servers.update({tool.name: by_name[tool.name] for tool in listed})
        return list(tools.values()), servers

    Handler.process_mcp_tools_without_openai_transform = staticmethod(allowed)


def _is_read_only(tool: Any) -> bool:
    return getattr(tool.annotations, "read_only_hint", None) is True
