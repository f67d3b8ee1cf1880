"""A client asks for a web search in the forms of several APIs; the agent gets one tool."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.request.chat_request import ChatRequest
from custom_handler.request.search_tool import MAX_SEARCHES, NAME, OTHER_NAME, SearchTool

USER = [{"role": "user", "content": "Qual a taxa?"}]
SAVE = {"type": "function", "function": {"name": "save", "parameters": {}}}
OWN = {"type": "function", "function": {"name": NAME, "parameters": {}}}
ANTHROPIC = {"type": "web_search_20250305", "name": "web_search"}


def tool_of(params: dict[str, Any], **body: Any) -> SearchTool:
    found = SearchTool.of_request(params, body)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "params",
    [
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [SAVE, {"type": "web_search_preview_2025_03_11"}]},
        {"tools": [ANTHROPIC]},
        {"tools": [{"type": "function", "function": {"name": "litellm_web_search"}}]},
    ],
)
def test_each_form_asks_for_it(params: dict[str, Any]) -> None:
    assert tool_of(params).name == NAME


@pytest.mark.parametrize("params", [{}, {"web_search_options": None}, {"tools": [SAVE, OWN]}, {"tools": "web_search"}])
def test_other_requests_do_not(params: dict[str, Any]) -> None:
    assert SearchTool.of_request(params, {}) is None


@pytest.mark.parametrize(
    ("sent", "searches"),
    [(3, 3), (0, 0), (-1, 0), (10**9, MAX_SEARCHES), (None, MAX_SEARCHES), ("3", MAX_SEARCHES)],
)
def test_the_number_of_searches_has_a_limit(sent: Any, searches: int) -> None:
    assert tool_of({"web_search_options": {}}, tools=[ANTHROPIC | {"max_uses": sent}]).max_searches == searches


def test_domains_and_size_are_read_from_the_forms_of_each_api() -> None:
    anthropic = tool_of({"web_search_options": {}}, tools=[ANTHROPIC | {"blocked_domains": ["a.example", 7]}])
    assert anthropic.blocked == ("a.example",)
    responses = {"type": "web_search", "filters": {"allowed_domains": ["b.example"]}, "search_context_size": "high"}
    openai = tool_of({"web_search_options": {}}, tools=[responses])
    assert (openai.allowed, openai.max_pages) == (("b.example",), 20)
    assert tool_of({"web_search_options": {"search_context_size": ["low"], "filters": 3}}).max_pages == 10


def test_the_tool_is_declared_beside_those_of_the_client() -> None:
    params = {"tools": [SAVE, ANTHROPIC], "web_search_options": {}}
    request = ChatRequest.from_openai(USER, tool_of(params).declared(params))
    assert [tool.name for tool in request.tools] == ["save", NAME]
    assert request.parameters.ignored == ()


def test_a_function_of_the_client_keeps_its_name() -> None:
    params = {"tools": [OWN], "web_search_options": {}}
    request = ChatRequest.from_openai(USER, tool_of(params).declared(params))
    assert [tool.name for tool in request.tools] == [NAME, OTHER_NAME]


@pytest.mark.parametrize(
    ("choice", "chosen", "names"),
    [
        ({"type": "web_search"}, NAME, ["save", NAME]),
        ({"type": "web_search_preview", "function": {}}, NAME, ["save", NAME]),
        ({"type": "function", "function": {"name": NAME}}, NAME, ["save", NAME]),
        ("required", "required", ["save", NAME]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "web_search"}]}},
            "auto",
            [NAME],
        ),
    ],
)
def test_a_client_chooses_it_as_any_tool(choice: Any, chosen: str, names: list[str]) -> None:
    params = {"tools": [SAVE, {"type": "web_search"}], "tool_choice": choice}
    request = ChatRequest.from_openai(USER, tool_of(params).declared(params))
    assert (request.tool_choice, [tool.name for tool in request.tools]) == (chosen, names)
