"""What a caller sends, checked: whatever has a wrong type is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from custom_handler.errors import RequestError
from custom_handler.request.chat_request import ChatRequest, Tool

USER = {"role": "user", "content": "Olá"}
WEATHER = {"type": "function", "function": {"name": "get_weather"}}
SEARCH = {"type": "function", "function": {"name": "search"}}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A request that cannot be read, and the field that its error names."""

    id: str
    param: str
    messages: Any = (USER,)
    tools: Any = None
    tool_choice: Any = None


def with_tool(**function: Any) -> list[Any]:
    return [WEATHER, {"type": "function", "function": function}]


WRONG = [
    Wrong("no messages", "messages", messages=None),
    Wrong("an empty list of messages", "messages", messages=[]),
    Wrong("messages that are a string", "messages", messages="Olá"),
    Wrong("messages that are an object", "messages", messages=USER),
    Wrong("a message that is a string", "messages[1]", messages=[USER, "Olá"]),
    Wrong("a message without a role", "messages[0]", messages=[{"content": "Olá"}]),
    Wrong("a role that is a number", "messages[0]", messages=[{"role": 1, "content": "Olá"}]),
    Wrong("content that is a number", "messages[1].content", messages=[USER, {"role": "user", "content": 7}]),
    Wrong("content that is an object", "messages[0].content", messages=[{"role": "user", "content": {"text": "a"}}]),
    Wrong("calls that are a string", "messages[0].tool_calls", messages=[{"role": "assistant", "tool_calls": "a"}]),
    Wrong("a call that is none", "messages[0].tool_calls", messages=[{"role": "assistant", "tool_calls": [1]}]),
    Wrong(
        "a call whose function is a name",
        "messages[0].tool_calls",
        messages=[{"role": "assistant", "tool_calls": [{"function": "get_weather"}]}],
    ),
    Wrong("tools that are an object", "tools", tools={"type": "function"}),
    Wrong("tools that are a string", "tools", tools="get_weather"),
    Wrong("a tool that is a string", "tools[0].function", tools=["get_weather"]),
    Wrong("a tool without a function", "tools[0].function", tools=[{"type": "function"}]),
    Wrong("a tool without a name", "tools[1].function", tools=with_tool(description="a")),
    Wrong("a tool with an empty name", "tools[1].function", tools=with_tool(name="")),
    Wrong("a name that is a number", "tools[1].function", tools=with_tool(name=3)),
    Wrong("a description that is a list", "tools[1].function.description", tools=with_tool(name="a", description=[1])),
    Wrong("a schema that is a string", "tools[1].function.parameters", tools=with_tool(name="a", parameters="object")),
    Wrong("a choice that is a number", "tool_choice", tools=[WEATHER], tool_choice=3),
    Wrong("a choice that is an unknown word", "tool_choice", tools=[WEATHER], tool_choice="always"),
    Wrong("an empty choice", "tool_choice", tools=[WEATHER], tool_choice=""),
    Wrong("a choice that is a list", "tool_choice", tools=[WEATHER], tool_choice=["auto"]),
    Wrong("a choice without a function", "tool_choice", tools=[WEATHER], tool_choice={"type": "function"}),
    Wrong("required without tools", "tool_choice", tool_choice="required"),
    Wrong("a choice of no declared tool", "tool_choice", tools=[WEATHER], tool_choice=SEARCH),
]


def read(messages: Any = (USER,), **params: Any) -> ChatRequest:
    return ChatRequest.from_openai(messages, params)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_what_has_a_wrong_type_is_named(case):
    with pytest.raises(RequestError) as raised:
        read(case.messages, tools=case.tools, tool_choice=case.tool_choice)
    assert raised.value.param == case.param
    assert case.param in raised.value.message
    assert raised.value.status_code == 400


def test_a_message_may_lack_content():
    assert read([{"role": "assistant"}, {"role": "assistant", "content": None}]).messages[0] == {"role": "assistant"}


def test_a_request_without_tools_has_none():
    assert (read().tools, read(tools=None).tools, read(tools=[]).tools) == ((), (), ())


def test_a_tool_is_read_with_its_description_and_schema():
    schema = {"type": "object", "properties": {}}
    (tool,) = read(
        tools=[{"type": "function", "function": {"name": "a", "description": "b", "parameters": schema}}]
    ).tools
    assert tool == Tool("a", "b", schema)


def test_a_tool_may_lack_all_but_its_name():
    (tool,) = read(
        tools=[{"type": "function", "function": {"name": "a", "description": None, "parameters": None}}]
    ).tools
    assert tool == Tool("a", "", {})


@pytest.mark.parametrize("flat", [True, False], ids=["of a response", "of a chat"])
def test_a_custom_tool_takes_its_text_as_the_only_argument(flat):
    definition = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    shape = definition if flat else {"type": "grammar", "grammar": definition}
    given = {"name": "apply_patch", "description": "Edits files.", "format": shape}
    tool = {"type": "custom", **given} if flat else {"type": "custom", "custom": given}
    request = read(tools=[tool], tool_choice={"type": "custom", "custom": {"name": "apply_patch"}})
    (patch,) = request.tools
    assert (patch.name, patch.custom, request.tool_choice) == ("apply_patch", True, "apply_patch")
    assert patch.description == "Edits files.\n\nGrammar:\nstart: WORD"
    assert list(patch.parameters["properties"]) == patch.parameters["required"] == ["input"]


def test_tools_of_a_vendors_server_are_skipped():
    tools = [{"type": "web_search"}, WEATHER, {"type": "web_search_20250305", "name": "web_search"}]
    assert [tool.name for tool in read(tools=tools).tools] == ["get_weather"]


