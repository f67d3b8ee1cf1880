"""Identifies a native conversation by two hashes of its turns; no text is stored.

    preamble ─ turn ─ … ─ the assistant's last turn ─ new turns ─ the answer
    └──────────── seen ────────────────────────────┘                       │
    └──────────── answered: the `seen` of the next request ────────────────┘

The hashes cover the turns as they are rendered, and the assistant's turns as the client received
them. So any change to the history, the tools, the system text or the answer's format leads to a
hash that is not stored.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...events import ReplyEvent, Text, ToolCallArguments, ToolCallStart
from ...request.calls import calls_of
from ...request.chat_request import ChatRequest, Message
from ..pending_call import tool_call_key
from .content import message_text
from .render import preamble
from .transcript import transcript
from .turns import turns


class Fingerprint:
    """The hashes of one request's conversation, before and after the answer, which `record` takes.

    `owner` is hashed, too. `turns_seen` counts the turns that are covered by `seen`; they are 0 and
    None for a new conversation. It is `open` unless its last turn is the assistant's or the request
    has a suffix, with which a native conversation cannot continue.
    """

    def __init__(self, request: ChatRequest, owner: str, answer_format: str = "") -> None:
        messages = turns(request)
        last = max((number for number, turn in enumerate(messages) if turn["role"] == "assistant"), default=-1)
        self.open = last < len(messages) - 1 and not request.parameters.suffix
        self.turns_seen = last + 1 if self.open else 0
        items = list(_items(messages))
        seen = max((number + 1 for number, item in enumerate(items) if item[0] == "assistant"), default=0)
        self._digest = hashlib.blake2b(digest_size=24)
        self._update([[owner, preamble(request, answer_format)], *items[:seen]])
        self.seen = self._digest.hexdigest() if self.turns_seen else None
        self._update(items[seen:])
        self._text: list[str] = []
        self._calls: list[tuple[str, list[str]]] = []

    def record(self, events: Iterable[ReplyEvent]) -> None:
        """Record events that the client receives."""
        for event in events:
            match event:
                case Text(text):
                    self._text.append(text)
                case ToolCallStart(name=name):
                    self._calls.append((name, []))
                case ToolCallArguments(index, arguments):
                    self._calls[index][1].append(arguments)

    def answered(self) -> str | None:
        """Return the hash that covers the answer, too; None for an empty answer."""
        calls = [tool_call_key(name, "".join(pieces)) for name, pieces in self._calls]
        item = _assistant_item("".join(self._text), calls)
        if item == _assistant_item("", []):
            return None
        digest = self._digest.copy()
        digest.update(_line(item))
        return digest.hexdigest()

    def _update(self, items: Iterable[Sequence[Any]]) -> None:
        for item in items:
            self._digest.update(_line(item))


def _items(messages: Sequence[Message]) -> Iterator[Sequence[Any]]:
    """Yield what is hashed of each turn; bridges split an assistant's turn, so join it."""
    rendered = zip(messages, transcript(messages), strict=True)
    for is_assistant, group in itertools.groupby(rendered, lambda turn: turn[1].role == "assistant"):
        if not is_assistant:
            yield from ([entry.role, entry.label, entry.body, _other_parts(message)] for message, entry in group)
            continue
        parts = [message for message, _ in group]
        calls = [tool_call_key(call.name, call.arguments) for message in parts for call in calls_of(message)]
        yield _assistant_item("\n".join(filter(None, map(message_text, parts))), calls)


def _assistant_item(text: str, calls: Sequence[tuple[str, str]]) -> Sequence[Any]:
    """Return text and calls; clients strip outer white space, and agents receive no ids."""
    return ["assistant", text.strip(), calls]


def _other_parts(message: Message) -> Sequence[Any]:
    """Return the content parts that the transcript shows by a placeholder only."""
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else ()
    return [
        {name: value for name, value in part.items() if name != "cache_control"}
        for part in parts
        if isinstance(part, Mapping) and not isinstance(part.get("text"), str)
    ]


def _line(item: Sequence[Any]) -> bytes:
    return json.dumps(item, sort_keys=True, default=str).encode() + b"\n"
