"""Rewrite the input of /v1/responses into the items and parts that LiteLLM's bridge keeps.

The bridge drops refusals and the calls of a vendor's tools (but not their results), and writes
files in a tool's output into the prompt as JSON, with their base64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...emulation.prompt.content import text_of
from ...request.context import current_request
from ...request.mcp_outcome import error_text

_TEXT = frozenset({"input_text", "output_text", "text"})
# The calls of a vendor's tools, and the field with their arguments.
_CALLS = {
    "computer_call": "action",
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
}
_UNANSWERED = "The user has not approved this call. It was not made."
_LEFT_OVER = "This call was not made. Call it again if its result is needed."
_OUTPUTS = frozenset({*(f"{name}_output" for name in _CALLS), "function_call_output", "custom_tool_call_output"})


def readable_input(kwargs: dict[str, Any], *, uploads: bool) -> dict[str, Any]:
    """Return a call of /v1/responses with the same content in other items and parts.

    With `uploads`, files in a tool's output stay files; else they become placeholders.
    """
    items = kwargs.get("input")
    if not isinstance(items, list):
        return kwargs
    calls = [item for item in items if isinstance(item, Mapping) and item.get("type") == "mcp_call"]
    made = {item["approval_request_id"] for item in calls if item.get("approval_request_id")}
    open_items = _with_unanswered([item for item in items if not _is_made(item, made)])
    return {**kwargs, "input": [rewritten for item in open_items for rewritten in _items(item, uploads=uploads)]}


def _is_made(item: Any, made: set[Any]) -> bool:
    """Return whether an item is left out: a list of tools, or what led to a call that was made."""
    if not isinstance(item, Mapping):
        return False
    kind = item.get("type")
    return (
        kind == "mcp_list_tools"
        or (kind == "mcp_approval_request" and item.get("id") in made)
        or (kind == "mcp_approval_response" and item.get("approval_request_id") in made)
    )


def _with_unanswered(items: list[Any]) -> list[Any]:
    """Return items with a result of each MCP call that has none, which says that it was not made.

    Such a call is one that the client has neither approved nor denied, or one that LiteLLM has left
    over after its last round. The result follows the calls, before what the client says instead.
    """
    objects = [item for item in items if isinstance(item, Mapping)]
    approvals = {item.get("approval_request_id") for item in objects if item.get("type") == "mcp_approval_response"}
    results = {item.get("call_id") for item in objects if item.get("type") in _OUTPUTS}
    found: list[Any] = []
    waiting: list[Any] = []
    for item in items:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if waiting and kind not in {"mcp_approval_request", "function_call"}:
            found, waiting = [*found, *waiting], []
        found.append(item)
        if kind == "mcp_approval_request" and item.get("id") not in approvals:
            waiting.append(_result(item.get("id"), _UNANSWERED))
        elif kind == "function_call" and item.get("call_id") not in results and _is_of_server(item.get("name")):
            waiting.append(_result(item.get("call_id"), _LEFT_OVER))
    return [*found, *waiting]


def _is_of_server(name: Any) -> bool:
    """Return whether a tool is one of the MCP servers that the request names."""
    request = current_request()
    return request is not None and request.mcp is not None and request.mcp.label(str(name)) is not None


def _result(call_id: Any, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def without_file_search(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call of /v1/responses without the tool `file_search`, which a vendor's server runs.

    LiteLLM would emulate it with a vector store of its own: an invented call, or a 500 in a stream.
    """
    tools = kwargs.get("tools")
    if not isinstance(tools, list) or not any(_is_file_search(tool) for tool in tools):
        return kwargs
    changed = {**kwargs, "tools": [tool for tool in tools if not _is_file_search(tool)]}
    return {**changed, "tool_choice": "auto"} if _is_file_search(kwargs.get("tool_choice")) else changed


def _is_file_search(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "file_search"


def _items(item: Any, *, uploads: bool) -> Iterator[Any]:
    if not isinstance(item, Mapping):
        yield item
        return
    kind = item.get("type")
    if kind in _CALLS:
        name = str(kind).removesuffix("_call")
        yield _call(item.get("call_id") or item.get("id"), name, item.get(_CALLS[str(kind)]))
    elif kind == "web_search_call":  # LiteLLM's bridge does this, but fails without an id and the like
        searched = {name: value for name, value in item.items() if value is not None}
        yield {"role": "assistant", "content": f"Hosted web search: {json.dumps(searched, ensure_ascii=False)}"}
    elif kind == "mcp_call":
        yield _call(item.get("id"), item.get("name"), item.get("arguments"))
        yield _result(item.get("id"), str(item.get("output") or error_text(item.get("error"))))
    elif kind == "mcp_approval_request":
        yield _call(item.get("id"), item.get("name"), item.get("arguments"))
    elif kind == "mcp_approval_response":
        yield _result(item.get("approval_request_id"), _refusal(item))
    elif kind in _OUTPUTS:
        renamed = (
            {} if kind in {"function_call_output", "custom_tool_call_output"} else {"type": "function_call_output"}
        )
        call_id = item.get("call_id") or item.get("id")
        yield {**item, **renamed, "call_id": call_id, "output": _output(item.get("output"), uploads=uploads)}
    elif isinstance(content := item.get("content"), list):
        yield {**item, "content": [_without_refusal(part) for part in content]}
    else:
        yield item


def _refusal(approval: Mapping[str, Any]) -> str:
    """Return the result of a call that was not made, for the model."""
    if approval.get("approve") is True:
        return "The call was approved. Its result is not in this conversation."
    reason = approval.get("reason")
    return f"The user did not approve this call{f': {reason}' if reason else ''}. It was not made."


def _call(identifier: Any, name: Any, arguments: Any) -> dict[str, Any]:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return {"type": "function_call", "call_id": identifier, "name": str(name), "arguments": written}


def _without_refusal(part: Any) -> Any:
    is_refusal = isinstance(part, Mapping) and part.get("type") == "refusal"
    return {"type": "output_text", "text": text_of([part])} if is_refusal else part


def _output(output: Any, *, uploads: bool) -> Any:
    """Return a tool's output with parts of text and images only; a string without images."""
    if isinstance(output, Mapping) and output.get("type"):
        output = [output]
    if not isinstance(output, list) or all(isinstance(part, Mapping) and part.get("type") in _TEXT for part in output):
        return output
    parts = [_part(part, uploads=uploads) for part in output]
    if any(part["type"] == "input_image" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)


def _part(part: Any, *, uploads: bool) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "computer_screenshot":
        kind, part = "input_image", {**part, "type": "input_image"}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return dict(part)
    if kind == "input_file" and uploads and (source := _file(part)):
        return {"type": "input_image", "image_url": source}  # the bridge keeps no other files; the bytes tell the type
    return {"type": "input_text", "text": text_of([part]) or json.dumps(part, ensure_ascii=False)}


def _file(part: Mapping[str, Any]) -> str:
    """Return a file's data URI or URL, "" where it has none."""
    data, url = part.get("file_data"), part.get("file_url")
    if isinstance(data, str) and data:
        return data if data.startswith("data:") else f"data:application/octet-stream;base64,{data}"
    return url if isinstance(url, str) else ""
