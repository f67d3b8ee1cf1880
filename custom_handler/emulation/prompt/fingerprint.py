"""What an agent that keeps a conversation has seen of it, as two fingerprints; nothing of what was said is kept.

    what stands above ─ turn ─ … ─ the assistant's last ─ new turns ─ the answer
    └──────────── seen ────────────────────────────────┘                      │
    └──────────── answered: what `seen` will be in the next request ──────────┘

A fingerprint covers what the agent is told, as it is rendered, and the assistant's turns as their client was told them. So any
change to the history, the tools, the system text or the answer's format leads to a fingerprint that nobody has kept.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...events import ReplyEvent, Text, ToolCallArguments, ToolCallStart
from ...request.chat_request import ChatRequest, Message
from ..answer import tool_call_key
from .render import above, conversation_messages
from .transcript import calls_of, text_of, transcript


class Fingerprint:
    """One request's conversation, and the answer to it, which `record` is told.

    `owner` is whatever else two conversations must share to be one. `turns_seen` is the number of turns that an agent has seen
    which has kept `seen`; both are nothing in a conversation that begins, and in one whose last turn is the assistant's own.
    """

    def __init__(self, request: ChatRequest, owner: str, answer_format: str = "") -> None:
        turns = conversation_messages(request)
        last = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=-1)
        self.open = last < len(turns) - 1
        self.turns_seen = last + 1 if self.open else 0
        items = list(_items(turns))
        seen = max((at + 1 for at, item in enumerate(items) if item[0] == "assistant"), default=0)
        self._digest = hashlib.blake2b(digest_size=24)
        self._note([[owner, above(request, answer_format)], *items[:seen]])
        self.seen = self._digest.hexdigest() if self.turns_seen else None
        self._note(items[seen:])
        self._text: list[str] = []
        self._calls: list[tuple[str, list[str]]] = []

    def record(self, events: Iterable[ReplyEvent]) -> None:
        """Note what the client is told."""
        for event in events:
            match event:
                case Text(text):
                    self._text.append(text)
                case ToolCallStart(name=name):
                    self._calls.append((name, []))
                case ToolCallArguments(index, arguments):
                    self._calls[index][1].append(arguments)

    def answered(self) -> str | None:
        """Return the fingerprint that covers the answer, too; None where there was none."""
        calls = [tool_call_key(name, "".join(pieces)) for name, pieces in self._calls]
        said = _said("".join(self._text), calls)
        if said == _said("", []):
            return None
        digest = self._digest.copy()
        digest.update(_line(said))
        return digest.hexdigest()

    def _note(self, items: Iterable[Sequence[Any]]) -> None:
        for item in items:
            self._digest.update(_line(item))


def _items(turns: Sequence[Message]) -> Iterator[Sequence[Any]]:
    """Yield the turns as they are compared: one for all that the assistant said in a row, which bridges take apart."""
    told = zip(turns, transcript(turns), strict=True)
    for assistants, group in itertools.groupby(told, lambda turn: turn[1].role == "assistant"):
        if not assistants:
            yield from ([entry.role, entry.label, entry.body, _files(message)] for message, entry in group)
            continue
        messages = [message for message, _ in group]
        calls = [tool_call_key(name, arguments) for message in messages for _, name, arguments in calls_of(message)]
        yield _said("\n".join(filter(None, (text_of(message.get("content")) for message in messages))), calls)


def _said(text: str, calls: Sequence[tuple[str, str]]) -> Sequence[Any]:
    """Compare an assistant's turn by its words and calls; clients strip the blanks around, and the agent never saw the ids."""
    return ["assistant", text.strip(), calls]


def _files(message: Message) -> Sequence[Any]:
    """Return the parts that are shown by a placeholder, or go another way than by the prompt."""
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else ()
    return [
        {name: value for name, value in part.items() if name != "cache_control"}
        for part in parts
        if isinstance(part, Mapping) and not isinstance(part.get("text"), str)
    ]


def _line(item: Sequence[Any]) -> bytes:
    return json.dumps(item, sort_keys=True, default=str).encode() + b"\n"
