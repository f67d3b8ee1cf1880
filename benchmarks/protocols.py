"""The proxy's three protocols as a client of `make soak` speaks them: a request's body, and what an answer said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
TOOL = "note"

_SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@dataclass
class Said:
    """The text and the tool's arguments of an answer so far, and whether it told of a failure or of its end."""

    text: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    failed: bool = False
    ended: bool = False


def body(path: str, model: str, question: str, *, stream: bool, tools: bool) -> dict[str, Any]:
    """Ask in the words of a protocol."""
    asked: dict[str, Any] = {"model": model, "stream": stream}
    asked |= {"input": question} if path == PATHS[2] else {"messages": [{"role": "user", "content": question}]}
    if path == PATHS[1]:
        asked["max_tokens"] = 100_000
    if tools:
        asked["tools"] = [_tool(path)]
    return asked


def _tool(path: str) -> dict[str, Any]:
    if path == PATHS[1]:
        return {"name": TOOL, "description": "Notes a text.", "input_schema": _SCHEMA}
    function = {"name": TOOL, "description": "Notes a text.", "parameters": _SCHEMA}
    return {"type": "function", **function} if path == PATHS[2] else {"type": "function", "function": function}


def read_whole(path: str, answer: Mapping[str, Any], said: Said) -> None:
    """Take a whole answer."""
    said.ended = True
    if path == PATHS[0]:
        message = answer["choices"][0]["message"]
        said.text.append(message.get("content") or "")
        said.arguments += [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    elif path == PATHS[1]:
        for block in answer["content"]:
            _take(said, block.get("text"), json.dumps(block["input"]) if block["type"] == "tool_use" else None)
    else:
        for item in answer["output"]:
            texts = (part.get("text") for part in item.get("content") or ())
            _take(said, "".join(filter(None, texts)), item.get("arguments"))


def read_event(path: str, data: str, said: Said) -> None:
    """Take one event of a streamed answer."""
    if data == "[DONE]":
        said.ended = True
        return
    event = json.loads(data)
    if event.get("error") or event.get("type") in {"error", "response.failed"}:
        said.failed = True
    elif path == PATHS[0]:
        _read_choices(event.get("choices") or (), said)
    elif path == PATHS[1]:
        delta = event.get("delta") or {}
        _take(said, delta.get("text"), delta.get("partial_json"))
        said.ended |= event.get("type") == "message_stop"
    else:
        kind, delta = event.get("type"), event.get("delta")
        _take(
            said,
            delta if kind == "response.output_text.delta" else None,
            delta if kind == "response.function_call_arguments.delta" else None,
        )
        said.ended |= kind in {"response.completed", "response.incomplete"}


def _read_choices(choices: Iterable[Mapping[str, Any]], said: Said) -> None:
    for choice in choices:
        delta = choice.get("delta") or {}
        _take(said, delta.get("content"), None)
        for call in delta.get("tool_calls") or ():
            _take(said, None, (call.get("function") or {}).get("arguments"))


def _take(said: Said, text: str | None, arguments: str | None) -> None:
    if text:
        said.text.append(text)
    if arguments:
        said.arguments.append(arguments)
