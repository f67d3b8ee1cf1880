"""Validates messages, tools and tool_choice of a chat request; errors name the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from ..data_class import data_class
from ..errors import RequestError
from .calls import CUSTOM_ARGUMENT, Message, require_results
from .parameters import Parameters

MAX_TOOLS = 2000
"""Rendering more would block the event loop; few of them would fit into a prompt."""

__all__ = ["ChatRequest", "Message", "Tool"]


@data_class
class Tool:
    """A function that the client declares; `parameters` is its JSON Schema.

    `strict`: the arguments of a call have to match the schema. A `custom` tool takes text in a form
    of its own; the agent writes it as the only argument.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False
    custom: bool = False


@data_class
class ChatRequest:
    """One validated chat completion request.

    `tools` are those that may be called in this turn. `tool_choice` is "auto", "required", or the
    name of the tool to call. `legacy`: the tools were declared as `functions`, so a call is
    returned as `function_call`. `compact_tools`: the prompt describes the tools in fewer words.
    """

    messages: Sequence[Message] = field(repr=False)
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    parameters: Parameters = field(default_factory=Parameters)
    legacy: bool = False
    compact_tools: bool = False

    @classmethod
    def from_openai(cls, messages: object, params: Mapping[str, Any]) -> ChatRequest:
        """Return the request of OpenAI's messages and parameters; raises RequestError.

        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> ChatRequest.from_openai(messages, {"max_tokens": 50}).parameters.max_tokens
        50
        """
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise RequestError("messages must be a list with at least one message.", param="messages")
        for number, message in enumerate(messages):
            _check_message(message, f"messages[{number}]")
        require_results(messages)
        functions = params.get("functions") is not None or params.get("function_call") not in (None, "none", "auto")
        legacy = params.get("tools") is None and functions
        tools, choice = _legacy_tools(params) if legacy else _current_tools(params)
        parameters = Parameters.from_openai({**params, "parallel_tool_calls": False} if legacy else params)
        if choice == "none":
            return cls(messages, parameters=parameters)
        return cls(messages, tools, choice, parameters, legacy)

    @property
    def must_call(self) -> bool:
        """Whether the answer must contain a call."""
        return self.tool_choice != "auto"


def _check_message(message: object, where: str) -> None:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RequestError(f"{where} must be an object with a role.", param=where)
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | Sequence):
        raise RequestError(f"{where}.content must be a string or a list of parts.", param=f"{where}.content")
    if calls is not None and not (isinstance(calls, Sequence) and all(map(_is_call, calls))):
        raise RequestError(f"{where}.tool_calls must be a list of calls.", param=f"{where}.tool_calls")


def _is_call(call: object) -> bool:
    return isinstance(call, Mapping) and isinstance(call.get("function", {}), Mapping)


def _current_tools(params: Mapping[str, Any]) -> tuple[Sequence[Tool], str]:
    """Return the tools of `tools` and the choice of `tool_choice`."""
    given, choice = _list(params, "tools"), params.get("tool_choice")
    tools = tuple(
        _custom_tool(f"tools[{number}]", tool)
        if isinstance(tool, Mapping) and tool.get("type") == "custom"
        else _tool(f"tools[{number}].function", tool.get("function") if isinstance(tool, Mapping) else None)
        for number, tool in enumerate(given)
        if not _is_server_tool(tool)
    )
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        return _allowed(tools, choice.get("allowed_tools"))
    return tools, _choice("tool_choice", choice, tools)


def _legacy_tools(params: Mapping[str, Any]) -> tuple[Sequence[Tool], str]:
    """Return the tools of `functions` and the choice of `function_call`."""
    given, choice = _list(params, "functions"), params.get("function_call")
    tools = tuple(_tool(f"functions[{number}]", function) for number, function in enumerate(given))
    return tools, _choice("function_call", {"function": choice} if isinstance(choice, Mapping) else choice, tools)


def _list(params: Mapping[str, Any], name: str) -> Sequence[Any]:
    given = params.get(name)
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RequestError(f"{name} must be a list.", param=name)
    if len(given) > MAX_TOOLS:
        raise RequestError(too_many_tools(name, len(given)), param=name)
    return given


def too_many_tools(name: str, count: int) -> str:
    """Return the error for the field `name`, which declares more than MAX_TOOLS tools."""
    return f"{name} has {count} tools, the limit is {MAX_TOOLS}: declare fewer."


def _is_server_tool(tool: object) -> bool:
    """Return whether a vendor's server runs the tool (web search): agents cannot call it."""
    return (
        isinstance(tool, Mapping) and isinstance(tool.get("type"), str) and tool["type"] not in {"function", "custom"}
    )


def _tool(where: str, function: object) -> Tool:
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RequestError(f"{where} must be an object with a name.", param=where)
    description, parameters = function.get("description") or "", function.get("parameters") or {}
    if not isinstance(description, str):
        raise RequestError(f"{where}.description must be a string.", param=f"{where}.description")
    if not isinstance(parameters, Mapping):
        raise RequestError(f"{where}.parameters must be a JSON Schema object.", param=f"{where}.parameters")
    return Tool(function["name"], description, parameters, function.get("strict") is True)


def _custom_tool(where: str, tool: Mapping[str, Any]) -> Tool:
    """Return a tool of type custom, as OpenAI's chat completions and responses declare it."""
    given = tool.get("custom", tool)
    form = given.get("format") if isinstance(given, Mapping) else None
    grammar = form.get("grammar", form) if isinstance(form, Mapping) else None
    definition = grammar.get("definition") if isinstance(grammar, Mapping) else None
    schema = {"type": "object", "properties": {CUSTOM_ARGUMENT: {"type": "string"}}, "required": [CUSTOM_ARGUMENT]}
    plain = _tool(f"{where}.custom", {**given, "parameters": schema} if isinstance(given, Mapping) else None)
    description = (
        f"{plain.description}\n\nGrammar:\n{definition}".strip() if isinstance(definition, str) else plain.description
    )
    return Tool(plain.name, description, plain.parameters, custom=True)


def _allowed(tools: Sequence[Tool], given: object) -> tuple[Sequence[Tool], str]:
    """Return the tools and the choice of a `tool_choice` of type allowed_tools."""
    chosen = given.get("tools") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(chosen, Sequence) or isinstance(chosen, str):
        raise RequestError("tool_choice.allowed_tools must have a mode and a list of tools.", param="tool_choice")
    names = [_choice("tool_choice", tool, tools) for tool in chosen]
    allowed = tuple(tool for tool in tools if tool.name in names)
    return allowed, _choice("tool_choice", given.get("mode"), allowed)


def _choice(field: str, given: object, tools: Sequence[Tool]) -> str:
    """Return "auto", "none", "required", or the name of the tool to call."""
    if given is None or given in ("auto", "none"):
        return str(given or "auto")
    if given in ("required", "any"):
        if not tools:
            raise RequestError(f"{field} is required, but the request declares no tools.", param=field)
        return "required"
    function = given.get("function") or given.get("custom") if isinstance(given, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise RequestError(f"{field} must be auto, none, required, or name a function.", param=field)
    if name not in {tool.name for tool in tools}:
        raise RequestError(f"{field} names {name!r}, which the request does not declare.", param=field)
    return name
