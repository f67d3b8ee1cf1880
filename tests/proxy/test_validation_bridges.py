"""Fields that LiteLLM's bridges would drop are preserved or rejected."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from custom_handler.proxy.validation.bridges import (
    documents_as_text,
    keep_tool_choice,
    require_known_response,
    search_as_option,
    without_placeholder,
)

USER = {"role": "user", "content": "Oi"}
ASSISTANT = {"role": "assistant", "content": "Olá"}


def call(*messages: Any, **body: Any) -> dict[str, Any]:
    return {"model": "stackspot-chat", "messages": messages, "proxy_server_request": {"body": body}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "E agora?", "conversation": "conv_1"}, "conversation"),
        ({"input": "E agora?", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": "E agora?", "previous_response_id": "resp_1"}, "previous_response_id"),
    ],
    ids=["conversation", "prompt", "item", "response"],
)
def test_a_reference_to_a_stored_object_is_a_400_that_names_it(body, param):
    with pytest.raises(litellm.BadRequestError, match=f"{param}: .*Send the whole conversation in input") as raised:
        require_known_response(call(USER, **body))
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ((USER,), {"input": "Oi"}),
        ((USER,), {"messages": [USER], "prompt": "of another API"}),
        ((USER, ASSISTANT, USER), {"input": "E agora?", "previous_response_id": "resp_1"}),
    ],
    ids=["nothing to recall", "another protocol", "recalled from the database"],
)
def test_requests_without_lost_references_pass(messages, body):
    require_known_response(call(*messages, **body))


FOUND = {
    "type": "search_result",
    "title": "Ata",
    "source": "https://a.example/1",
    "content": [{"type": "text", "text": "Foi adiado."}, {"type": "text", "text": "Para maio."}],
}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "Dia 3."}
SCAN = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://a.example/1.png"}}


def converted(*blocks: Any) -> list[Any]:
    (message,) = documents_as_text({"messages": [{"role": "user", "content": list(blocks)}]})["messages"]
    return message["content"]


@pytest.mark.parametrize(
    ("block", "texts"),
    [
        (
            {"type": "document", "title": "Notas", "context": "de Ana", "source": PLAIN},
            ["[document Notas]\nde Ana\nDia 3."],
        ),
        ({"type": "document", "source": PLAIN}, ["[document]\nDia 3."]),
        ({"type": "document", "source": {"type": "content", "content": "Dia 4."}}, ["[document]\nDia 4."]),
        (
            {
                "type": "document",
                "title": None,
                "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
            },
            ["[document]", "a"],
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "file", "file_id": "file_1"}},
            ["[document T]\nnot shown: this proxy keeps no files"],
        ),
        (FOUND, ["[search result Ata]\nhttps://a.example/1", "Foi adiado.", "Para maio."]),
    ],
)
def test_blocks_that_the_bridge_drops_become_text(block, texts):
    assert converted(block) == [{"type": "text", "text": text} for text in texts]


def test_the_title_of_a_kept_document_becomes_text():
    untitled, titled = ({"type": "document", "source": SCAN} | more for more in ({}, {"title": "Plano"}))
    assert converted(untitled, titled) == [untitled, {"type": "text", "text": "[document Plano]"}, titled]


def test_documents_in_a_tool_result_become_text_too():
    result = {"type": "tool_result", "tool_use_id": "t", "content": [FOUND | {"title": ""}, IMAGE]}
    (after,) = converted(result)
    assert after["tool_use_id"] == "t"
    assert [block["type"] for block in after["content"]] == ["text", "text", "text", "image"]


@pytest.mark.parametrize(
    "messages", [None, "text", [], [{"role": "user", "content": "a"}], ["no message", {"role": "user"}]]
)
def test_messages_without_documents_are_unchanged(messages):
    assert documents_as_text({"messages": messages, "model": "m"}) == {"messages": messages, "model": "m"}


def test_other_blocks_are_unchanged():
    blocks = [{"type": "text", "text": "a"}, IMAGE, {"type": "document", "source": None}, {"type": "search_result"}, 7]
    assert converted(*blocks) == blocks


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}], ["f", "g"]),
        ([{"type": "function", "function": {"name": "f"}}], ["f"]),
    ],
    ids=["of a response", "of a chat"],
)
def test_both_forms_of_allowed_tools_become_one(tools, names):
    flat = "name" in tools[0]
    choice = {"mode": "auto", "tools": tools}
    given = {"type": "allowed_tools", **(choice if flat else {"allowed_tools": choice})}
    changed = keep_tool_choice({"tool_choice": given})["tool_choice"]["allowed_tools"]
    assert changed["mode"] == "auto"
    assert [tool["function"]["name"] for tool in changed["tools"]] == names


SEARCH = {"type": "web_search_20250305", "name": "web_search"}
OWN = {"name": "save", "input_schema": {"type": "object"}}
CONVERTED = {"type": "function", "function": {"name": "litellm_web_search"}}


@pytest.mark.parametrize(
    ("tools", "left"), [([SEARCH], None), ([OWN, SEARCH], [OWN]), ([CONVERTED, OWN, "odd"], [OWN, "odd"])]
)
def test_a_search_of_messages_is_hidden_from_litellms_own(tools: list[Any], left: list[Any] | None) -> None:
    given = {"tools": tools, "tool_choice": {"type": "tool", "name": "web_search"}}
    assert search_as_option(given) == {**given, "tools": left, "web_search_options": {}}


@pytest.mark.parametrize("tools", [None, [], [OWN], "web_search", [None]])
def test_a_call_without_a_search_or_a_placeholder_stays_as_it_is(tools: Any) -> None:
    assert search_as_option({"tools": tools}) == without_placeholder({"tools": tools}) == {"tools": tools}


PLACEHOLDER = {"name": "DeferredToolPlaceholder", "input_schema": {"type": "object"}, "defer_loading": True}


@pytest.mark.parametrize(
    ("tools", "left"),
    [
        ([PLACEHOLDER], None),
        ([OWN, PLACEHOLDER, "odd"], [OWN, "odd"]),
        ([PLACEHOLDER, {**PLACEHOLDER, "defer_loading": False}], [{**PLACEHOLDER, "defer_loading": False}]),
        ([PLACEHOLDER, {**OWN, "defer_loading": True}], [{**OWN, "defer_loading": True}]),
    ],
)
def test_the_placeholder_for_deferred_tools_is_left_out(tools: list[Any], left: list[Any] | None) -> None:
    assert without_placeholder({"tools": tools}) == {"tools": left}


def test_the_choice_of_a_search_passes_litellm() -> None:
    chosen = keep_tool_choice({"tool_choice": {"type": "web_search"}})
    assert chosen == {"tool_choice": {"type": "web_search", "function": {}}}
