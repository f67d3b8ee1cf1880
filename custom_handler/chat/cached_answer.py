"""A complete answer as it is cached, and its encoding."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..data_class import data_class
from ..events import Finish, ReplyEvent, Source, Sources, Text, ToolCallArguments, ToolCallStart, Usage

_FIELDS = ("name", "slug", "id", "document_id", "url")


@data_class
class CachedAnswer:
    """The events of an answer; `sources` are the ids of its knowledge sources, None without any.

    >>> answer = CachedAnswer((Text("Hi"), Finish("stop", Usage(3, 1))))
    >>> CachedAnswer.decoded(answer.encoded()) == answer
    True
    """

    events: tuple[ReplyEvent, ...]
    sources: tuple[str, ...] | None = None

    @classmethod
    def of(cls, events: Iterable[ReplyEvent], sources: tuple[str, ...] | None) -> CachedAnswer:
        """Return an answer with these events, its texts joined where they follow each other."""
        joined: list[ReplyEvent] = []
        for is_text, group in itertools.groupby(events, key=lambda event: isinstance(event, Text)):
            part = list(group)
            joined += [Text("".join(event.text for event in part if isinstance(event, Text)))] if is_text else part
        return cls(tuple(joined), sources)

    def encoded(self) -> bytes:
        """Return the answer as JSON."""
        parts = [list(_encoded(event)) for event in self.events]
        document = {"events": parts, "sources": self.sources}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    @classmethod
    def decoded(cls, encoded: bytes) -> CachedAnswer | None:
        """Return the answer of `encoded`, None for anything that is none."""
        try:
            document = json.loads(encoded.decode("utf-8", "surrogatepass"))
            sources = document["sources"]
            events = tuple(_decoded(*part) for part in document["events"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cls(events, None if sources is None else tuple(map(str, sources))) if events else None


def as_repeated(events: Iterable[ReplyEvent]) -> Sequence[ReplyEvent]:
    """Return the events for a client whose request was not sent to the agent.

    Tool calls get ids of their own, because clients take those for unique; the requests that the
    agent has processed are another client's.
    """
    return list(map(_repeated, events))


def _repeated(event: ReplyEvent) -> ReplyEvent:
    if isinstance(event, ToolCallStart):
        return replace(event, id=f"call_{uuid.uuid4().hex[:24]}")
    return replace(event, usage=replace(event.usage, requests=0)) if isinstance(event, Finish) else event


def _encoded(event: ReplyEvent) -> Iterator[Any]:
    match event:
        case Text(text):
            yield from ("text", text)
        case ToolCallStart(index, _, name):
            yield from ("call", index, name)
        case ToolCallArguments(index, arguments):
            yield from ("arguments", index, arguments)
        case Sources(sources):
            yield from ("sources", [[getattr(source, name) for name in _FIELDS] for source in sources])
        case Finish(reason, usage, stop):
            yield from ("finish", reason, usage.prompt_tokens, usage.completion_tokens, stop)


def _decoded(kind: str, *values: Any) -> ReplyEvent:
    match kind, values:
        case "text", (str(text),):
            return Text(text)
        case "call", (int(index), str(name)):
            return ToolCallStart(index, "", name)
        case "arguments", (int(index), str(arguments)):
            return ToolCallArguments(index, arguments)
        case "sources", (list(sources),):
            return Sources(tuple(Source(*map(str, source)) for source in sources))
        case "finish", (str(reason), int(prompt), int(completion), (None | str()) as stop):
            return Finish(reason, Usage(prompt, completion), stop)
    raise ValueError(kind)
