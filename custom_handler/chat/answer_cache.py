"""Answers that are served again: from the store, or from an equal request that is running.

lookup ──stored──▶ hit: its events
   │ ──an equal request is running──▶ shared: its events, as they arrive
   └─────▶ miss: the agent is asked, and a complete answer is stored

Only whole, faultless answers are stored: `Turn.is_reusable` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeAlias

from ..errors import AgentTimeout, QueueFull, StackspotError
from ..events import ReplyEvent, ToolCallStart
from ..instrumentation import CacheLookup, KnowledgeSearched, ToolCalled
from ..request.caller import Caller
from ..request.context import add_response_header
from ..stackspot.agent_call import AcquireSlot, AcquireToken, Step, Steps, advance
from ..stackspot.state.answers import AnswerStore
from ..stackspot.state.store_threads import StoreThreads
from .answer_key import CacheOptions, answer_key
from .cached_answer import CachedAnswer, as_repeated
from .shared_answer import SharedAnswer
from .turn import Turn

HEADER = "x-stackspot-cache"
HIT, SHARED, MISS, BYPASS = "hit", "shared", "miss", "bypass"

OWN_ERRORS = (AgentTimeout, QueueFull)
"""Errors of the request that was sent, which an equal one need not meet."""

Batches: TypeAlias = AsyncGenerator[Sequence[ReplyEvent], None]
Run: TypeAlias = Callable[[Steps[ReplyEvent]], Batches]
_Place: TypeAlias = tuple[asyncio.AbstractEventLoop, str, float]


class AnswerCache:
    """Runs turns, and serves those of models with a cache from `store` where it can."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop what a child process cannot share."""
        self._store.reset_after_fork()
        self._threads = StoreThreads()
        self._running: dict[_Place, dict[Caller, SharedAnswer]] = {}
        self._storing: set[asyncio.Task[None]] = set()

    def batches(self, turn: Turn, run: Run, *, buffered: bool) -> Batches:
        """Return the events of a turn's answer; `run` performs its steps. See `Turn.steps`."""
        options = turn.cache
        if options is None:
            return run(turn.steps(buffered=buffered))
        if options.bypass or turn.files or turn.conversation_owner is not None:
            _report(turn, BYPASS)
            return run(turn.steps(buffered=buffered))
        return self._cached(turn, options, run)

    async def _cached(self, turn: Turn, options: CacheOptions, run: Run) -> Batches:
        steps = turn.steps()
        first = advance(steps, None)  # without files and a conversation the prompt is rendered by now
        if not isinstance(first, AcquireToken) or turn.call is None:
            raise AssertionError("A turn must begin with a token.")
        key = answer_key(turn.call, turn.request, turn.settings, options)
        place, joined = (asyncio.get_running_loop(), key, turn.timeout), turn.clock()
        is_asked = (running := self._find(place, turn.caller)) is not None and running.admitted
        if not options.refresh and not is_asked and (answer := await self._stored(key)) is not None:
            _report(turn, HIT)
            _report_answer(turn, answer)
            yield as_repeated(answer.events)
            return
        asked_again = False
        while not options.refresh and (running := self._find(place, turn.caller)) is not None:
            outcome, counted = HIT if running.complete else SHARED, False
            add_response_header(HEADER, outcome)  # the response may start before the first event
            try:
                async with contextlib.aclosing(running.read()) as batches:
                    async for events in batches:
                        if not counted:
                            counted = _report(turn, outcome)
                        yield as_repeated(events)
            except OWN_ERRORS:
                late = asked_again or turn.clock() - joined > turn.timeout / 2
                if counted or late:  # it would send a request that has too little time as well
                    raise
                asked_again = counted = True  # counts as what comes of it
            else:
                _report_answer(turn, running.answer)
                return
            finally:
                if not counted:
                    _report(turn, outcome)
        _report(turn, MISS)
        admitted = asyncio.Event()
        running = SharedAnswer(
            run(_resumed(first, steps, admitted.set)),
            turn,
            admitted,
            lambda ended: self._end(place, ended, options.seconds),
        )
        self._running.setdefault(place, {})[turn.caller] = running
        async with contextlib.aclosing(running.read()) as batches:
            async for events in batches:
                yield events

    def _find(self, place: _Place, caller: Caller) -> SharedAnswer | None:
        """Return an equal request to wait for, None without one.

        One of another API key may wait long in the queue, for the share of that key.
        """
        equal = self._running.get(place, {})
        return next((one for one in equal.values() if one.admitted), None) or equal.get(caller)

    async def _stored(self, key: str) -> CachedAnswer | None:
        if self._store.is_local:
            encoded = self._store.get(key)
        else:
            encoded = await self._threads.run(self._store.get, key)
        return None if encoded is None else CachedAnswer.decoded(encoded)

    def _end(self, place: _Place, running: SharedAnswer, seconds: float) -> None:
        """Store a complete answer, and then forget that it was running."""
        if not running.complete or not running.turn.is_reusable:
            self._forget(place, running)
            return
        key, encoded = place[1], running.answer.encoded()
        if self._store.is_local:
            self._store.put(key, encoded, seconds)
            self._forget(place, running)
            return

        async def store() -> None:
            try:
                await self._threads.run(self._store.put, key, encoded, seconds)
            finally:  # else the answer would be served for ever
                self._forget(place, running)

        storing = asyncio.ensure_future(store())
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)

    def _forget(self, place: _Place, running: SharedAnswer) -> None:
        equal = self._running.get(place, {})
        for caller in [caller for caller, one in equal.items() if one is running]:
            del equal[caller]
        if not equal:
            self._running.pop(place, None)


def _resumed(first: Step[ReplyEvent], steps: Steps[ReplyEvent], on_admitted: Callable[[], None]) -> Steps[ReplyEvent]:
    """Yield the steps again, of which `first` was taken already; report when there is a slot."""
    step: Step[ReplyEvent] | None = first
    while step is not None:
        try:
            result = yield step
            if isinstance(step, AcquireSlot):
                on_admitted()
        except StackspotError as error:
            result = error
        step = advance(steps, result)


def _report(turn: Turn, outcome: str) -> bool:
    """Report what the cache did for a request; return True, for it is counted now."""
    add_response_header(HEADER, outcome)
    turn.hook(CacheLookup(outcome))
    return True


def _report_answer(turn: Turn, answer: CachedAnswer) -> None:
    """Report what a turn reports of an answer that it has received from the agent."""
    if answer.sources is not None:
        turn.hook(KnowledgeSearched(answer.sources))
    for event in answer.events:
        if isinstance(event, ToolCallStart):
            turn.hook(ToolCalled(event.name))
