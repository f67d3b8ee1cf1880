"""A request that leaves long after it was counted is counted as one of the time at which it leaves."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from custom_handler import StackspotLLM
from custom_handler.request.caller import Caller
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot import limiter as limiter_module
from custom_handler.stackspot.http.aiohttp_client import MAX_WRITE, HttpClient
from custom_handler.stackspot.limiter import LATE, Limiter
from custom_handler.stackspot.state.ledger import WINDOW, Limits
from custom_handler.stackspot.state.redis_client import RETRY_SECONDS
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
from custom_handler.stackspot.state.window import Decision, LocalRequestWindow, Queue
from tests.support.clock import Clock
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

ANA, BIA = Caller("ana"), Caller("bia")
QUEUE = {ANA: Queue()}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def window(clock) -> LocalRequestWindow:
    return LocalRequestWindow(clock)


@pytest.fixture
def shared(redis_server: Any) -> Iterator[Callable[..., RedisRequestWindow]]:
    made: list[RedisRequestWindow] = []

    def make(clock: Any = time.monotonic) -> RedisRequestWindow:
        made.append(RedisRequestWindow(RedisSettings(url=redis_server.url), "r/c", clock))
        return made[-1]

    yield make
    for window in made:
        window._client.redis.close()


def times(window: RedisRequestWindow) -> dict[str, float]:
    """Return the counted requests with their times, in milliseconds of Redis."""
    entries = window._client.redis.zrange(window._client.key("requests"), 0, -1, withscores=True)
    return {entry.decode(): float(at) for entry, at in entries}


@pytest.mark.parametrize(("late", "again"), [(0.0, WINDOW), (LATE, WINDOW), (1.5, WINDOW + 1.5), (40, WINDOW + 40)])
def test_the_minute_of_a_request_begins_when_it_is_sent(clock, window, late, again):
    limiter = Limiter(LimitSettings(requests_per_minute=1, max_concurrency=5), window, clock=clock)
    waiter = limiter.acquire(1)
    clock.now += late
    limiter.note_sent(waiter)
    clock.now += again - late - 0.01
    assert window.acquire(QUEUE, Limits(1)).caller is None
    clock.now += 0.02
    assert window.acquire(QUEUE, Limits(1)).caller == ANA


def test_only_the_next_request_of_a_call_is_counted_anew(clock, window):
    limiter = Limiter(LimitSettings(requests_per_minute=5, max_concurrency=5), window, clock=clock)
    waiter = limiter.acquire(1)
    limiter.note_sent(waiter)
    clock.now += 30
    limiter.note_sent(waiter)  # an upload, or anything else that is not counted
    clock.now += WINDOW - 29
    assert window.usage().used == 0


def test_a_request_is_replaced_by_itself_and_by_no_other_of_its_key(clock, window):
    first = window.acquire(QUEUE, Limits(9))
    clock.now += 2
    window.acquire({BIA: Queue()}, Limits(9)), window.acquire(QUEUE, Limits(9))
    clock.now += 1
    window.postpone(first)
    assert [(at - first.time, name) for at, name in window._requests] == [(2, "bia"), (2, "ana"), (3, "ana")]
    assert window.usage().by_caller == {ANA: 2, BIA: 1}
    assert window.usage().used_today == 3
    clock.now += WINDOW - 1
    assert window.usage().by_caller == {ANA: 1}


def test_a_request_that_is_no_longer_counted_stays_so(clock, window):
    decision = window.acquire(QUEUE, Limits(9))
    clock.now += WINDOW + 1
    window.postpone(decision)
    window.postpone(Decision(None))
    assert window.usage().used == 0


def test_all_processes_see_the_new_time(shared):
    one, other = shared(), shared()
    decision = one.acquire(QUEUE, Limits(9))
    before = times(other)
    time.sleep(0.05)
    one.postpone(decision)
    after = times(other)
    assert before.keys() == after.keys() == {decision.entry}
    assert after[decision.entry] >= before[decision.entry] + 50
    one.cancel(decision)
    one.postpone(decision)
    assert times(other) == {}


def test_the_queue_of_several_processes_postpones_too(shared):
    window = shared()
    now = Clock()
    limiter = Limiter(LimitSettings(requests_per_minute=5, max_concurrency=5), window, clock=now)
    waiter = limiter.acquire(60)
    waiter.admitted.result(60)
    ((entry, before),) = times(window).items()
    now.now += 2 * LATE
    time.sleep(0.05)
    limiter.note_sent(waiter)
    eventually(lambda: times(window)[entry] > before)
    limiter.release(waiter)


def test_a_redis_that_comes_back_learns_the_new_time(redis_server, shared, clock):
    window = shared(clock)
    decision = window.acquire(QUEUE, Limits(9))
    clock.now += 30
    window.postpone(decision)
    redis_server.stop()
    window.acquire({BIA: Queue()}, Limits(9))
    redis_server.start()  # without what it had before
    clock.now += RETRY_SECONDS + 1
    window.acquire({}, Limits(1))
    known = times(window)
    late = known.pop(decision.entry)
    assert [abs(at - late) < 1000 for at in known.values()] == [True]  # not 30 seconds earlier than the other


@pytest.mark.parametrize("meanwhile", [{BIA: Queue()}, None])
def test_a_redis_that_kept_its_data_learns_the_new_time(tmp_path, clock, meanwhile):
    with running_redis(tmp_path, durable=True) as server:
        window = RedisRequestWindow(RedisSettings(url=server.url), "r/c", clock)
        decision = window.acquire(QUEUE, Limits(9))
        key = window._client.key("requests")
        window._client.redis.zincrby(key, -40_000, decision.entry)  # 40 seconds ago
        ((_, before),) = times(window).items()
        server.stop()
        window.postpone(decision)
        if meanwhile is not None:
            window.acquire(meanwhile, Limits(9))
        server.start()
        clock.now += RETRY_SECONDS + 1
        window.acquire({}, Limits(1))
        assert times(window)[decision.entry] > before + 20_000
        assert window.usage().by_caller == {ANA: 1, **dict.fromkeys(meanwhile or {}, 1)}
        window._client.redis.close()


@pytest.mark.parametrize(
    ("method", "body"), [("POST", bytes(range(256)) * (2 * MAX_WRITE // 256) + b"end"), ("POST", b"{}"), ("GET", b"")]
)
async def test_a_request_is_sent_when_there_is_a_connection(monkeypatch, method, body):
    order: list[str] = []
    received = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order.append("connected")
        await reader.readuntil(b"\r\n\r\n")
        received.extend(await reader.readexactly(len(body)))
        order.append("received")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(ssl.create_default_context())
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}/"
    resolve = client._resolver.resolve

    async def slow_resolve(*arguments: Any, **options: Any) -> Any:
        order.append("resolved")
        return await resolve(*arguments, **options)

    monkeypatch.setattr(client._resolver, "resolve", slow_resolve)
    response = await client.send(method, url, {}, body, httpx.Timeout(30), note_sent=lambda: order.append("sent"))
    assert response.status == 200
    assert order.index("resolved") < order.index("sent") < order.index("received")
    assert bytes(received) == body
    await client.aclose()
    server.close()


def test_each_request_of_a_call_is_noted_as_it_is_sent(settings, simulator, hello, monkeypatch):
    monkeypatch.setattr(limiter_module, "LATE", -1.0)  # each one is late
    postponed: list[Decision] = []
    provider = StackspotLLM(settings.changed(limits={"requests_per_minute": 90, "max_retries": 2}))
    window = provider.accounts["default"].client._limiter._window
    monkeypatch.setattr(window, "postpone", postponed.append)
    simulator.script({"text": "", "status": 500}, {"text": "Oi"})
    assert provider.completion("stackspot-chat", hello).choices[0].message.content == "Oi"
    assert [decision.caller is not None for decision in postponed] == [True, True]
    assert postponed[0].time < postponed[1].time
    assert window.usage().used == 2
