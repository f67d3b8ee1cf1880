"""Renders a chat request as the one text prompt that an agent takes.

    the caller's system text, first and unchanged
    # Tools          the declared tools, one compact JSON line each, and how to call them
    # Conversation   the turns, each below its [role]; calls in the block syntax, results with id and name
    [reminder]       one line on what to do now

A lone user message without system text and tools goes out as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..request import ChatRequest, Message, Tool

_SYSTEM_ROLES = frozenset({"system", "developer"})

_CALLING = """\
To call a tool, write a block like this one, with the tool's exact name and its arguments as one JSON object:
FUNCTION_CALL_START
{name}
arguments: {arguments}
FUNCTION_CALL_END
- When a tool is needed, write its block in this reply: announcing a call does not make it.
- Calls that do not need each other's results go together in one reply, block after block.
- Write `arguments: {{}}` for a tool without arguments, and escape quotes and newlines inside JSON strings.
- End the reply with the last block. The results come in the next message; only the system writes them.
- When the results are there, or no tool is needed, answer in plain text without a block."""


def render(request: ChatRequest) -> str:
    """Return the whole prompt."""
    system = "\n\n".join(
        filter(None, (_text(m.get("content")) for m in request.messages if m["role"] in _SYSTEM_ROLES))
    )
    turns = [message for message in request.messages if message["role"] not in _SYSTEM_ROLES]
    if not system and not request.tools and len(turns) == 1 and turns[0]["role"] == "user":
        return _text(turns[0].get("content"))
    parts = [system] if system else []
    if request.tools:
        parts.append(_tools(request.tools))
    parts.append("# Conversation\n" + "\n\n".join(_turns(turns)))
    parts.append(f"[reminder]\n{_reminder(request, turns)}")
    return "\n\n".join(parts)


def _tools(tools: Iterable[Tool]) -> str:
    listed = list(tools)
    lines = "\n".join(_compact(_described(tool)) for tool in listed)
    example = _example({"type": "object"} | dict(listed[0].parameters), listed[0].parameters, 4)
    calling = _CALLING.format(name=listed[0].name, arguments=json.dumps(example, ensure_ascii=False))
    return f"# Tools\nYou can call these tools, one JSON object a line with name, description and JSON Schema:\n{lines}\n\n{calling}"


def _described(tool: Tool) -> dict[str, Any]:
    parts = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {key: value for key, value in parts.items() if value}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _example(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    """Make up a value that fits the schema, a part of `root`, to show the syntax with a tool that there is."""
    schema = _followed(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(options := schema.get(key), list) and options:
            return options[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list) and options and isinstance(options[0], Mapping) and depth:
            return _example(options[0], root, depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _example_object(schema, root, depth)
    if kind == "array":
        items = schema.get("items")
        return [_example(items, root, depth - 1)] if isinstance(items, Mapping) and depth else []
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "text")


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference such as `#/$defs/City` stands for; one that leads nowhere is left as it is."""
    for _ in range(len(root)):
        if not isinstance(reference := schema.get("$ref"), str) or not reference.startswith("#/"):
            return schema
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return schema
        schema = target
    return schema


def _example_object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not depth:
        return {}
    required = schema.get("required")
    shown = required if isinstance(required, list) and required else list(properties)[:1]
    return {
        name: _example(properties[name], root, depth - 1) for name in shown if isinstance(properties.get(name), Mapping)
    }


def _turns(messages: Iterable[Message]) -> Iterator[str]:
    names: dict[str, str] = {}
    for message in messages:
        role = message["role"]
        if role in {"tool", "function"}:
            yield _result(message, names)
        elif role == "assistant":
            calls = list(_calls(message))
            names |= {identifier: name for identifier, name, _ in calls}
            blocks = (
                f"FUNCTION_CALL_START\n{name}\narguments: {arguments}\nFUNCTION_CALL_END"
                for _, name, arguments in calls
            )
            yield "\n".join(["[assistant]", *filter(None, [_text(message.get("content"))]), *blocks])
        else:
            yield f"[user]\n{_defused(_text(message.get('content')))}"


def _calls(message: Message) -> Iterator[tuple[str, str, str]]:
    """Yield id, name and arguments of the calls that an assistant message makes, in today's form or the one before it."""
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield str(call.get("id") or ""), str(function.get("name") or ""), _arguments(function)
    if isinstance(function := message.get("function_call"), Mapping):
        yield "", str(function.get("name") or ""), _arguments(function)


def _arguments(function: Mapping[str, Any]) -> str:
    given = function.get("arguments") or "{}"
    return given if isinstance(given, str) else _compact(given)


def _result(message: Message, names: Mapping[str, str]) -> str:
    identifier = str(message.get("tool_call_id") or "")
    name = str(message.get("name") or names.get(identifier, ""))
    label = " ".join(filter(None, ["tool result", identifier and f"id={identifier}", name and f"name={name}"]))
    return f"[{label}]\n{_defused(_text(message.get('content')))}"


def _text(content: object) -> str:
    """Return a message's text: of parts, the text ones, and a placeholder that names any other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Iterable) or isinstance(content, Mapping):
        return ""
    return "\n".join(_part(part) for part in content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    if isinstance(text := part.get("text", part.get("refusal")), str):
        return text
    file = part.get("file")
    name = file.get("filename") if isinstance(file, Mapping) else None
    kind = str(part.get("type", "part")).removesuffix("_url").removeprefix("input_")
    return f"[{kind}{f' {name}' if name else ''}: not shown, this model reads text only]"


def _defused(text: str) -> str:
    """Take the syntax out of our markers, so that data which holds them is never read, or repeated, as a call."""
    for kind in ("FUNCTION", "TOOL"):
        for end in ("START", "END"):
            text = text.replace(f"{kind}_CALL_{end}", f"{kind}-CALL-{end}")
    return text


def _reminder(request: ChatRequest, turns: list[Message]) -> str:
    if request.tools and request.tool_choice == "required":
        return "Reply to the conversation above now, with at least one tool call block."
    if request.tools and request.tool_choice != "auto":
        return f"Reply to the conversation above now, with a tool call block for {request.tool_choice}."
    if turns and turns[-1]["role"] == "assistant":
        return "Continue the assistant's last message exactly where it stops; repeat nothing of it."
    if request.tools:
        return "Reply to the conversation above now: with tool call blocks, or with the answer."
    return "Reply to the conversation above now, as the assistant."
