"""Converts messages into the turns of a prompt: each below its [label], calls as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import regex

from ...request.chat_request import Message
from ..json_output import compact

_MARKER = regex.compile(r"(FUNCTION|TOOL)[_ ](CALL)[_ ](START|END)", regex.IGNORECASE)
_NOT_LABEL_CHARACTERS = regex.compile(r"[^\w.:/-]++")
_LABEL = regex.compile(
    r"(?<![^\n\r])([ \t]*+)\[(?=(?:user|assistant|tool result|reminder|note|correction)\b[^\]\n\r]*+\][ \t]*+(?:[\n\r]|\Z))",
    regex.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One turn; `role` is "user", "assistant" or "result"."""

    role: str
    label: str
    body: str

    def __str__(self) -> str:
        return f"[{self.label}]\n{self.body}"


def transcript(messages: Iterable[Message]) -> Iterator[TranscriptEntry]:
    """Yield the turns of messages that contain no system messages."""
    names: dict[str, str] = {}
    for message in messages:
        role = message["role"]
        if role in {"tool", "function"}:
            yield _result(message, names)
        elif role == "assistant":
            calls = list(calls_of(message))
            names |= {identifier: name for identifier, name, _ in calls}
            blocks = (block(name, arguments) for _, name, arguments in calls)
            yield TranscriptEntry(
                "assistant", "assistant", "\n".join([*filter(None, [text_of(message.get("content"))]), *blocks])
            )
        else:
            yield TranscriptEntry("user", "user", _escape_markers(text_of(message.get("content"))))


def block(name: str, arguments: str) -> str:
    """Return a call in the syntax that the agent is asked to use."""
    return f"FUNCTION_CALL_START\n{name}\narguments: {arguments}\nFUNCTION_CALL_END"


def calls_of(message: Message) -> Iterator[tuple[str, str, str]]:
    """Yield id, name and arguments of a message's `tool_calls`, and of its `function_call`."""
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield str(call.get("id") or ""), str(function.get("name") or ""), _arguments(function)
    if isinstance(function := message.get("function_call"), Mapping):
        yield "", str(function.get("name") or ""), _arguments(function)


def _arguments(function: Mapping[str, Any]) -> str:
    given = function.get("arguments") or "{}"
    return given if isinstance(given, str) else compact(given)


def _result(message: Message, names: Mapping[str, str]) -> TranscriptEntry:
    """Return a tool's result as a turn."""
    call_id = str(message.get("tool_call_id") or "")
    identifier, name = _label_word(call_id), _label_word(str(message.get("name") or names.get(call_id, "")))
    failed = message.get("is_error") is True or message.get("status") == "error"
    parts = ["tool result", identifier and f"id={identifier}", name and f"name={name}", "error" if failed else ""]
    body = _escape_markers(text_of(message.get("content")))
    return TranscriptEntry("result", " ".join(filter(None, parts)), body)


def text_of(content: object) -> str:
    """Return a message's text; a part that is not text becomes a placeholder."""
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


def _escape_markers(text: str) -> str:
    """Escape markers and labels, so that the text can neither forge a call nor start a turn."""
    return _LABEL.sub(r"\1\\[", _MARKER.sub(r"\1-\2-\3", text))


def _label_word(text: str) -> str:
    """Replace the characters of an id or name that a label cannot contain."""
    return _NOT_LABEL_CHARACTERS.sub("_", text)[:128]
