"""Note which MCP calls of a request have failed; LiteLLM's results are texts that do not say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.types.utils import CallTypes

from ..request.context import current_request

_CALL = CallTypes.call_mcp_tool.value


def note_result(details: Mapping[str, Any]) -> None:
    """Note a call that LiteLLM has made, from the details that it logs, if the tool has failed."""
    if getattr(details.get("original_response"), "is_error", False) is True:
        note_failure(details)


def note_failure(details: Mapping[str, Any]) -> bool:
    """Note a call as failed if it is one of an MCP tool, for an agent; return whether it is.

    LiteLLM has no details where an agent calls a tool that is not offered.
    """
    request = current_request()
    if request is None or request.mcp is None or details.get("call_type", _CALL) != _CALL:
        return False
    metadata = details.get("metadata") or (details.get("litellm_params") or {}).get("metadata") or {}
    if isinstance(name := metadata.get("tool_call_id"), str):
        request.mcp.failed.add(name)
    return True
