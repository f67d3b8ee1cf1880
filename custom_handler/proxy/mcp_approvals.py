"""Run the MCP calls that the client of /v1/responses approves.

LiteLLM returns a call that needs approval as the call of a function; `middleware.mcp_items` shows
it as `mcp_approval_request`. LiteLLM ignores the client's `mcp_approval_response`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litellm.responses.mcp.tool_precheck import may_name_litellm_mcp_gateway

from ..errors import RequestError, StackspotError
from ..history.approved_calls import ApprovedCall, ApprovedCalls, CallNotMade
from ..provider.litellm_errors import litellm_error
from ..request.context import counts_only, current_request
from ..request.mcp_outcome import Outcome
from ..request.mcp_turn import McpTurn
from .kept_responses import owner_of
from .mcp_calls import McpTools, caller_of

REQUEST, RESPONSE = "mcp_approval_request", "mcp_approval_response"


def note_servers(kwargs: Mapping[str, Any]) -> McpTurn | None:
    """Note for the current request the MCP servers of a call of which LiteLLM makes others."""
    request, tools = current_request(), kwargs.get("tools")
    if request is None or kwargs.get("_skip_mcp_handler") or not may_name_litellm_mcp_gateway(tools):
        return None
    if request.mcp is None:  # an attempt that is repeated runs no approved call again
        request.mcp = McpTurn.of_tools(tools or ())
    request.mcp.has_run = bool(request.mcp.approved)
    return request.mcp


async def with_approved_calls(kwargs: dict[str, Any], approved_calls: ApprovedCalls | None) -> dict[str, Any]:
    """Return a call of /v1/responses with the results of the MCP calls that its input approves.

    `approved_calls` makes each of them once; without it, an approval that is sent twice does so
    twice. Raises the proxy's error: 400 for the approval of an unknown call, or of an unknown
    server's; 409 while an earlier request makes the call; 503 if nothing tells whether one does.
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
        await _make(kwargs, [asked[name] for name in wanted if name not in turn.approved], turn, approved_calls)
        turn.has_run = True
        return {**kwargs, "input": [turn.approved.get(_approval(item), item) for item in items]}
    raise litellm_error(RequestError(reason, param="input"), str(kwargs.get("model")))


async def _make(
    kwargs: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]], turn: McpTurn, approved_calls: ApprovedCalls | None
) -> None:
    """Note the items of approved calls. Raises the proxy's error if a call must not be made now."""
    if not wanted:
        return
    tools = await McpTools.of_call(kwargs)
    request = current_request()
    response = request.response_turn if request is not None else None
    for asked in wanted:
        call = ApprovedCall(
            owner_of(caller_of(kwargs)),
            str(asked["id"]),
            str(asked.get("name")),
            _arguments(asked),
            response is None or response.wanted,
        )
        try:
            outcome = await _outcome(call, tools, turn.failed, approved_calls)
        except StackspotError as error:
            raise litellm_error(error, str(kwargs.get("model"))) from None
        turn.approved[call.approval] = _item(asked, outcome)


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


async def _outcome(
    call: ApprovedCall, tools: McpTools, failed: set[str], approved_calls: ApprovedCalls | None
) -> Outcome:
    """Return the outcome of an approved call, from an earlier request with it if there was one."""

    async def run() -> Outcome:
        return await tools.run(call.approval, call.name, call.arguments, failed)

    try:
        return await (run() if approved_calls is None else approved_calls.once(call, run))
    except CallNotMade as error:
        return error.outcome


def _item(asked: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return the item `mcp_call` of an approved call."""
    return {
        "type": "mcp_call",
        "id": f"mcp_{str(asked['id']).removeprefix('mcpr_')}",
        "approval_request_id": asked["id"],
        "name": str(asked.get("name")),
        "arguments": _arguments(asked),
        "server_label": str(asked.get("server_label") or ""),
        **outcome.fields(),
    }


def _arguments(asked: Mapping[str, Any]) -> str:
    return str(asked.get("arguments") or "{}")
