"""Leave the calls of the client's own functions to the client, where LiteLLM runs MCP calls.

LiteLLM would run all calls of an answer, and answer those of the client's functions with errors.
For models of StackSpot, an answer with such calls alone is returned to the client; beside MCP
calls, which are run, the agent reads that it has to call them again.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..request.context import current_request
from .shortcuts import takes

_AGAIN = "This call was not made: the client makes it. Call it again now, without calls of other tools."


def leave_own_calls() -> None:
    """Replace LiteLLM's functions that run MCP calls, once a process, if they are as expected."""
    try:
        from litellm.responses.mcp.litellm_proxy_mcp_handler import (  # noqa: PLC0415
            LiteLLM_Proxy_MCP_Handler as Handler,
        )
    except ImportError:  # without the package `mcp` there are no calls
        return
    choose, execute = Handler.tool_calls_to_run, Handler.execute_tool_calls
    if hasattr(choose, "__wrapped__") or not takes(choose, "tool_calls", "tool_choice", "gateway"):
        return

    def name_of(call: object) -> str:
        return str(Handler.extract_tool_call_details(call)[0])

    @functools.wraps(choose)
    def calls_to_run(tool_calls: Sequence[object], *args: Any, **kwargs: Any) -> Sequence[object]:
        return () if _are_own(map(name_of, tool_calls)) else choose(tool_calls, *args, **kwargs)

    @functools.wraps(execute)
    async def execute_calls(*args: Any, tool_calls: Sequence[object], **kwargs: Any) -> list[Any]:
        own = own_names()
        if _are_own(map(name_of, tool_calls)):  # on /v1/messages, which chooses none
            return []
        results: list[Any] = await execute(
            *args, tool_calls=[one for one in tool_calls if name_of(one) not in own], **kwargs
        )
        if (request := current_request()) is not None and request.mcp is not None:
            request.mcp.has_run = True
        for call in tool_calls:
            name, _, identifier = Handler.extract_tool_call_details(call)
            if name in own:
                results.append({"tool_call_id": identifier, "result": _AGAIN, "name": name})
        return results

    Handler.tool_calls_to_run = staticmethod(calls_to_run)
    Handler.execute_tool_calls = staticmethod(execute_calls)


def own_names() -> frozenset[str]:
    """Return the names of the client's functions, none for a request without MCP servers."""
    request = current_request()
    return frozenset() if request is None or request.mcp is None else request.mcp.own


def _are_own(names: Any) -> bool:
    found = set(names)
    return bool(found) and found <= own_names()
