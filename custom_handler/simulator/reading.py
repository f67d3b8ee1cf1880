"""Reads the one text an agent gets back into its parts: system text, tools and conversation.

The text is what a client for an agent without roles renders:

    {system text}
    # Tools
    {"name": …, "description": …, "parameters": {…}}       one tool a line, among rules
    # Answer
    … JSON …                                               the schema on the last line, if there is one
    # Conversation
    [user] | [assistant] | [tool result id=… name=…] | [reminder]      alone on a line, then the turn

A lone message comes without any of it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECTION = re.compile(r"\[(user|assistant|reminder|tool result)([^\n]*)\]")
NAME = re.compile(r"\bname=([^\s\]]+)")
CONVERSATION = re.compile(r"^# Conversation[ \t]*\n\s*(?=\[(?:user|assistant|reminder|tool result))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the agent may call, with the JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """One section of the conversation; `name` is that of the tool whose result it is."""

    kind: str
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The parts of a prompt."""

    tools: tuple[Tool, ...]
    turns: tuple[Turn, ...]
    answer_schema: Mapping[str, Any] | None = None

    @property
    def question(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.kind == "user"), "")

    @property
    def reminder(self) -> str:
        """The last word on what to do now, which closes the prompt; mostly empty."""
        return self.turns[-1].text if self.turns and self.turns[-1].kind == "reminder" else ""

    @property
    def results(self) -> tuple[Turn, ...]:
        """The tool results that came after the question."""
        users = [index for index, turn in enumerate(self.turns) if turn.kind == "user"]
        after = self.turns[users[-1] + 1 if users else 0 :]
        return tuple(turn for turn in after if turn.kind == "tool result")


def read_prompt(text: str) -> Prompt:
    """Return the parts of `text`; without a conversation it is one user's message."""
    start = CONVERSATION.search(text)
    if start is None:
        return Prompt((), (Turn("user", text.strip()),))
    above, _, answer = text[: start.start()].partition("# Answer\n")
    tools = above.partition("# Tools")[2]
    turns = tuple(_read_turns(text[start.end() :]))
    return Prompt(tuple(_read_tools(tools.split("\n"))), turns, _read_schema(answer))


def read_conversation(earlier: Iterable[tuple[str, str]], text: str) -> Prompt:
    """Return the parts of `text` and of the conversation before it; tools and schema hold until others are given."""
    tools, schema, turns = tuple[Tool, ...](), None, list[Turn]()
    for asked, said in earlier:
        read = read_prompt(asked)
        tools, schema = read.tools or tools, read.answer_schema or schema
        turns += [turn for turn in read.turns if turn.kind != "reminder"]
        turns.append(Turn("assistant", said))
    read = read_prompt(text)
    return Prompt(read.tools or tools, (*turns, *read.turns), read.answer_schema or schema)


def fold(text: str) -> str:
    """Return `text` in lower case, without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(char))


def words_of(text: str) -> set[str]:
    """Return the words of at least four letters, without accents, by their first five."""
    return {word[:5] for word in re.findall(r"[a-z]{4,}", fold(text))}


def _read_schema(answer: str) -> Mapping[str, Any] | None:
    if "JSON" not in answer:
        return None
    try:
        schema = json.loads(answer.strip().rpartition("\n")[2])
    except ValueError:
        return {"type": "object"}
    return schema if isinstance(schema, dict) else {"type": "object"}


def _read_tools(lines: Iterable[str]) -> Iterable[Tool]:
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            parameters = value.get("parameters")
            schema = parameters if isinstance(parameters, dict) else {}
            yield Tool(value["name"], str(value.get("description") or ""), schema)


def _read_turns(text: str) -> Iterable[Turn]:
    kind, name, lines = "", "", list[str]()
    for line in [*text.split("\n"), "[user]"]:
        section = SECTION.fullmatch(line.rstrip())
        if section is None:
            lines.append(line)
            continue
        if kind:
            yield Turn(kind, "\n".join(lines).strip(), name)
        found = NAME.search(section[2])
        kind, name, lines = section[1], found[1] if found else "", []
