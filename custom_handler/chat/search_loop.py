"""An answer for which the agent may search the web: its searches are made, and it is asked again.

    ask ──▶ text, calls of the client's tools ──▶ Finish
     ▲ └──▶ calls of the search tool ──▶ search ─┐
     └──────── with the pages found ─────────────┘

The first call of a reply decides. Searches come before calls of the client's tools: those are
dropped, and the agent makes them again. Behind one, a search is dropped, because the client answers
next.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from ..events import (
    Finish,
    Page,
    ReplyEvent,
    Searched,
    Source,
    Sources,
    Text,
    ToolCallArguments,
    ToolCallStart,
    Usage,
    WebSearch,
)
from ..instrumentation import Hook, Measurement, ToolCalled
from ..request.chat_request import ChatRequest
from ..request.search_tool import SearchTool
from .answer_cache import Batches
from .token_estimate import NO_METER
from .turn import Turn

MAX_CITED = 10  # pages that an answer cites where its text names none
MAX_EXCERPT = 1000  # characters of a page
MIN_TIMEOUT = 1.0

Ask: TypeAlias = Callable[[Turn], Batches]
Search: TypeAlias = Callable[[str, str, float], Awaitable[WebSearch]]
"""Performs the search of a call id and a query, in so many seconds at most; raises nothing."""


async def searching_batches(
    turn: Turn, tool: SearchTool, ask: Ask, search: Search, searched: list[Searched] | None = None
) -> Batches:
    """Yield the events of a turn whose request declares `tool`; `ask` asks the agent.

    `searched` has the searches of earlier turns that the messages of this one lack; those of this
    turn are added.
    """
    ends_at = turn.clock() + turn.timeout
    turn.hook = _without_searches(turn.hook, tool.name)
    searched = [] if searched is None else searched
    usage, searches = Usage(0, 0, 0), [search for one in searched for search in one.searches]
    position = len(turn.request.messages)
    if searched:
        turn = replace(turn, request=_with_earlier(turn.request, searched, tool))
    text = ""
    while True:
        request, reply = turn.request, _Reply(tool.name, after_text=text)
        async with contextlib.aclosing(ask(turn)) as batches:
            async for events in batches:
                if shown := list(reply.shown(events)):
                    yield shown
        finish = reply.finish
        usage = _sum(usage, finish.usage)
        text += reply.received
        if not reply.searches or finish.reason not in {"tool_calls", "stop"}:
            break
        made = await _make(reply.searches, tool.max_searches - len(searches), search, ends_at - turn.clock())
        searches += made
        searched.append(Searched(position, reply.text, tuple(made)))
        turn = replace(
            turn,
            request=_with_results(request, reply.text, made, tool, last=len(searches) >= tool.max_searches),
            timeout=max(MIN_TIMEOUT, ends_at - turn.clock()),
            meter=NO_METER,
        )
    cites = finish.reason == "stop" and turn.request.parameters.json_schema is None
    pages = _cited(searches, text) if cites else ()
    sources = [Sources((*reply.sources, *pages))] if reply.sources or pages else []
    yield [*sources, replace(finish, usage=usage)]


class _Reply:
    """One reply of the agent: what the client receives of it, and the searches that it asks for."""

    def __init__(self, name: str, *, after_text: str) -> None:
        self.text = ""
        self.received = ""  # the text with the gap to that of the reply before
        self.sources: tuple[Source, ...] = ()
        self.finish = Finish("stop", Usage(0, 0, 0))
        self._name = name
        self._gap = "\n\n" if after_text and not after_text[-1].isspace() else ""
        self._searches: dict[int, tuple[str, list[str]]] = {}  # id and arguments, by the index of the call
        self._indexes: dict[int, int] = {}  # of the client's calls, as it counts them

    @property
    def searches(self) -> list[tuple[str, str]]:
        """The ids and the queries of the searches."""
        return [] if self._indexes else [(call, _query("".join(given))) for call, given in self._searches.values()]

    def shown(self, events: Sequence[ReplyEvent]) -> Iterator[ReplyEvent]:
        """Yield what the client receives of these events."""
        for event in events:
            match event:
                case Text():
                    shown = Text(self._gap + event.text) if self._gap else event
                    self._gap = ""
                    self.text += event.text
                    self.received += shown.text
                    yield shown
                case ToolCallStart() if event.name == self._name:
                    self._searches[event.index] = (event.id, [])
                case ToolCallStart() if self._indexes or not self._searches:
                    self._indexes[event.index] = len(self._indexes)
                    yield replace(event, index=self._indexes[event.index])
                case ToolCallArguments() if event.index in self._searches:
                    self._searches[event.index][1].append(event.arguments)
                case ToolCallArguments() if event.index in self._indexes:
                    yield replace(event, index=self._indexes[event.index])
                case Sources():
                    self.sources = event.sources
                case Finish():
                    self.finish = event


def _without_searches(hook: Hook, name: str) -> Hook:
    """Return a hook to which calls of the search tool are not reported as the client's."""

    def report(measurement: Measurement) -> None:
        if not (isinstance(measurement, ToolCalled) and measurement.name == name):
            hook(measurement)

    return report


