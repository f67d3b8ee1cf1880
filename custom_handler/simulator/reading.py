"""Reads the one text an agent gets back into its parts: system text, tools and conversation.

The text is what a client for an agent without roles renders:

    {system text}
    # Tools
    {"name": …, "description": …, "parameters": {…}}       one tool a line, among rules
    # Conversation
    [user] | [assistant] | [tool result id=… name=…] | [reminder]      alone on a line, then the turn

A lone message comes without any of it.
"""

from __future__ import annotations

import json
import re
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

    system: str
    tools: tuple[Tool, ...]
    turns: tuple[Turn, ...]

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
    """The parts of `text`; without a conversation it is one user's message."""
    start = CONVERSATION.search(text)
    if start is None:
        return Prompt("", (), (Turn("user", text.strip()),))
    system, _, tools = text[: start.start()].partition("# Tools")
    return Prompt(system.strip(), tuple(_read_tools(tools.split("\n"))), tuple(_read_turns(text[start.end() :])))


def read_conversation(earlier: Iterable[tuple[str, str]], text: str) -> Prompt:
    """The parts of `text`, and of the prompts and answers before it: what is said once holds until it is said anew."""
    system, tools, turns = "", tuple[Tool, ...](), list[Turn]()
    for asked, said in earlier:
        read = read_prompt(asked)
        system, tools = read.system or system, read.tools or tools
        turns += [turn for turn in read.turns if turn.kind != "reminder"]
        turns.append(Turn("assistant", said))
    read = read_prompt(text)
    return Prompt(read.system or system, read.tools or tools, (*turns, *read.turns))


def read_enum(schema: object) -> list[Any]:
    """The only values a schema allows; none when it does not say."""
    values = schema.get("enum") if isinstance(schema, dict) else None
    return values if isinstance(values, list) else []


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
