"""The proxy's three protocols: the body of a request, and the content of a response."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
TOOL = "note"

_SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@dataclass
class Received:
    """The text and tool arguments of a response so far, and whether it failed or ended."""

    text: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    failed: bool = False
    ended: bool = False


def body(path: str, model: str, question: str, *, stream: bool, tools: bool) -> dict[str, Any]:
    """Return the body of a request with this question."""
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


def read_whole(path: str, answer: Mapping[str, Any], received: Received) -> None:
    """Read a response that was not streamed."""
    received.ended = True
    if path == PATHS[0]:
        message = answer["choices"][0]["message"]
        received.text.append(message.get("content") or "")
        received.arguments += [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    elif path == PATHS[1]:
        for block in answer["content"]:
            _append(received, block.get("text"), json.dumps(block["input"]) if block["type"] == "tool_use" else None)
    else:
        for item in answer["output"]:
            texts = (part.get("text") for part in item.get("content") or ())
            _append(received, "".join(filter(None, texts)), item.get("arguments"))


def read_event(path: str, data: str, received: Received) -> None:
    """Read one event of a streamed response."""
    if data == "[DONE]":
        received.ended = True
        return
    event = json.loads(data)
    if event.get("error") or event.get("type") in {"error", "response.failed"}:
        received.failed = True
    elif path == PATHS[0]:
        _read_choices(event.get("choices") or (), received)
    elif path == PATHS[1]:
        delta = event.get("delta") or {}
        _append(received, delta.get("text"), delta.get("partial_json"))
        received.ended |= event.get("type") == "message_stop"
    else:
        kind, delta = event.get("type"), event.get("delta")
        _append(
            received,
            delta if kind == "response.output_text.delta" else None,
            delta if kind == "response.function_call_arguments.delta" else None,
        )
        received.ended |= kind in {"response.completed", "response.incomplete"}


def _read_choices(choices: Iterable[Mapping[str, Any]], received: Received) -> None:
    for choice in choices:
        delta = choice.get("delta") or {}
        _append(received, delta.get("content"), None)
        for call in delta.get("tool_calls") or ():
            _append(received, None, (call.get("function") or {}).get("arguments"))


def _append(received: Received, text: str | None, arguments: str | None) -> None:
    if text:
        received.text.append(text)
    if arguments:
        received.arguments.append(arguments)
