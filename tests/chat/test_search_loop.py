"""An answer with web searches: what the agent is asked, and what the client receives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from custom_handler.chat.answer_cache import Batches
from custom_handler.chat.search_loop import MAX_CITED, MAX_EXCERPT, searching_batches
from custom_handler.chat.turn import Turn
from custom_handler.errors import AgentFailed
from custom_handler.events import (
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
from custom_handler.instrumentation import Measurement, ToolCalled
from custom_handler.request.chat_request import ChatRequest
from custom_handler.request.search_tool import SearchTool
from custom_handler.settings import Settings
from tests.support.clock import Clock
from tests.support.protocols import tool

PAGES = (Page("https://a.example/1", "Um", "x" * 5000, "2026-11-20"), Page("https://b.example/2", "Dois"))
USAGE = Usage(10, 5)


def call(name: str, index: int = 0, **arguments: Any) -> list[ReplyEvent]:
    """A call, its arguments cut in two."""
    written = json.dumps(arguments)
    return [
        ToolCallStart(index, f"call_{name}{index}", name),
        ToolCallArguments(index, written[:4]),
        ToolCallArguments(index, written[4:]),
    ]


def search(index: int = 0, query: str = "taxa") -> list[ReplyEvent]:
    return call("web_search", index, query=query)


CALLED, SAID = Finish("tool_calls", USAGE), Finish("stop", USAGE)


class Conversation:
    """One answer: the agent replies with `replies` in turn, each search finds `pages` or fails."""

    def __init__(
        self, *replies: Sequence[ReplyEvent], pages: tuple[Page, ...] = PAGES, error: str = "", **params: Any
    ) -> None:
        self.replies, self.pages, self.error = iter(replies), pages, error
        self.turns: list[Turn] = []
        self.queries: list[str] = []
        self.measured: list[Measurement] = []
        self.clock = Clock()
        given = {"tools": [tool("save", "a")], "web_search_options": {}, **params}
        found = SearchTool.of_request(given, params)
        assert found is not None
        self.tool = found
        self.searched: list[Searched] | None = None
        self.request = ChatRequest.from_openai([{"role": "user", "content": "Qual?"}], found.declared(given))

    async def events(self) -> list[ReplyEvent]:
        turn = Turn(self.request, "agent", "id", 60.0, Settings(), clock=self.clock, hook=self.measured.append)
        batches = searching_batches(turn, self.tool, self._ask, self._search, self.searched)
        return [event async for events in batches for event in events]

    async def _ask(self, turn: Turn) -> Batches:
        self.turns.append(turn)
        for event in next(self.replies):
            self.clock.now += 1
            if isinstance(event, ToolCallStart):
                turn.hook(ToolCalled(event.name))
            yield [event]

    async def _search(self, call_id: str, query: str, seconds: float) -> WebSearch:
        self.queries.append(query)
        assert seconds <= 60
        return WebSearch(call_id, query, () if self.error else self.pages, self.error, "HTTP 500" if self.error else "")

    def results(self, turn: int = 1) -> list[str]:
        return [one["content"] for one in self.turns[turn].request.messages if one["role"] == "tool"]


async def test_the_agent_answers_with_what_was_found() -> None:
    told = Conversation([*search(), CALLED], [Text("12%, diz https://b.example/2."), SAID])
    assert await told.events() == [
        Text("12%, diz https://b.example/2."),
        Sources((Source("Dois", url="https://b.example/2"),)),
        Finish("stop", Usage(20, 10, requests=2)),
    ]
    assert told.queries == ["taxa"]
    first, second = told.turns
    assert [one["role"] for one in second.request.messages] == ["user", "assistant", "tool"]
    assert told.results() == [
        f"1. Um\nhttps://a.example/1\n2026-11-20\n{'x' * MAX_EXCERPT}\n\n2. Dois\nhttps://b.example/2"
    ]
    assert second.timeout == first.timeout - 4
    assert told.measured == []


async def test_text_before_a_search_stays_and_a_gap_follows_it() -> None:
    told = Conversation([Text("Vou ver."), *search(), CALLED], [Text("12"), Text("%"), SAID])
    assert [event.text for event in await told.events() if isinstance(event, Text)] == ["Vou ver.", "\n\n12", "%"]
    assert told.turns[1].request.messages[1]["content"] == "Vou ver."


async def test_an_answer_without_a_search_is_as_any() -> None:
    told = Conversation([Text("Oi"), Sources((Source("Manual", id="01KA"),)), SAID])
    assert await told.events() == [Text("Oi"), Sources((Source("Manual", id="01KA"),)), SAID]


async def test_where_the_text_names_no_page_the_first_are_cited() -> None:
    pages = tuple(Page(f"https://a.example/{number}", "") for number in range(30))
    told = Conversation([*search(), CALLED], [Text("12%"), SAID], pages=pages)
    [cited] = [event for event in await told.events() if isinstance(event, Sources)]
    assert [one.url for one in cited.sources] == [page.url for page in pages[:MAX_CITED]]


MADE = {"id": "c1", "type": "function", "function": {"name": "save", "arguments": "{}"}}


async def test_searches_before_the_call_of_a_server_are_in_the_turn_behind_it() -> None:
    first = Conversation([Text("Vejo."), *search(), CALLED], [*call("save"), CALLED])
    first.searched = []
    await first.events()
    assert [(one.position, one.text, len(one.searches)) for one in first.searched] == [(1, "Vejo.", 1)]

    second = Conversation([Text("12%"), SAID])
    second.searched = first.searched
    behind = [
        {"role": "assistant", "content": None, "tool_calls": [MADE]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]
    second.request = replace(second.request, messages=[*second.request.messages, *behind])
    events = await second.events()
    [turn] = second.turns
    roles = [one["role"] for one in turn.request.messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]
    assert turn.request.messages[1]["content"] == "Vejo."
    assert second.results(0)[0].startswith("1. Um\nhttps://a.example/1\n")
    assert [len(event.sources) for event in events if isinstance(event, Sources)] == [len(PAGES)]


async def test_earlier_searches_count_for_the_limit() -> None:
    told = Conversation([Text("12%"), SAID])
    limit = told.tool.max_searches
    told.searched = [Searched(1, "", tuple(WebSearch(f"c{number}", "taxa", PAGES) for number in range(limit)))]
    await told.events()
    assert [one.name for one in told.turns[0].request.tools] == ["save"]


async def test_a_json_answer_is_not_cited() -> None:
    told = Conversation([*search(), CALLED], [Text("{}"), SAID], response_format={"type": "json_object"})
    assert not [event for event in await told.events() if isinstance(event, Sources)]


async def test_calls_of_the_client_behind_a_search_are_made_again() -> None:
    told = Conversation([*search(), *call("save", 1, a="x"), CALLED], [*call("save", a="y"), CALLED])
    events = await told.events()
    assert [event.id for event in events if isinstance(event, ToolCallStart)] == ["call_save0"]
    assert events[-1] == Finish("tool_calls", Usage(20, 10, requests=2))
    assert [one["function"]["name"] for one in told.turns[1].request.messages[1]["tool_calls"]] == ["web_search"]


async def test_a_search_behind_a_call_of_the_client_is_not_made() -> None:
    told = Conversation([*call("save", a="x"), *search(1), *call("save", 2, a="y"), CALLED])
    events = await told.events()
    assert [(event.index, event.id) for event in events if isinstance(event, ToolCallStart)] == [
        (0, "call_save0"),
        (1, "call_save2"),
    ]
    assert {event.index for event in events if isinstance(event, ToolCallArguments)} == {0, 1}
    assert (told.queries, events[-1]) == ([], CALLED)
    assert told.measured == [ToolCalled("save")] * 2


async def test_the_agent_reads_why_a_search_failed() -> None:
    told = Conversation([*search(), CALLED], [Text("Não sei."), SAID], error="unavailable")
    assert (await told.events())[:-1] == [Text("Não sei.")]
    assert told.results() == ["The search failed: HTTP 500. Say so, and answer with what you know."]


async def test_the_agent_reads_that_nothing_was_found() -> None:
    told = Conversation([*search(), CALLED], [Text("Nada."), SAID], pages=())
    assert (await told.events())[:-1] == [Text("Nada.")]
    assert told.results() == ["The search found nothing."]


async def test_after_the_last_search_the_tool_is_gone() -> None:
    reply = [*search(0, "a"), *search(1, "b"), *search(2, "c"), CALLED]
    uses = [{"type": "web_search_20250305", "max_uses": 2}, tool("save", "a")]
    told = Conversation(reply, [Text("12%"), SAID], tools=uses)
    await told.events()
    assert told.queries == ["a", "b"]
    assert told.results()[2].startswith("This search was not made")
    assert [one.name for one in told.turns[1].request.tools] == ["save"]


@pytest.mark.parametrize("arguments", ["{}", "[]", '{"query": 7}', "no JSON"])
async def test_a_call_without_a_query_has_an_empty_one(arguments: str) -> None:
    reply = [ToolCallStart(0, "call_1", "web_search"), ToolCallArguments(0, arguments), CALLED]
    told = Conversation(reply, [Text("12%"), SAID])
    await told.events()
    assert told.queries == [""]


async def test_a_reply_that_was_cut_ends_the_answer() -> None:
    told = Conversation([*search(), Finish("length", USAGE)])
    assert await told.events() == [Finish("length", USAGE)]


async def test_the_next_request_may_choose_its_tools() -> None:
    told = Conversation([*search(), CALLED], [Text("12%"), SAID], tool_choice="required")
    await told.events()
    assert [turn.request.tool_choice for turn in told.turns] == ["required", "auto"]


async def test_an_error_of_the_agent_behind_a_search_is_raised() -> None:
    class Failing(Conversation):
        async def _ask(self, turn: Turn) -> Batches:
            if self.turns:
                raise AgentFailed("down")
            async for events in super()._ask(turn):
                yield events

    with pytest.raises(AgentFailed):
        await Failing([*search(), CALLED]).events()
