"""The input of /v1/responses as LiteLLM's bridge keeps it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.proxy.validation.responses_input import readable_input, without_file_search

USER = {"role": "user", "content": [{"type": "input_text", "text": "go"}]}
PDF = "data:application/pdf;base64,AAAA"
PNG = "data:image/png;base64,AAAA"
NOT_SHOWN = "not shown, this model reads text only]"


def rewritten(*items: Any, uploads: bool = False) -> Any:
    return readable_input({"model": "m", "input": list(items)}, uploads=uploads)["input"]


def output(*parts: Any, uploads: bool = False) -> Any:
    """What becomes of the output of a function that consists of such parts."""
    item = {"type": "function_call_output", "call_id": "c1", "output": list(parts)}
    (made,) = rewritten(item, uploads=uploads)
    assert (made["type"], made["call_id"]) == ("function_call_output", "c1")
    return made["output"]


FILE = {"type": "input_file", "filename": "a.pdf", "file_data": PDF}
IMAGE = {"type": "input_image", "image_url": PNG, "detail": "auto"}
TEXT = {"type": "input_text", "text": "Here:"}


def test_a_file_in_an_output_is_a_placeholder():
    assert output(FILE) == f"[file a.pdf: {NOT_SHOWN}"
    assert output(TEXT, FILE) == f"Here:\n[file a.pdf: {NOT_SHOWN}"


def test_a_file_beside_an_image_is_a_placeholder_in_its_place():
    assert output(FILE, IMAGE) == [{"type": "input_text", "text": f"[file a.pdf: {NOT_SHOWN}"}, IMAGE]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ({"file_data": PDF}, PDF),
        ({"file_data": "AAAA"}, "data:application/octet-stream;base64,AAAA"),
        ({"file_url": "https://a.example/b.pdf"}, "https://a.example/b.pdf"),
    ],
    ids=["data URI", "base64", "URL"],
)
def test_with_uploads_a_file_in_an_output_stays_a_file(file, source):
    assert output({"type": "input_file", **file}, uploads=True) == [{"type": "input_image", "image_url": source}]


def test_a_file_by_id_is_a_placeholder_with_uploads_too():
    assert output({"type": "input_file", "file_id": "f1"}, uploads=True) == f"[file: {NOT_SHOWN}"


@pytest.mark.parametrize("uploads", [False, True])
def test_images_stay_images(uploads):
    assert output(TEXT, IMAGE, uploads=uploads) == [TEXT, IMAGE]


def test_an_image_by_id_is_a_placeholder():
    assert output({"type": "input_image", "file_id": "f1"}) == f"[image: {NOT_SHOWN}"


@pytest.mark.parametrize("given", ["25", "", None, [TEXT, TEXT], {"a": 1}, 7, []])
def test_other_outputs_stay_as_they_are(given):
    item = {"type": "function_call_output", "call_id": "c1", "output": given}
    assert rewritten(item) == [item]


@pytest.mark.parametrize(("part", "shown"), [("a", "a"), (7, "7"), ({"type": "x"}, f"[x: {NOT_SHOWN}")])
def test_no_part_of_an_output_is_lost(part, shown):
    assert output(TEXT, part) == f"Here:\n{shown}"


def test_a_refusal_stays_as_text():
    parts = [{"type": "output_text", "text": "A"}, {"type": "refusal", "refusal": "Não posso."}]
    (made,) = rewritten({"type": "message", "role": "assistant", "content": parts})
    assert made["content"] == [parts[0], {"type": "output_text", "text": "Não posso."}]


@pytest.mark.parametrize(
    ("call", "result", "name", "arguments", "shown"),
    [
        (
            {"type": "computer_call", "call_id": "c1", "action": {"type": "click", "x": 1}},
            {
                "type": "computer_call_output",
                "call_id": "c1",
                "output": {"type": "computer_screenshot", "image_url": PNG},
            },
            "computer",
            '{"type": "click", "x": 1}',
            [{"type": "input_image", "image_url": PNG}],
        ),
        (
            {"type": "local_shell_call", "call_id": "c1", "id": "l1", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "c1", "output": "a.py"},
            "local_shell",
            '{"command": ["ls"]}',
            "a.py",
        ),
        (
            {"type": "apply_patch_call", "call_id": "c1", "operation": {"path": "a"}},
            {"type": "apply_patch_call_output", "call_id": "c1", "output": "ok"},
            "apply_patch",
            '{"path": "a"}',
            "ok",
        ),
    ],
    ids=["computer", "shell", "patch"],
)
def test_calls_of_a_vendors_tools_stay_with_their_results(call, result, name, arguments, shown):
    made, answered = rewritten(call, result)
    assert made == {"type": "function_call", "call_id": "c1", "name": name, "arguments": arguments}
    assert (answered["type"], answered["call_id"], answered["output"]) == ("function_call_output", "c1", shown)


@pytest.mark.parametrize("more", [{}, {"id": None}, {"id": "w1", "status": "completed"}])
def test_a_search_of_a_vendor_is_text_also_without_an_id(more):
    call = {"type": "web_search_call", "action": {"type": "search", "query": "preço"}, **more}
    [message] = rewritten(call)
    assert message["role"] == "assistant"
    label, _, written = message["content"].partition(": ")
    assert (label, json.loads(written)) == ("Hosted web search", {k: v for k, v in call.items() if v is not None})


def test_a_call_of_an_mcp_server_becomes_a_call_and_its_result():
    call = {"type": "mcp_call", "id": "m1", "name": "find", "arguments": '{"q": 1}', "output": "found"}
    made = {"type": "function_call", "call_id": "m1", "name": "find", "arguments": '{"q": 1}'}
    assert rewritten(call) == [made, {"type": "function_call_output", "call_id": "m1", "output": "found"}]
    assert rewritten({**call, "output": None, "error": "away"})[1]["output"] == "away"
    error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "no page"}]}
    assert rewritten({**call, "output": None, "error": error})[1]["output"] == "no page"


def asked(name: str) -> dict[str, Any]:
    return {"type": "mcp_approval_request", "id": name, "name": "find", "arguments": "{}", "server_label": "x"}


def test_a_call_that_nobody_approved_was_not_made():
    denied = {"type": "mcp_approval_response", "approval_request_id": "m2", "approve": False}
    user = {"role": "user", "content": "Another question"}
    given = {"input": [user, asked("m1"), asked("m2"), asked("m3"), denied, user, asked("m4")]}
    items = readable_input(given, uploads=False)["input"]
    assert [item.get("call_id") for item in items] == [None, "m1", "m2", "m3", "m1", "m3", "m2", None, "m4", "m4"]
    assert {item["output"] for item in items if item.get("output")} == {
        "The user has not approved this call. It was not made.",
        "The user did not approve this call. It was not made.",
    }


SHELL = {"type": "function", "name": "shell"}
SEARCH = {"type": "file_search", "vector_store_ids": ["v"]}


def test_the_search_of_a_vendors_files_is_left_out():
    assert without_file_search({"tools": [SEARCH, SHELL]}) == {"tools": [SHELL]}
    chosen = {"tools": [SEARCH], "tool_choice": {"type": "file_search"}}
    assert without_file_search(chosen) == {"tools": [], "tool_choice": "auto"}


@pytest.mark.parametrize("tools", [None, [], [SHELL], "file_search", ["file_search"]])
def test_other_tools_stay(tools):
    kwargs = {"tools": tools, "tool_choice": "required"}
    assert without_file_search(kwargs) == kwargs


@pytest.mark.parametrize("given", ["Oi", None, 7])
def test_an_input_that_is_no_list_stays(given):
    kwargs = {"model": "m", "input": given}
    assert readable_input(kwargs, uploads=True) == kwargs


def test_other_items_stay():
    items = [USER, "text", 7, {"type": "reasoning", "summary": []}, {"type": "function_call", "call_id": "c1"}]
    assert rewritten(*items) == items


ASKED = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "clock-now", "arguments": "{}"}
DENIED = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False}
MADE = {"type": "mcp_call", "id": "mcp_1", "approval_request_id": "mcpr_1", "name": "clock-now", "output": "noon"}


@pytest.mark.parametrize(
    ("items", "result"),
    [
        ([ASKED, DENIED], "The user did not approve this call. It was not made."),
        ([ASKED, {**DENIED, "reason": "Not now"}], "The user did not approve this call: Not now. It was not made."),
        ([ASKED, {**DENIED, "approve": True}], "The call was approved. Its result is not in this conversation."),
        ([{"type": "mcp_list_tools", "id": "l"}, ASKED, {**DENIED, "approve": True}, MADE], "noon"),
    ],
    ids=["denied", "denied for a reason", "without a result", "made"],
)
def test_a_call_that_waited_for_approval_has_one_result(items: list[Any], result: str) -> None:
    call, output = rewritten(*items)
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "clock-now", "{}")
    assert (output["type"], output["call_id"], output["output"]) == ("function_call_output", call["call_id"], result)