async def _make(calls: Sequence[tuple[str, str]], left: int, search: Search, seconds: float) -> list[WebSearch]:
    """Make the searches that are left, at once; the others fail."""
    made = await asyncio.gather(*(search(call, query, seconds) for call, query in calls[: max(0, left)]))
    refused = [WebSearch(call, query, error="max_uses_exceeded") for call, query in calls[max(0, left) :]]
    return [*made, *refused]


def _with_results(
    request: ChatRequest, text: str, made: Sequence[WebSearch], tool: SearchTool, *, last: bool
) -> ChatRequest:
    """Return the request with the searches as calls with results.

    After the `last` the tool is not declared any more.
    """
    messages = [*request.messages, *_messages(text, made, tool)]
    return replace(request, messages=messages, tools=_tools(request, tool, last=last), tool_choice="auto")


def _with_earlier(request: ChatRequest, searched: Sequence[Searched], tool: SearchTool) -> ChatRequest:
    """Return the request with the searches of earlier turns, each where it was made."""
    messages: list[Any] = []
    for position, message in enumerate([*request.messages, None]):
        for one in searched:
            if one.position == position:
                messages += _messages(one.text, one.searches, tool)
        messages += [] if message is None else [message]
    last = sum(len(one.searches) for one in searched) >= tool.max_searches
    return replace(request, messages=messages, tools=_tools(request, tool, last=last))


def _messages(text: str, made: Sequence[WebSearch], tool: SearchTool) -> list[Any]:
    """Return the messages of searches: a call of the agent and its result for each."""
    calls = [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": tool.name, "arguments": json.dumps({"query": one.query}, ensure_ascii=False)},
        }
        for one in made
    ]
    results = [{"role": "tool", "tool_call_id": one.id, "content": _result(one)} for one in made]
    return [{"role": "assistant", "content": text or None, "tool_calls": calls}, *results]


def _tools(request: ChatRequest, tool: SearchTool, *, last: bool) -> list[Any]:
    return [one for one in request.tools if not (last and one.name == tool.name)]


def _result(search: WebSearch) -> str:
    """Return what the agent reads of a search."""
    if search.error == "max_uses_exceeded":
        return "This search was not made: no more searches are allowed. Answer with what you have."
    if search.error:
        return f"The search failed: {search.reason}. Say so, and answer with what you know."
    if not search.pages:
        return "The search found nothing."
    return "\n\n".join(f"{number}. {_page(page)}" for number, page in enumerate(search.pages, 1))


def _page(page: Page) -> str:
    lines = (page.title, page.url, page.date, page.excerpt[:MAX_EXCERPT])
    return "\n".join(line for line in lines if line)


def _cited(searches: Sequence[WebSearch], text: str) -> tuple[Source, ...]:
    """Return the pages whose addresses the text names, or the first of all where it names none."""
    pages = list({page.url: page for search in searches for page in search.pages}.values())
    named = [page for page in pages if page.url in text]
    return tuple(Source(page.title or page.url, url=page.url) for page in named or pages[:MAX_CITED])


def _query(arguments: str) -> str:
    try:
        value = json.loads(arguments)
    except ValueError:
        return ""
    query = value.get("query") if isinstance(value, dict) else None
    return query.strip() if isinstance(query, str) else ""


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.requests + other.requests,
    )
