"""A stream of very many small pieces becomes fewer chunks, and loses nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from custom_handler.events import Finish, ReplyEvent, Text, Usage
from custom_handler.provider import model_response
from custom_handler.provider.model_response import AsyncChunkStream, ResponseOptions
from custom_handler.provider.pace import FREE, MOST, STEP, Pace
from tests.support.clock import Clock

EVERY = 0.001


class Trickle:
    """An agent that sends a word every EVERY seconds; what has arrived when it is read comes together."""

    def __init__(self, clock: Clock, words: int) -> None:
        self._clock = clock
        self._words = words

    async def batches(self) -> AsyncGenerator[Sequence[ReplyEvent], None]:
        sent = 0
        while sent < self._words:
            arrived = min(self._words, max(sent + 1, int(self._clock() / EVERY)))
            self._clock.now += max(0.0, arrived * EVERY - self._clock())
            yield [Text(f"{number} ") for number in range(sent, arrived)]
            sent = arrived
        yield [Finish("stop", Usage(1, 1))]


async def texts(clock: Clock, words: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    async def sleep(seconds: float) -> None:
        assert 0 < seconds <= MOST
        clock.now += seconds

    monkeypatch.setattr(model_response, "Pace", lambda: Pace(clock, sleep))
    stream = AsyncChunkStream(Trickle(clock, words).batches(), ResponseOptions("stackspot-chat"))
    return [content async for chunk in stream if (content := chunk.choices[0].delta.content)]


async def test_a_trickle_of_ten_minutes_has_some_thousand_chunks(monkeypatch):
    words = int(600 / EVERY)
    found = await texts(Clock(), words, monkeypatch)
    assert "".join(found) == "".join(f"{number} " for number in range(words))
    assert len(found) < 6_000


async def test_the_first_chunks_leave_at_once(monkeypatch):
    found = await texts(clock := Clock(), FREE, monkeypatch)
    assert found == [f"{number} " for number in range(FREE)]
    assert clock() < FREE * EVERY + 10 * STEP  # the pause before the end


async def test_a_stream_that_is_slower_than_the_pace_never_waits():
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    pace = Pace(clock := Clock(), sleep)
    pace.count(FREE + 500)
    clock.now += 501 * STEP
    await pace.wait()
    assert slept == []
    pace.count(10_000)
    await pace.wait()
    assert slept == [MOST]
