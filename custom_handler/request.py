"""What a caller asks for, in OpenAI's terms, checked: a message that names the field says what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import RequestError
from .parameters import Parameters

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller offers; `parameters` is its JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion request.

    `tools` are those that may be called in this turn. `tool_choice` is "auto", "required", or the name of the one tool to
    call. `legacy` tells that tools were given as `functions`, and that a call is to be answered in that form.
    """

    messages: Sequence[Message] = field(repr=False)
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    parameters: Parameters = field(default_factory=Parameters)
    legacy: bool = False

    @classmethod
    def from_openai(cls, messages: object, params: Mapping[str, Any]) -> ChatRequest:
        """Read the request's messages and parameters; raises RequestError."""
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise RequestError("messages must be a list with at least one message.", param="messages")
        for number, message in enumerate(messages):
            _check(message, f"messages[{number}]")
        legacy = params.get("tools") is None and params.get("functions") is not None
        offered = _todays_tools(params) if legacy else params
        tools = _tools(offered.get("tools"))
        choice = _tool_choice(offered.get("tool_choice"), tools)
        parameters = Parameters.from_openai(offered)
        if choice == "none":
            return cls(messages, parameters=parameters)
        return cls(messages, tools, choice, parameters, legacy)

    @property
    def must_call(self) -> bool:
        """Tell whether the answer has to hold a call."""
        return self.tool_choice != "auto"


def _check(message: object, where: str) -> None:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RequestError(f"{where} must be an object with a role.", param=where)
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | Sequence):
        raise RequestError(f"{where}.content must be a string or a list of parts.", param=f"{where}.content")
    if calls is not None and not (isinstance(calls, Sequence) and all(map(_is_call, calls))):
        raise RequestError(f"{where}.tool_calls must be a list of calls.", param=f"{where}.tool_calls")


def _is_call(call: object) -> bool:
    return isinstance(call, Mapping) and isinstance(call.get("function", {}), Mapping)


def _todays_tools(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say `functions` and `function_call` in today's words; that form knows one call in an answer."""
    functions, choice = params["functions"], params.get("function_call")
    if not isinstance(functions, Sequence) or isinstance(functions, str):
        raise RequestError("functions must be a list.", param="functions")
    return {
        **params,
        "tools": [{"type": "function", "function": function} for function in functions],
        "tool_choice": {"function": choice} if isinstance(choice, Mapping) else choice,
        "parallel_tool_calls": False,
    }


def _tools(given: object) -> tuple[Tool, ...]:
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RequestError("tools must be a list.", param="tools")
    return tuple(_tool(number, tool) for number, tool in enumerate(given) if not _is_server_tool(tool))


def _is_server_tool(tool: object) -> bool:
    """Tools that a vendor's server runs (web search and the like) have no function; no text-only agent can call them."""
    return isinstance(tool, Mapping) and isinstance(tool.get("type"), str) and tool["type"] != "function"


def _tool(number: int, tool: object) -> Tool:
    where = f"tools[{number}].function"
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RequestError(f"{where} must be an object with a name.", param=where)
    description, parameters = function.get("description") or "", function.get("parameters") or {}
    if not isinstance(description, str):
        raise RequestError(f"{where}.description must be a string.", param=f"{where}.description")
    if not isinstance(parameters, Mapping):
        raise RequestError(f"{where}.parameters must be a JSON Schema object.", param=f"{where}.parameters")
    return Tool(function["name"], description, parameters)


def _tool_choice(given: object, tools: Sequence[Tool]) -> str:
    if given is None or given in {"auto", "none"} if isinstance(given, str | None) else False:
        return str(given or "auto")
    if given in ("required", "any"):
        if not tools:
            raise RequestError("tool_choice is required, but the request declares no tools.", param="tool_choice")
        return "required"
    function = given.get("function") if isinstance(given, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise RequestError("tool_choice must be auto, none, required, or name a function.", param="tool_choice")
    if name not in {tool.name for tool in tools}:
        raise RequestError(f"tool_choice names {name!r}, which tools does not declare.", param="tool_choice")
    return name
