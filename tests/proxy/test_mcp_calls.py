"""MCP calls in the responses that show them, and their approval; tests/e2e/test_mcp.py has the real ones."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from custom_handler.proxy.mcp_approvals import with_approved_calls
from custom_handler.proxy.mcp_failures import note_failure
from custom_handler.proxy.middleware.mcp_chunks import McpChunks
from custom_handler.proxy.middleware.mcp_items import McpItems, mcp_calls_for
from custom_handler.request.context import RequestContext
from custom_handler.request.mcp_outcome import error_text
from custom_handler.request.mcp_turn import McpTurn

CLOCK = {"type": "mcp", "server_label": "time", "server_url": "litellm_proxy/mcp/clock"}
ALL = {"type": "mcp", "server_label": "all", "server_url": "litellm_proxy"}
OWN = {"type": "function", "name": "save"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "clock-now", "arguments": "{}"}
SAVE = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "save"}
TEXT = {"type": "message", "id": "msg_1", "content": []}
MADE = {"type": "mcp_call", "id": "mcp_1", "name": "clock-now", "approval_request_id": "mcpr_x", "server_label": "x"}
ASKED = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "clock-now", "arguments": "{}", "server_label": "time"}
APPROVED = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}


def turn_of(*tools: dict[str, Any], approval: str = "never") -> McpTurn:
    return McpTurn.of_tools([{**tool, "require_approval": approval} for tool in tools])


def event(**data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def events_of(written: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in written.split(b"\n") if line.startswith(b"data:")]


def item_events(index: int, item: dict[str, Any]) -> bytes:
    added = event(type="response.output_item.added", output_index=index, item=item)
    return added + event(type="response.output_item.done", output_index=index, item=item)


@pytest.mark.parametrize(
    ("name", "label"), [("clock-now", "time"), ("ledger-sum", "all"), ("save", None), ("odd", "all")]
)
def test_a_tool_has_the_label_of_its_server(name: str, label: str | None) -> None:
    assert turn_of(ALL, CLOCK, OWN).label(name) == label


def test_one_entry_that_waits_is_enough() -> None:
    assert McpTurn.of_tools([{**CLOCK, "require_approval": "never"}, ALL]).waits
    assert not turn_of(CLOCK, ALL).waits


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/chat/completions", McpChunks), ("/v1/responses/", McpItems), ("/v1/messages", type(None))],
)
def test_two_routes_show_calls(path: str, kind: type) -> None:
    assert isinstance(mcp_calls_for(path), kind)


def test_a_whole_response_has_the_calls_before_the_answer() -> None:
    turn = turn_of(CLOCK, OWN)
    turn.note_calls([CALL, {"role": "user", "content": "go"}])
    results = json.dumps([{"tool_call_id": "call_1", "name": "clock-now", "result": "noon"}])
    output = [TEXT, {"type": "mcp_tools_fetched"}, {"type": "tool_execution_results", "content": [{"text": results}]}]
    body = json.dumps({"output": output, "previous_response_id": "chatcmpl-1"}).encode()
    response = json.loads(McpItems().whole(body, turn))
    assert response["previous_response_id"] is None
    call, text = response["output"]
    assert (call["type"], call["id"], call["output"], call["server_label"]) == ("mcp_call", "mcp_1", "noon", "time")
    assert (call["arguments"], text) == ("{}", TEXT)


def test_a_stream_shows_calls_that_were_run_as_calls_of_a_server() -> None:
    created = event(type="response.created", response={"id": "resp_1", "output": []})
    listed = event(type="response.mcp_list_tools.completed", output_index=0, item_id="l")
    listed += event(type="response.output_item.done", output_index=0, item={"id": "l", "type": "mcp_list_tools"})
    part = event(type="response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta="{}")
    ended = event(type="response.completed", response={"id": "resp_2", "output": [MADE, TEXT]})
    first = event(type="response.output_item.added", output_index=0, item=CALL)
    sent = created + first + listed + part + item_events(1, MADE) + item_events(2, TEXT) + ended + b"data: [DONE]\n\n"
    *shown, last = events_of(McpItems().stream(sent.replace(b"data: [DONE]\n\n", b""), turn_of(CLOCK)))
    items = [(one["output_index"], one["item"]["id"]) for one in shown if "item" in one]
    assert items == [(0, "mcp_1"), (0, "mcp_1"), (1, "msg_1"), (1, "msg_1")]
    assert [one["type"] for one in shown if "item" not in one] == ["response.created"]
    made = last["response"]["output"][0]
    assert (last["response"]["id"], made["server_label"], made["approval_request_id"]) == ("resp_1", "time", None)


ENDED = {"type": "mcp_call", "name": "clock-now", "status": "completed", "output": "no clock", "error": None}


def test_a_stream_shows_which_of_two_equal_calls_has_failed() -> None:
    turn = turn_of(CLOCK)
    turn.failed.add("call_2")
    second = {**CALL, "id": "fc_2", "call_id": "call_2"}
    items = [{**ENDED, "id": f"mcp_{number}"} for number in (1, 2)]
    sent = item_events(0, CALL) + item_events(1, second)
    for index, item in enumerate(items):
        started = {**item, "status": "in_progress", "output": None}
        sent += event(type="response.output_item.added", output_index=2 + index, item=started)
    for index, item in enumerate(items):
        sent += event(type="response.mcp_call.completed", output_index=2 + index, item_id=item["id"])
        sent += event(type="response.output_item.done", output_index=2 + index, item=item)
    sent += event(type="response.completed", response={"id": "resp_1", "output": items})
    shown = events_of(McpItems().stream(sent, turn))
    assert [one["type"].removeprefix("response.") for one in shown] == [
        "output_item.added",
        "output_item.added",
        "mcp_call.completed",
        "output_item.done",
        "mcp_call.failed",
        "output_item.done",
        "completed",
    ]
    one, two = shown[-1]["response"]["output"]
    assert (one["status"], one["output"], two["status"], two["output"]) == ("completed", "no clock", "failed", None)
    assert two["error"]["content"] == [{"type": "text", "text": "no clock"}]
    assert shown[-2]["item"] == two


def final_of(*items: Any) -> bytes:
    return event(type="response.completed", response={"id": "resp_1", "output": list(items)})


def test_a_stream_shows_the_clients_own_calls_once_it_is_known_who_makes_them() -> None:
    part = event(type="response.function_call_arguments.delta", output_index=0, item_id="fc_2", delta="{}")
    written = McpItems().stream(item_events(0, SAVE) + part + final_of(SAVE), turn_of(CLOCK, OWN))
    assert [one.get("item", one.get("item_id")) for one in events_of(written)] == [SAVE, SAVE, "fc_2", None]

    shown = McpItems()
    both = item_events(0, CALL) + item_events(1, SAVE)
    saved = {**MADE, "id": "mcp_2", "name": "save"}
    both += item_events(2, MADE) + item_events(3, saved) + item_events(4, SAVE | {"id": "fc_9"})
    again = SAVE | {"id": "fc_9"}
    written = shown.stream(both + final_of(MADE, saved, again), turn_of(CLOCK, OWN))
    *items, last = events_of(written)
    assert [(one["output_index"], one["item"]["id"]) for one in items[::2]] == [(0, "mcp_1"), (1, "fc_9")]
    assert [item["id"] for item in last["response"]["output"]] == ["mcp_1", "fc_9"]


def test_a_whole_response_has_no_call_that_was_left_to_the_client() -> None:
    results = json.dumps([{"tool_call_id": "call_2", "name": "save", "result": "This call was not made"}])
    body = json.dumps({"output": [{"type": "tool_execution_results", "content": [{"text": results}]}, SAVE]}).encode()
    assert json.loads(McpItems().whole(body, turn_of(CLOCK, OWN)))["output"] == [SAVE]


def test_the_functions_of_a_namespace_are_the_clients() -> None:
    inner = {"type": "namespace", "name": "mcp__git", "tools": [{"type": "function", "name": "log"}, "x"]}
    assert turn_of(CLOCK, inner).own == {"mcp__git", "mcp__git__log"}


@pytest.mark.parametrize("text", ["noon", "Error executing tool: 'clock-now'"])
def test_a_whole_response_shows_calls_that_have_failed(text: str) -> None:
    turn = turn_of(CLOCK)
    if text == "noon":
        turn.failed.add("call_1")
    results = json.dumps([{"tool_call_id": "call_1", "name": "clock-now", "result": text}])
    body = json.dumps({"output": [{"type": "tool_execution_results", "content": [{"text": results}]}]}).encode()
    [call] = json.loads(McpItems().whole(body, turn))["output"]
    assert (call["status"], call["output"], error_text(call["error"])) == ("failed", None, text)


@pytest.mark.parametrize(
    ("details", "is_a_call", "failed"),
    [
        ({"call_type": "call_mcp_tool", "metadata": {"tool_call_id": "call_1"}}, True, {"call_1"}),
        ({}, True, set()),
        ({"call_type": "aresponses", "metadata": {"tool_call_id": "call_1"}}, False, set()),
    ],
)
def test_a_failed_call_is_noted_for_its_request(details: Any, is_a_call: bool, failed: set[str]) -> None:
    with RequestContext({}, mcp=turn_of(CLOCK)).served() as request:
        assert note_failure(details) is is_a_call
        assert request.mcp is not None
        assert request.mcp.failed == failed
    assert note_failure(details) is False  # a client's own call of /mcp


def test_calls_that_wait_are_requests_for_approval_beside_the_clients_own() -> None:
    turn = turn_of(CLOCK, OWN, approval="always")
    body = json.dumps({"output": [CALL, SAVE]}).encode()
    assert json.loads(McpItems().whole(body, turn))["output"] == [ASKED, SAVE]
    shown = events_of(McpItems().stream(item_events(0, SAVE) + item_events(1, CALL), turn))
    assert [(one["output_index"], one["item"]) for one in shown] == [(0, SAVE), (0, SAVE), (1, ASKED), (1, ASKED)]


def test_a_response_begins_with_the_calls_that_were_approved() -> None:
    turn = turn_of(CLOCK, approval="always")
    turn.approved["mcpr_1"] = MADE
    sent = item_events(0, TEXT) + event(type="response.completed", response={"id": "resp_1", "output": [TEXT]})
    *shown, last = events_of(McpItems().stream(sent, turn))
    assert [(one["output_index"], one["item"]["id"]) for one in shown[1::2]] == [(0, "mcp_1"), (1, "msg_1")]
    assert [item["id"] for item in last["response"]["output"]] == ["mcp_1", "msg_1"]


def chunk(identifier: str, *, finish: str | None = None, **delta: Any) -> bytes:
    return event(id=identifier, created=1, choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


CALLING = [{"index": 0, "id": "call_1", "function": {"name": "clock-now", "arguments": "{}"}}]
RESULTS = {"mcp_tool_calls": [], "mcp_call_results": [{"result": "noon"}]}


def test_a_streamed_completion_has_no_call_that_was_run() -> None:
    sent = chunk("a", tool_calls=CALLING, provider_specific_fields={"mcp_list_tools": []})
    sent += chunk("a", finish="tool_calls", provider_specific_fields=RESULTS)
    sent += chunk("b", content="Noon.") + chunk("b", finish="stop") + b"data: [DONE]\n\n"
    written = McpChunks().stream(sent, turn_of(CLOCK))
    text, end = events_of(written.replace(b"data: [DONE]\n\n", b""))
    assert (text["id"], text["choices"][0]["delta"]) == ("a", {"content": "Noon."})
    assert (end["id"], end["choices"][0]["finish_reason"]) == ("a", "stop")
    assert written.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("approval", ["always", "never"])
def test_a_streamed_completion_has_the_calls_that_nobody_ran(approval: str) -> None:
    fields = {"mcp_list_tools": [], "other": 1}
    sent = chunk("a", tool_calls=CALLING, provider_specific_fields=fields) + chunk("a", finish="tool_calls")
    called, end = events_of(McpChunks().stream(sent, turn_of(CLOCK, approval=approval)))
    assert called["choices"][0]["delta"] == {"tool_calls": CALLING, "provider_specific_fields": {"other": 1}}
    assert end["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_completion_has_no_field_of_litellms() -> None:
    body = json.dumps({"choices": [{"message": {"content": "Noon.", "provider_specific_fields": RESULTS}}]}).encode()
    assert json.loads(McpChunks().whole(body, turn_of(CLOCK))) == {"choices": [{"message": {"content": "Noon."}}]}


def approved(*items: Any, tools: Any = (CLOCK,)) -> Any:
    call = {"model": "m", "tools": list(tools), "input": list(items)}
    with RequestContext({}).served():
        return asyncio.run(with_approved_calls(call, None))["input"]


@pytest.mark.parametrize(
    ("items", "tools", "text"),
    [
        ([APPROVED], [CLOCK], "the input has no mcp_approval_request 'mcpr_1' to approve"),
        ([ASKED, APPROVED], [OWN], "name the MCP server of the call in tools again"),
    ],
)
def test_an_approval_of_nothing_is_refused(items: list[Any], tools: list[Any], text: str) -> None:
    with pytest.raises(Exception, match=text) as refused:
        approved(*items, tools=tools)
    assert getattr(refused.value, "status_code", None) == 400


@pytest.mark.parametrize(
    "items",
    [
        [ASKED, {**APPROVED, "approve": False}],
        [ASKED, APPROVED, {"role": "assistant", "content": "Noon."}, {"role": "user", "content": "Thanks"}],
        [ASKED, APPROVED, {**MADE, "approval_request_id": "mcpr_1"}],
        [{"role": "user", "content": "go"}],
    ],
    ids=["denied", "answered", "made", "without"],
)
def test_what_is_not_approved_now_is_not_run(items: list[Any]) -> None:
    assert approved(*items) == items
