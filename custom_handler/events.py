"""What happens within one answer, in the order in which it happens: the words that all parts of the package share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Characters of the answer, to be appended to those before."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """A tool call begins; `index` counts the calls of the answer from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArguments:
    """Characters of the call's arguments; all of one index together are a strict JSON object, unless the answer was cut."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the agent reports them, or an estimate of ours."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class AgentEnd:
    """The agent's own end of an answer; every field is None where the agent did not say it."""

    stop_reason: str | None = None
    usage: Usage | None = None
    message_id: str | None = None
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer as a client is told: `reason` is one of OpenAI's finish reasons."""

    reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A block that is meant as a call and cannot be read, as the agent wrote it: to be repaired, or else shown as text."""

    text: str


AgentEvent: TypeAlias = Text | AgentEnd
CallEvent: TypeAlias = ToolCallStart | ToolCallArguments
ReplyEvent: TypeAlias = Text | CallEvent | Finish
ReadEvent: TypeAlias = Text | CallEvent | Unreadable
