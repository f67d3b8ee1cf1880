"""What a bridge of LiteLLM's would lose is refused, and what it can carry is let through."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from custom_handler.proxy.validation.bridges import documents_as_text, keep_allowed_tools, require_known_response

ASKED = {"role": "user", "content": "Oi"}
ANSWERED = {"role": "assistant", "content": "Olá"}


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
def test_a_reference_to_what_nobody_keeps_is_a_400_that_names_it(body, param):
    with pytest.raises(litellm.BadRequestError, match=f"{param}: .*Send the whole conversation in input") as raised:
        require_known_response(call(ASKED, **body))
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ((ASKED,), {"input": "Oi"}),
        ((ASKED,), {"messages": [ASKED], "prompt": "of another API"}),
        ((ASKED, ANSWERED, ASKED), {"input": "E agora?", "previous_response_id": "resp_1"}),
    ],
    ids=["nothing to recall", "another protocol", "recalled from the database"],
)
def test_what_loses_nothing_passes(messages, body):
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


def passed(*blocks: Any) -> list[Any]:
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
def test_what_the_bridge_of_messages_drops_becomes_text(block, texts):
    assert passed(block) == [{"type": "text", "text": text} for text in texts]


def test_a_document_that_the_bridge_keeps_has_its_title_before_it():
    untitled, titled = ({"type": "document", "source": SCAN} | more for more in ({}, {"title": "Plano"}))
    assert passed(untitled, titled) == [untitled, {"type": "text", "text": "[document Plano]"}, titled]


def test_documents_in_a_tools_result_become_text_too():
    result = {"type": "tool_result", "tool_use_id": "t", "content": [FOUND | {"title": ""}, IMAGE]}
    (after,) = passed(result)
    assert after["tool_use_id"] == "t"
    assert [block["type"] for block in after["content"]] == ["text", "text", "text", "image"]


@pytest.mark.parametrize(
    "messages", [None, "text", [], [{"role": "user", "content": "a"}], ["no message", {"role": "user"}]]
)
def test_what_holds_no_documents_is_left_as_it_is(messages):
    assert documents_as_text({"messages": messages, "model": "m"}) == {"messages": messages, "model": "m"}


def test_all_other_blocks_stay_as_they_are():
    blocks = [{"type": "text", "text": "a"}, IMAGE, {"type": "document", "source": None}, {"type": "search_result"}, 7]
    assert passed(*blocks) == blocks


@pytest.mark.parametrize(
    ("tools", "named"),
    [
        ([{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}], ["f", "g"]),
        ([{"type": "function", "function": {"name": "f"}}], ["f"]),
    ],
    ids=["of a response", "of a chat"],
)
def test_allowed_tools_have_one_form(tools, named):
    flat = "name" in tools[0]
    choice = {"mode": "auto", "tools": tools}
    given = {"type": "allowed_tools", **(choice if flat else {"allowed_tools": choice})}
    changed = keep_allowed_tools({"tool_choice": given})["tool_choice"]["allowed_tools"]
    assert changed["mode"] == "auto"
    assert [tool["function"]["name"] for tool in changed["tools"]] == named
