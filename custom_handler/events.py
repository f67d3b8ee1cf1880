"""The typed parts of an answer, in the order in which they arrive."""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from .data_class import data_class


@data_class
class Text:
    """Characters that follow the text before."""

    text: str


@data_class
class ToolCallStart:
    """The start of a tool call; `index` counts the calls of the answer from 0."""

    index: int
    id: str
    name: str


@data_class
class ToolCallArguments:
    """Characters of a call's arguments.

    Those of one index, joined, are one strict JSON object, unless the answer was truncated.
    """

    index: int
    arguments: str


@data_class
class Usage:
    """Token counts, reported by the agent or estimated; `requests` the agent has processed."""

    prompt_tokens: int
    completion_tokens: int
    requests: int = 1


@data_class
class AgentEnd:
    """What the agent reports beside its text; None for a field that it does not report."""

    stop_reason: str | None = None
    usage: Usage | None = None
    conversation_id: str | None = None


@data_class
class Source:
    """A document or a knowledge source that an answer is based on; unknown fields are empty.

    `id` is that of the knowledge source, `document_id` that of the document within it.
    """

    name: str = ""
    slug: str = ""
    id: str = ""
    document_id: str = ""
    url: str = ""

    @property
    def label(self) -> str:
        """What people read: the name, else the slug or an id."""
        return self.name or self.slug or self.id or self.document_id

    @property
    def is_page(self) -> bool:
        """Whether it is a page that a web search found: the platform has no id for it."""
        return bool(self.url) and not (self.id or self.document_id or self.slug)

    @property
    def key(self) -> str:
        """What identifies it: the id of the document, else of the knowledge source."""
        return self.document_id or self.id or self.slug or self.name


@data_class
class Sources:
    """The sources of all text before this event; none is cited for a part of it."""

    sources: tuple[Source, ...]


@data_class
class Page:
    """A page that a web search found; `date` and `excerpt` are empty where they are unknown."""

    url: str
    title: str
    excerpt: str = field(default="", repr=False)
    date: str = ""


@data_class
class WebSearch:
    """A web search that the agent asked for; `id` is the id of its call.

    `error` is the code of a failed search, as Anthropic's API has them: too_many_requests,
    invalid_tool_input, max_uses_exceeded or unavailable. `reason` says more about it.
    """

    id: str
    query: str = field(repr=False)
    pages: tuple[Page, ...] = ()
    error: str = ""
    reason: str = ""


@data_class
class Searched:
    """Searches that the agent asked for at once, after so many messages, with its text before."""

    position: int
    text: str = field(repr=False)
    searches: tuple[WebSearch, ...]


@data_class
class Finish:
    """The end of an answer; `reason` is one of OpenAI's finish reasons.

    `stop_sequence` is the one that ended the text, if any.
    """

    reason: str
    usage: Usage
    stop_sequence: str | None = None


@data_class
class Unreadable:
    """A block that is meant as a tool call and cannot be parsed, as the agent wrote it.

    `reason` says what is wrong with it.
    """

    text: str
    reason: str = ""


CallEvent: TypeAlias = ToolCallStart | ToolCallArguments
ReplyEvent: TypeAlias = Text | CallEvent | Sources | Finish
ParsedPart: TypeAlias = str | CallEvent | Unreadable  # of the agent's text; a str is content
