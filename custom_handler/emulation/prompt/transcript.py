"""Converts messages into the turns of a prompt: each below its label, calls as blocks."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Protocol

from ...data_class import data_class
from ...request.calls import calls_of, result_id
from ...request.chat_request import Message
from ..imitations import imitations, neutralised
from ..labels import ASSISTANT, RESULT, label
from .content import message_text, text_of
from .turns import role_of

_NOT_LABEL_CHARACTERS = r"[^\w.:/-]+"


@data_class
class TranscriptEntry:
    """One turn; `role` is "system", "user", "assistant", "result" or "note"."""

    role: str
    label: str
    body: str

    def __str__(self) -> str:
        return f"{label(self.label)}\n{self.body}"


class _Rewrite(Protocol):
    def __call__(self, text: str, /, *, blocks: bool = True) -> str: ...


def transcript(messages: Iterable[Message], rewrite: _Rewrite = neutralised) -> Iterator[TranscriptEntry]:
    """Yield the turns of messages, as `turns.turns` orders them.

    Blocks in the assistant's own text stay as they are, unless it can have copied them from data:
    the agent writes what it sees of itself.
    """
    names: dict[str, str] = {}
    calls = _Calls()  # of the assistant's last turn, which can be several messages
    previous, data_has_imitations = "", False
    for message in messages:
        role = role_of(message)
        if role == ASSISTANT:
            made = list(calls_of(message))
            names |= {call.id: call.name for call in made}
            if previous != ASSISTANT:
                calls = _Calls()
            calls.add(call.id for call in made)
            text = rewrite(message_text(message), blocks=data_has_imitations)
            blocks = (block(_one_line(call.name), rewrite(call.arguments)) for call in made)
            yield TranscriptEntry(role, speaker(message), "\n".join([*filter(None, [text]), *blocks]))
        else:
            text = text_of(message.get("content"))
            body = rewrite(text)
            data_has_imitations |= body != text
            shown = (
                _result(message, calls.number(result_id(message)), names, text)
                if role == "result"
                else speaker(message)
            )
            yield TranscriptEntry(role, shown, body)
        previous = role


def originals(messages: Iterable[Message]) -> Set[str]:
    """Return the spellings that the turns of messages have with a caret; see `imitations`."""
    found: set[str] = set()

    def collect(text: str, /, *, blocks: bool = True) -> str:
        found.update(imitations(text, blocks=blocks))
        return neutralised(text, blocks=blocks)

    for _ in transcript(messages, collect):
        pass
    return found


def block(name: str, arguments: str) -> str:
    """Return a call in the syntax that the agent is asked to use."""
    return f"FUNCTION_CALL_START\n{name}\narguments: {arguments}\nFUNCTION_CALL_END"


def speaker(message: Message) -> str:
    """Return the label of a turn: its role, and the name of who speaks."""
    role, name = role_of(message), message.get("name")
    return f"{role} {_label_word(name)}" if isinstance(name, str) and name else role


class _Calls:
    """Numbers the calls of a turn; several can have one id, as on Gemini's routes."""

    def __init__(self) -> None:
        self._numbers: dict[str, deque[int]] = {}
        self._count = 0

    def add(self, identifiers: Iterable[str]) -> None:
        for identifier in identifiers:
            self._count += 1
            self._numbers.setdefault(identifier, deque()).append(self._count)

    def number(self, identifier: str) -> str:
        """Return the number of the next call with that id, as `1/2`; "" for an only call."""
        waiting = self._numbers.get(identifier)
        return f"{waiting.popleft()}/{self._count}" if waiting and self._count > 1 else ""


def _result(message: Message, number: str, names: Mapping[str, str], text: str) -> str:
    """Return the label of a result: the number of its call, its tool, and how it ended."""
    name = _label_word(str(message.get("name") or names.get(result_id(message), "")))
    failed = message.get("is_error") is True or message.get("status") == "error"
    parts = [
        RESULT,
        number,
        f"name={name}" if name else "",
        "error" if failed else "",
        "" if text else "empty",
    ]
    return " ".join(filter(None, parts))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _label_word(text: str) -> str:
    """Replace the characters of a name that a label cannot contain."""
    if text.isascii():
        return re.sub(_NOT_LABEL_CHARACTERS, "_", text)[:128]
    import regex  # noqa: PLC0415  few names need it, and it takes 8 ms

    return regex.sub(_NOT_LABEL_CHARACTERS, "_", text)[:128]  # whose words have combining marks
