"""The cache of answers, with an agent that answers when the test says so: who asks it, and what each client receives."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from custom_handler.chat.answer_cache import AnswerCache
from custom_handler.chat.answer_key import CacheOptions
from custom_handler.chat.turn import Turn
from custom_handler.errors import AgentFailed, AgentTimeout, QueueFull, RequestError, StackspotError
from custom_handler.events import Finish, ReplyEvent, Sources, Text, ToolCallArguments, ToolCallStart
from custom_handler.instrumentation import CacheLookup, KnowledgeSearched, Measurement, ToolCalled
from custom_handler.request.caller import ANYONE, Caller
from custom_handler.request.chat_request import ChatRequest, Tool
from custom_handler.request.context import RequestContext
from custom_handler.request.parameters import Parameters
from custom_handler.settings import RequestSettings, Settings
from custom_handler.stackspot.agent_call import (
    AcquireSlot,
    AcquireToken,
    Emit,
    Read,
    ResponseHead,
    Send,
    Steps,
    advance,
)
from custom_handler.stackspot.agent_choice import AgentChoice
from custom_handler.stackspot.knowledge import Knowledge
from custom_handler.stackspot.state.answers import LocalAnswerStore
from custom_handler.stackspot.tokens import Token
from tests.support.clock import Clock
from tests.support.waiting import eventually_async

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
CALL = 'FUNCTION_CALL_START\nlook\narguments: {"at": "Recife"}\nFUNCTION_CALL_END'
TOOLS = (Tool("look", "", {"type": "object"}),)
SOURCE = {"knowledge_source_id": ["01KS0000000000000000000001"], "source": [{"name": "Handbook", "id": "01KD"}]}
ALL = CacheOptions(300)
NO_RETRIES = Settings().changed(limits={"max_retries": 0})


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def last(**fields: Any) -> bytes:
    return frame(**{"message": "", "stop_reason": "stop", "tokens": {"input": 42, "output": 5}, **fields})


@dataclass
class Agent:
    """Sends `chunks`, or raises; from the chunk `held` on, or with its slot if `queued`, it waits for `go`. `asked` has the prompts."""

    chunks: Sequence[bytes | StackspotError] = (frame(message="um "), frame(message="dois"), last())
    held: int | None = None
    queued: bool = False
    asked: list[str] = field(default_factory=list)
    closed: int = 0

    def __post_init__(self) -> None:
        self.go = asyncio.Event()
        self.reached = asyncio.Event()

    async def run(self, steps: Steps[ReplyEvent]) -> AsyncGenerator[Sequence[ReplyEvent], None]:
        """Perform steps as StackspotClient.arun does."""
        chunks = iter(enumerate(self.chunks))
        step = advance(steps, None)
        try:
            while step is not None:
                result: Any = None
                match step:
                    case AcquireToken():
                        result = Token("t", 1200)
                    case AcquireSlot() if self.queued:
                        self.reached.set()
                        await self.go.wait()
                    case Send():
                        self.asked.append(json.loads(bytes(step.content))["user_prompt"])
                        result = ResponseHead(200, {})
                    case Read():
                        number, result = next(chunks, (0, None))
                        if self.held is not None and number >= self.held:
                            self.reached.set()
                            await self.go.wait()
                    case Emit(events):
                        yield events
                step = advance(steps, result)
        finally:
            self.closed += 1


@dataclass
class Client:
    """One client; `events` is what it has received, `headers` are those of its response."""

    text: str = "Olá"
    cache: CacheOptions | None = ALL
    timeout: float = 600
    tools: Sequence[Tool] = ()
    parameters: Parameters = field(default_factory=Parameters)
    knowledge: Knowledge = field(default_factory=Knowledge)
    choice: AgentChoice = field(default_factory=AgentChoice)
    owner: str | None = None
    settings: Settings = field(default_factory=Settings)
    resume_streams: bool = False
    agent_id: str = AGENT
    caller: Caller = ANYONE
    clock: Clock = field(default_factory=Clock)
    events: list[ReplyEvent] = field(default_factory=list)
    batches: int = 0
    measured: list[Measurement] = field(default_factory=list)
    context: RequestContext = field(default_factory=lambda: RequestContext({}))

    def turn(self) -> Turn:
        request = ChatRequest(({"role": "user", "content": self.text},), self.tools, parameters=self.parameters)
        return Turn(
            request, self.agent_id, "c-1", self.timeout, self.settings, self.owner, hook=self.measured.append,
            clock=self.clock, knowledge=self.knowledge, choice=self.choice, cache=self.cache, caller=self.caller,
            resume_streams=self.resume_streams,
        )  # fmt: skip

    @property
    def lookups(self) -> list[str]:
        return [one.outcome for one in self.measured if isinstance(one, CacheLookup)]

    async def ask(self, cache: AnswerCache, agent: Agent) -> Client:
        with self.context.served():
            async with contextlib.aclosing(cache.batches(self.turn(), agent.run, buffered=False)) as batches:
                async for events in batches:
                    self.events += events
                    self.batches += 1
        return self

    @property
    def outcome(self) -> str | None:
        return self.context.response_headers.get("x-stackspot-cache")

    @property
    def answer(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def finish(self) -> Finish:
        end = self.events[-1]
        assert isinstance(end, Finish)
        return end


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache:
    return AnswerCache(LocalAnswerStore(1_000_000, clock))


async def test_an_equal_question_is_answered_from_the_cache(cache: AnswerCache) -> None:
    agent = Agent()
    first, second = await Client().ask(cache, agent), await Client().ask(cache, agent)
    assert len(agent.asked) == agent.closed == 1
    assert (first.outcome, second.outcome) == ("miss", "hit")
    assert first.answer == second.answer == "um dois"
    assert second.batches == 1
    assert (second.finish.reason, second.finish.usage.prompt_tokens, second.finish.usage.completion_tokens) == (
        ("stop", 42, 5)
    )
    assert (first.finish.usage.requests, second.finish.usage.requests) == (1, 0)
    assert [one for one in second.measured if isinstance(one, CacheLookup)] == [CacheLookup("hit")]


async def test_a_model_without_a_cache_is_asked_each_time(cache: AnswerCache) -> None:
    agent = Agent()
    clients = [await Client(cache=None).ask(cache, agent) for _ in range(2)]
    assert len(agent.asked) == 2
    assert [client.outcome for client in clients] == [None, None]


async def test_an_answer_expires(cache: AnswerCache, clock: Clock) -> None:
    agent = Agent()
    for now, asked in ((0.0, 1), (299.9, 1), (300.0, 2)):
        clock.now = now
        await Client().ask(cache, agent)
        assert len(agent.asked) == asked


@pytest.mark.parametrize(
    "other",
    [
        Client(text="Oi"),
        Client(tools=TOOLS),
        Client(agent_id="01K00000000000000000000000"),
        Client(parameters=Parameters(max_tokens=99)),
        Client(parameters=Parameters(stop=("x",))),
        Client(parameters=Parameters(json_schema={})),
        Client(parameters=Parameters(parallel_tool_calls=False)),
        Client(knowledge=Knowledge(source_ids=("01KS",), sources="annotations")),
        Client(knowledge=Knowledge(sources="footer", title="Fontes")),
        Client(choice=AgentChoice("gpt-5")),
        Client(choice=AgentChoice(version=1)),
        Client(settings=Settings().changed(account={"client_id": "another"})),
        Client(settings=Settings().changed(account={"realm": "another"})),
        Client(settings=Settings().changed(account={"inference_url": "https://other.example"})),
        Client(cache=CacheOptions(300, "a key")),
        Client(cache=CacheOptions(60)),
    ],
)
async def test_whatever_changes_the_answer_is_another_question(cache: AnswerCache, other: Client) -> None:
    agent = Agent((frame(message="{}"), last()))
    await Client().ask(cache, agent)
    await other.ask(cache, agent)
    assert len(agent.asked) == 2


async def test_what_changes_nothing_is_the_same_question(cache: AnswerCache) -> None:
    agent = Agent()
    await Client().ask(cache, agent)
    again = Client(parameters=Parameters(ignored=("temperature",)), timeout=5)
    assert (await again.ask(cache, agent)).outcome == "hit"


async def test_keys_do_not_see_each_others_answers(cache: AnswerCache) -> None:
    agent = Agent()
    owners = [CacheOptions(300, owner) for owner in ("first", "second", "first", "second")]
    outcomes = [(await Client(cache=owner).ask(cache, agent)).outcome for owner in owners]
    assert outcomes == ["miss", "miss", "hit", "hit"]


@pytest.mark.parametrize(
    "client",
    [Client(cache=CacheOptions(300, bypass=True)), Client(owner="somebody")],
    ids=["no-store", "a conversation that the platform keeps"],
)
async def test_the_cache_is_neither_read_nor_written(cache: AnswerCache, client: Client) -> None:
    agent = Agent()
    assert (await client.ask(cache, agent)).outcome == "bypass"
    assert (await Client().ask(cache, agent)).outcome == "miss"


async def test_a_refresh_replaces_the_answer(cache: AnswerCache) -> None:
    await Client().ask(cache, Agent())
    newer = Agent((frame(message="três"), last()))
    assert (await Client(cache=CacheOptions(300, refresh=True)).ask(cache, newer)).outcome == "miss"
    last_one = await Client().ask(cache, newer)
    assert (last_one.outcome, last_one.answer, len(newer.asked)) == ("hit", "três", 1)


CUT = Parameters(max_tokens=1)
SPOILED = "FUNCTION_CALL_START\nlook\narguments: {oops\nFUNCTION_CALL_END"


@pytest.mark.parametrize(
    ("chunks", "client"),
    [
        ((frame(message="um dois três quatro " * 9), last()), Client(parameters=CUT)),
        ((frame(message="um X dois"), last()), Client(parameters=Parameters(stop=("X",)))),
        ((frame(message="um"), last(stop_reason="length")), Client()),
        ((frame(message="um"), last(stop_reason="content_filter")), Client()),
        ((frame(message="um"),), Client()),
        ((last(),), Client()),
        ((frame(message=SPOILED), last()), Client(tools=TOOLS)),
        (
            (frame(message=SPOILED), last()),
            Client(tools=TOOLS, settings=Settings(requests=RequestSettings(repair=False))),
        ),
        ((frame(message="no JSON"), last()), Client(parameters=Parameters(json_schema={}))),
    ],
    ids=["limit", "stop", "length", "filter", "no end", "no text", "repaired", "spoiled", "no JSON"],
)
async def test_an_answer_that_is_not_whole_is_not_kept(
    cache: AnswerCache, chunks: tuple[bytes, ...], client: Client
) -> None:
    agent = Agent(chunks)
    await client.ask(cache, agent)
    asked = len(agent.asked)
    await client.ask(cache, agent)
    assert len(agent.asked) == 2 * asked


async def test_a_failure_is_not_kept(cache: AnswerCache) -> None:
    for chunks in ((AgentFailed("no"),), (frame(message="um "), AgentFailed("no"))):
        with pytest.raises(AgentFailed):
            await Client().ask(cache, Agent(chunks))
    assert (await Client().ask(cache, Agent())).outcome == "miss"


async def test_an_invalid_request_fails_as_without_a_cache(cache: AnswerCache) -> None:
    with pytest.raises(RequestError, match="no text"):
        await Client(text=" ").ask(cache, Agent())


async def test_calls_are_kept_with_new_ids(cache: AnswerCache) -> None:
    agent = Agent((frame(message=f"Um momento.\n{CALL}"), last()))
    first, second = [await Client(tools=TOOLS).ask(cache, agent) for _ in range(2)]
    assert (first.outcome, second.outcome) == ("miss", "hit")
    starts = [next(event for event in client.events if isinstance(event, ToolCallStart)) for client in (first, second)]
    assert [start.name for start in starts] == ["look", "look"]
    assert starts[0].id != starts[1].id
    assert [event for event in second.events if isinstance(event, ToolCallArguments)] == [
        event for event in first.events if isinstance(event, ToolCallArguments)
    ]
    assert second.finish.reason == "tool_calls"
    assert ToolCalled("look") in second.measured


@pytest.mark.parametrize("shown", ["annotations", "footer", "none"])
async def test_sources_are_kept(cache: AnswerCache, shown: str) -> None:
    agent = Agent((frame(message="um"), last(**SOURCE)))
    knowledge = Knowledge(own=True, sources=shown, url="https://wiki.example/{name}")
    first, second = [await Client(knowledge=knowledge).ask(cache, agent) for _ in range(2)]
    assert second.outcome == "hit"
    assert first.answer == second.answer
    found = [[event for event in client.events if isinstance(event, Sources)] for client in (first, second)]
    assert found[0] == found[1]
    searched = [[one for one in client.measured if isinstance(one, KnowledgeSearched)] for client in (first, second)]
    assert searched[0] == searched[1] != []


async def test_equal_questions_at_the_same_time_ask_once(cache: AnswerCache) -> None:
    agent = Agent(held=1)
    clients = [Client() for _ in range(5)]
    running = [asyncio.ensure_future(client.ask(cache, agent)) for client in clients]
    await agent.reached.wait()
    await eventually_async(lambda: all(client.events for client in clients), pause=0)
    agent.go.set()
    await asyncio.gather(*running)
    assert len(agent.asked) == agent.closed == 1
    assert [client.outcome for client in clients] == ["miss"] + ["shared"] * 4
    assert {client.answer for client in clients} == {"um dois"}
    assert [client.finish.usage.requests for client in clients] == [1, 0, 0, 0, 0]


async def test_one_that_joins_late_receives_all(cache: AnswerCache) -> None:
    agent = Agent(held=2)
    first = asyncio.ensure_future((one := Client()).ask(cache, agent))
    await agent.reached.wait()
    assert one.answer == "um dois"
    second = asyncio.ensure_future((late := Client()).ask(cache, agent))
    await eventually_async(lambda: late.events, pause=0)
    assert (late.answer, late.batches) == ("um dois", 1)
    agent.go.set()
    await asyncio.gather(first, second)
    assert len(agent.asked) == 1


async def test_an_answer_that_breaks_off_goes_on_for_all_that_read_it_and_is_not_stored(cache: AnswerCache) -> None:
    chunks = (frame(message="um "), AgentFailed("broke"), frame(message="dois"), last())
    agent = Agent(chunks, held=1)
    clients = [Client(resume_streams=True) for _ in range(3)]
    running = [asyncio.ensure_future(client.ask(cache, agent)) for client in clients]
    await agent.reached.wait()
    await eventually_async(lambda: all(client.events for client in clients), pause=0)
    agent.go.set()
    await asyncio.gather(*running)
    assert {client.answer for client in clients} == {"um dois"}
    assert [client.finish.usage.requests for client in clients] == [2, 0, 0]
    assert len(agent.asked) == 2
    assert (await Client(resume_streams=True).ask(cache, agent)).outcome == "miss"


async def test_who_leaves_ends_nothing_for_the_others(cache: AnswerCache) -> None:
    agent = Agent(held=1)
    clients = [Client() for _ in range(3)]
    running = [asyncio.ensure_future(client.ask(cache, agent)) for client in clients]
    await agent.reached.wait()
    await eventually_async(lambda: all(client.events for client in clients), pause=0)
    running[0].cancel()
    running[2].cancel()
    await asyncio.wait(running[::2])
    assert agent.closed == 0
    agent.go.set()
    await running[1]
    assert clients[1].answer == "um dois"
    assert (await Client().ask(cache, agent)).outcome == "hit"
    assert len(agent.asked) == 1


async def test_the_connection_closes_when_all_have_left(cache: AnswerCache) -> None:
    agent = Agent(held=1)
    running = [asyncio.ensure_future(Client().ask(cache, agent)) for _ in range(2)]
    await agent.reached.wait()
    for one in running:
        one.cancel()
    await asyncio.wait(running)
    assert agent.closed == 1
    agent.go.set()
    assert (await Client().ask(cache, agent)).outcome == "miss"
    assert len(agent.asked) == 2


async def test_who_is_cancelled_again_and_again_still_closes_the_connection(cache: AnswerCache) -> None:
    agent = Agent(held=1)
    running = asyncio.ensure_future(Client().ask(cache, agent))
    await agent.reached.wait()
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    await eventually_async(lambda: agent.closed, pause=0)


@pytest.mark.parametrize("text_first", [False, True])
async def test_an_error_of_the_agent_is_everybodys(cache: AnswerCache, text_first: bool) -> None:
    chunks = (frame(message="um "), AgentFailed("no")) if text_first else (AgentFailed("no"),)
    agent = Agent(chunks, held=len(chunks) - 1)
    clients = [Client(settings=Settings().changed(limits={"max_retries": 0})) for _ in range(3)]
    running = [asyncio.ensure_future(client.ask(cache, agent)) for client in clients]
    await agent.reached.wait()
    agent.go.set()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [AgentFailed] * 3
    assert len(agent.asked) == 1
    assert {client.answer for client in clients} == {"um " if text_first else ""}


@pytest.mark.parametrize("error", [AgentTimeout("too slow"), QueueFull("full")], ids=["timeout", "queue"])
async def test_after_an_error_of_the_first_request_alone_another_asks(
    cache: AnswerCache, error: StackspotError
) -> None:
    agents = [Agent((error,), held=0), Agent(), Agent()]
    clients = [Client(settings=Settings().changed(limits={"max_retries": 0})) for _ in agents]
    running = [asyncio.ensure_future(one.ask(cache, agent)) for one, agent in zip(clients, agents, strict=True)]
    await agents[0].reached.wait()
    agents[0].go.set()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert results[0] is error
    assert [client.answer for client in clients] == ["", "um dois", "um dois"]
    assert [len(agent.asked) for agent in agents] == [1, 1, 0]
    assert clients[1].outcome == "miss"
    assert clients[2].outcome in {"shared", "hit"}
    assert [len(client.lookups) for client in clients] == [1, 1, 1]


async def test_after_a_timeout_no_request_is_sent_that_has_too_little_time_as_well(cache: AnswerCache) -> None:
    now = Clock()
    agents = [Agent((AgentTimeout("too slow"),), held=0), Agent(), Agent()]
    clients = [Client(settings=NO_RETRIES, clock=now) for _ in agents]
    running = [asyncio.ensure_future(one.ask(cache, agent)) for one, agent in zip(clients, agents, strict=True)]
    await agents[0].reached.wait()
    await eventually_async(lambda: all(client.outcome for client in clients), pause=0)
    now.now = 301.0
    agents[0].go.set()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [AgentTimeout] * 3
    assert len({str(result) for result in results}) == 1
    assert len({id(result) for result in results}) == 3  # each raise adds frames to its own object
    assert [len(agent.asked) for agent in agents] == [1, 0, 0]
    assert [client.lookups for client in clients] == [["miss"], ["shared"], ["shared"]]


async def test_a_second_timeout_is_that_of_all_who_wait(cache: AnswerCache) -> None:
    agents = [Agent((AgentTimeout("too slow"),), held=0) for _ in range(4)]
    clients = [Client(settings=NO_RETRIES) for _ in agents]
    running = [asyncio.ensure_future(one.ask(cache, agent)) for one, agent in zip(clients, agents, strict=True)]
    for agent in agents[:2]:
        await agent.reached.wait()
        await eventually_async(lambda: all(client.outcome for client in clients), pause=0)
        agent.go.set()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [AgentTimeout] * 4
    assert [len(agent.asked) for agent in agents] == [1, 1, 0, 0]
    assert [client.lookups for client in clients] == [["miss"], ["miss"], ["shared"], ["shared"]]


async def test_nobody_waits_in_the_queue_behind_another_key(cache: AnswerCache) -> None:
    waiting, agent = Agent(queued=True), Agent(held=1)
    one, other, third = (Client(caller=Caller(name)) for name in ("ana", "bia", "eva"))
    first = asyncio.ensure_future(one.ask(cache, waiting))
    await waiting.reached.wait()
    second = asyncio.ensure_future(other.ask(cache, agent))
    await agent.reached.wait()  # it is sent, and so the next one waits for it
    joined = [asyncio.ensure_future(client.ask(cache, waiting)) for client in (third, Client(caller=Caller("ana")))]
    await eventually_async(lambda: third.events, pause=0)
    agent.go.set()
    waiting.go.set()
    await asyncio.gather(first, second, *joined)
    assert [client.lookups for client in (one, other, third)] == [["miss"], ["miss"], ["shared"]]
    assert [len(agent.asked) for agent in (waiting, agent)] == [1, 1]
    assert not cache._running


async def test_a_stored_answer_is_served_while_another_key_waits_in_the_queue(cache: AnswerCache) -> None:
    waiting = Agent(queued=True)
    first = asyncio.ensure_future(Client(caller=Caller("ana")).ask(cache, waiting))
    await waiting.reached.wait()
    clients = [await Client(caller=Caller(name)).ask(cache, Agent()) for name in ("bia", "eva", "ana")]
    assert [client.outcome for client in clients] == ["miss", "hit", "hit"]
    waiting.go.set()
    await first


async def test_a_slow_reader_holds_no_connection_after_the_end(cache: AnswerCache) -> None:
    agent = Agent(held=1)
    first = asyncio.ensure_future(Client().ask(cache, agent))
    await agent.reached.wait()
    with RequestContext({}).served():
        slow = cache.batches(Client().turn(), agent.run, buffered=False)
        events = [*await anext(slow)]
    agent.go.set()
    await first
    await eventually_async(lambda: agent.closed, pause=0)
    async for batch in slow:
        events += batch
    assert "".join(event.text for event in events if isinstance(event, Text)) == "um dois"


async def test_requests_with_other_timeouts_run_alone(cache: AnswerCache) -> None:
    """One that may take 10 s must not end the answer of one that may take 600 s."""
    agent = Agent(held=0)
    running = [asyncio.ensure_future(Client(timeout=seconds).ask(cache, agent)) for seconds in (10.0, 600.0)]
    await eventually_async(lambda: len(agent.asked) == 2, pause=0)
    agent.go.set()
    await asyncio.gather(*running)


class SlowStore:
    """A store that is not in this process, such as Redis."""

    is_local = False

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.known.get(key)

    def put(self, key: str, answer: bytes, seconds: float) -> None:
        assert seconds == 300
        self.known[key] = answer

    def reset_after_fork(self) -> None:
        pass


async def test_a_store_elsewhere_serves_equal_questions_in_a_row() -> None:
    store = SlowStore()
    cache, agent = AnswerCache(store), Agent()
    outcomes = [(await Client().ask(cache, agent)).outcome for _ in range(4)]
    assert outcomes == ["miss", "hit", "hit", "hit"]
    other_process = AnswerCache(store)
    await eventually_async(lambda: store.known, pause=0)
    assert (await Client().ask(other_process, agent)).outcome == "hit"


@pytest.mark.parametrize("spoil", [bytes.upper, lambda _: b"", lambda _: b"[]", lambda kept: kept[:-9]])
async def test_an_entry_that_cannot_be_read_is_a_miss(spoil: Callable[[bytes], bytes]) -> None:
    store = SlowStore()
    agent = Agent()
    await Client().ask(AnswerCache(store), agent)
    await eventually_async(lambda: store.known, pause=0)
    store.known = {key: spoil(kept) for key, kept in store.known.items()}
    assert (await Client().ask(AnswerCache(store), agent)).outcome == "miss"


async def test_an_answer_that_cannot_be_stored_is_served_once() -> None:
    class BrokenStore(SlowStore):
        def put(self, key: str, answer: bytes, seconds: float) -> None:
            super().put(key, answer, seconds)
            raise OSError("no space left")

        def get(self, key: str) -> bytes | None:
            return None

    store, agent = BrokenStore(), Agent()
    cache = AnswerCache(store)
    await Client().ask(cache, agent)
    await eventually_async(lambda: store.known and not cache._running, pause=0.01)
    assert (await Client().ask(cache, agent)).outcome == "miss"