def test_a_tool_after_a_skipped_one_is_still_named_by_its_place():
    with pytest.raises(RequestError, match=r"tools\[1\]"):
        read(tools=[{"type": "web_search"}, {"type": "function"}])


def test_required_needs_a_tool_that_the_agent_can_call():
    with pytest.raises(RequestError, match="tool_choice"):
        read(tools=[{"type": "web_search"}], tool_choice="required")


@pytest.mark.parametrize(
    ("given", "choice"),
    [(None, "auto"), ("auto", "auto"), ("required", "required"), ("any", "required"), (SEARCH, "search")],
    ids=["absent", "auto", "required", "any", "by name"],
)
def test_a_tool_choice_is_read(given, choice):
    request = read(tools=[WEATHER, SEARCH], tool_choice=given)
    assert (request.tool_choice, len(request.tools)) == (choice, 2)


def test_none_leaves_no_tool_to_call():
    request = read(tools=[WEATHER], tool_choice="none")
    assert (request.tool_choice, request.tools) == ("auto", ())


@pytest.mark.parametrize("given", [None, "auto", "none"])
def test_a_choice_without_tools_is_no_matter(given):
    assert read(tool_choice=given).tool_choice == "auto"


def test_the_conversation_does_not_show_in_the_representation():
    assert "canary" not in repr(read([{"role": "user", "content": "canary"}]))


@dataclass(frozen=True, slots=True)
class WrongLegacy:
    """A request in the form before tools that cannot be read, and the field that its error names."""

    id: str
    param: str
    functions: Any = ({"name": "now"},)
    function_call: Any = None


WRONG_LEGACY = [
    WrongLegacy("functions that are a string", "functions", functions="now"),
    WrongLegacy("functions that are an object", "functions", functions={"name": "now"}),
    WrongLegacy("a function that is a string", "functions[0]", functions=["now"]),
    WrongLegacy("a function without a name", "functions[1]", functions=[{"name": "now"}, {"description": "a"}]),
    WrongLegacy("a schema that is a list", "functions[0].parameters", functions=[{"name": "now", "parameters": ["a"]}]),
    WrongLegacy("a call that is a number", "function_call", function_call=3),
    WrongLegacy("a call of an undeclared function", "function_call", function_call={"name": "search"}),
    WrongLegacy("a call without a name", "function_call", function_call={}),
]


@pytest.mark.parametrize("case", WRONG_LEGACY, ids=lambda case: case.id)
def test_what_is_wrong_in_the_old_form_is_named_by_its_old_name(case):
    with pytest.raises(RequestError) as raised:
        read(functions=case.functions, function_call=case.function_call)
    assert raised.value.param == case.param
    assert raised.value.message.startswith(case.param)


@pytest.mark.parametrize(
    ("given", "choice"),
    [(None, "auto"), ("auto", "auto"), ({"name": "now"}, "now")],
    ids=["absent", "auto", "by name"],
)
def test_functions_are_tools_of_which_one_may_be_called(given, choice):
    request = read(functions=[{"name": "now", "description": "a"}], function_call=given, parallel_tool_calls=True)
    assert (request.tools, request.tool_choice) == ((Tool("now", "a", {}),), choice)
    assert request.legacy
    assert not request.parameters.parallel_tool_calls


def test_a_function_call_of_none_leaves_no_tool_to_call():
    assert read(functions=[{"name": "now"}], function_call="none").tools == ()


def test_tools_are_preferred_to_functions():
    request = read(tools=[WEATHER], functions=[{"name": "now"}], function_call={"name": "lost"})
    assert ([tool.name for tool in request.tools], request.legacy) == (["get_weather"], False)


def test_an_empty_list_of_functions_offers_nothing():
    assert read(functions=[]).tools == ()


@pytest.mark.parametrize("empty", ["", {}, 0, False])
@pytest.mark.parametrize("name", ["tools", "functions"])
def test_what_is_empty_and_no_list_is_still_no_list(name, empty):
    with pytest.raises(RequestError, match=f"{name} must be a list"):
        read(**{name: empty})


def allowed(mode: Any, *tools: Any) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


@pytest.mark.parametrize(
    ("given", "names", "choice"),
    [
        (allowed("auto", SEARCH), ["search"], "auto"),
        (allowed("required", SEARCH), ["search"], "required"),
        (allowed("required", SEARCH, WEATHER), ["get_weather", "search"], "required"),
        (allowed("auto"), [], "auto"),
    ],
    ids=["one", "one that is required", "both", "none of them"],
)
def test_a_choice_may_allow_some_of_the_tools(given, names, choice):
    request = read(tools=[WEATHER, SEARCH], tool_choice=given)
    assert ([tool.name for tool in request.tools], request.tool_choice) == (names, choice)


@pytest.mark.parametrize(
    "given",
    [
        {"type": "allowed_tools"},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": "search"}},
        allowed("always", SEARCH),
        allowed("required"),
        allowed("auto", {"type": "function", "function": {"name": "lost"}}),
        allowed("auto", "search"),
    ],
    ids=["nothing", "no list", "a name", "an unknown mode", "required of none", "an undeclared tool", "no tool"],
)
def test_a_choice_that_allows_what_cannot_be_is_named(given):
    with pytest.raises(RequestError) as raised:
        read(tools=[WEATHER, SEARCH], tool_choice=given)
    assert raised.value.param == "tool_choice"


def test_none_is_also_the_choice_of_no_allowed_tool():
    assert read(tools=[WEATHER], tool_choice=allowed("none", WEATHER)).tools == ()


def test_only_a_choice_of_a_call_has_to_be_a_call():
    assert [read(tools=[WEATHER], tool_choice=choice).must_call for choice in (None, "auto", "required", WEATHER)] == [
        False,
        False,
        True,
        True,
    ]
    assert not read(tools=[WEATHER], tool_choice="none").must_call
