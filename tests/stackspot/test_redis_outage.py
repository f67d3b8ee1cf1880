"""Processes that share a quota, while their Redis is away and when it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from custom_handler.request.caller import Caller
from custom_handler.settings import RedisSettings
from custom_handler.stackspot.state.ledger import WINDOW, Limits
from custom_handler.stackspot.state.outage import LastShared, limits_alone
from custom_handler.stackspot.state.redis_client import RETRY_SECONDS
from custom_handler.stackspot.state.redis_window import GATHER, RedisRequestWindow
from custom_handler.stackspot.state.window import Decision, Queue
from tests.support.clock import Clock

LIMIT = 10
LIMITS = Limits(LIMIT)
ANA = Caller("ana")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(redis_server: Any, clock: Clock) -> Iterator[Callable[[], RedisRequestWindow]]:
    made: list[RedisRequestWindow] = []

    def make() -> RedisRequestWindow:
        made.append(RedisRequestWindow(RedisSettings(url=redis_server.url), "r/c", clock))
        return made[-1]

    yield make
    for window in made:
        window._client.redis.close()


def ask(window: RedisRequestWindow, limits: Limits = LIMITS) -> Decision:
    return window.acquire({ANA: Queue()}, limits)


def sent(*windows: RedisRequestWindow, limits: Limits = LIMITS) -> int:
    """Ask in turn until all are refused, and return how many requests were admitted."""
    return sum(ask(window, limits).caller is not None for _ in range(2 * LIMIT) for window in windows)


def hear(*windows: RedisRequestWindow) -> None:
    """Ask in vain, as processes whose calls wait: each is told how many requests and processes there are."""
    assert not [window for window in windows * 2 if ask(window, Limits(1, 1)).caller]


def end_gathering(redis_server: Any) -> None:
    """Remove the mark that Redis removes GATHER seconds after the first process was back."""
    with redis.Redis(port=redis_server.port) as client:
        (name,) = client.scan_iter("*:gathering")
        assert 0 < client.pttl(name) <= GATHER * 1000
        client.delete(name)


@pytest.mark.parametrize("before", [1, 4, 7, 10])
def test_without_redis_the_processes_stay_within_the_limit_together(redis_server, process, clock, before):
    both = one, other = process(), process()
    assert all(ask(both[number % 3 % 2]).caller for number in range(before))
    hear(one, other)
    redis_server.stop()
    assert before + sent(one, other) in (LIMIT, LIMIT - 1)  # an odd rest is not divided
    clock.now += WINDOW + 1
    assert sent(one, other) == LIMIT


def test_a_busy_process_goes_on_as_busy_as_it_was(redis_server, process, clock):
    busy, calm = process(), process()
    assert [ask(busy).caller for _ in range(8)] == [ANA] * 8
    assert [ask(calm).caller for _ in range(3)] == [ANA, ANA, None]
    ask(busy)
    redis_server.stop()
    assert sent(busy, calm) == 0
    clock.now += WINDOW - 1
    ask(busy), ask(calm)
    clock.now += 2
    assert (sent(busy), sent(calm)) == (5, 5)  # nothing is known of the others any more: equal parts


def test_when_redis_is_back_it_learns_what_was_sent_without_it(redis_server, process, clock):
    one, other = process(), process()
    assert [ask(window).caller for window in (one, other, one, other)] == [ANA] * 4
    redis_server.stop()
    assert 4 + sent(one, other) in (LIMIT, LIMIT - 1)
    redis_server.start()  # without what it had before
    clock.now += RETRY_SECONDS + 1
    assert sent(one, other) == 0
    end_gathering(redis_server)
    assert one.usage().used == other.usage().used == process().usage().used >= LIMIT - 1
    assert sent(one, other, process()) == LIMIT - one.usage().used == 0


def test_nothing_is_shared_until_each_process_had_the_time_to_come_back(redis_server, process, clock):
    first, late = process(), process()
    assert ask(first).caller == ask(late).caller == ANA
    hear(first, late)
    redis_server.stop()
    assert sent(first, late) == LIMIT - 2
    redis_server.start()
    clock.now += RETRY_SECONDS + 1
    assert sent(first) == 0  # it has sent its part; Redis knows of nobody else's
    assert first.usage().used == LIMIT / 2
    assert sent(late) == 0
    assert first.usage().used == LIMIT


@pytest.mark.parametrize("used", [9, 10])
def test_a_process_that_returns_late_does_not_exceed_the_quota(redis_server, process, clock, used):
    """Only one process has noticed the outage, and then it had no calls for minutes."""
    late, busy = process(), process()
    assert ask(late).caller == ask(busy).caller == ANA
    redis_server.freeze()
    assert late.get_mark("pause") == (0, 0.0)
    redis_server.thaw()
    clock.now += 10 * WINDOW
    assert [ask(busy).caller for _ in range(used - 2)] == [ANA] * (
        used - 2
    )  # the first ones count: Redis has its own clock
    assert sent(late) == LIMIT - used
    assert busy.usage().used == late.usage().used == LIMIT
    assert sent(busy) == 0
    refused = ask(late)
    assert refused.caller is None
    assert refused.for_all


def test_a_shorter_pause_does_not_replace_one_that_redis_does_not_have(redis_server, process, clock):
    window = process()
    redis_server.stop()
    assert window.set_mark("pause", 1, 40.0, only_new=True)
    redis_server.start()
    clock.now += RETRY_SECONDS + 1
    assert not window.set_mark("pause", 1, 10.0, only_new=True)
    window.report({})
    assert window.get_mark("pause")[1] > 30


def test_a_request_that_was_not_sent_is_not_returned(redis_server, process, clock):
    window = process()
    assert ask(window).caller == ANA
    redis_server.stop()
    window.cancel(ask(window))
    assert ask(window).caller == ANA
    redis_server.start()
    clock.now += RETRY_SECONDS + 1
    ask(window, Limits(1))
    assert window.usage().used == 2


def test_a_pause_lasts_while_redis_is_away(redis_server, process, clock):
    one, other = process(), process()
    assert one.set_mark("pause", 1, 40.0)
    assert other.get_mark("pause")[1] > 30
    redis_server.stop()
    clock.now += 10
    for window in (one, other):
        value, left = window.get_mark("pause")
        assert (value, round(left)) == (1, 30)
    clock.now += 31
    assert one.get_mark("pause") == other.get_mark("pause") == (0, 0.0)


@pytest.mark.parametrize("known_before", [True, False])
@pytest.mark.parametrize("call", [lambda window: window.report({}), ask])
def test_a_pause_that_redis_does_not_have_is_returned_to_it(redis_server, process, clock, known_before, call):
    """Redis came back without its data, or never had the pause of a 429."""
    one, other = process(), process()
    if known_before:
        assert one.set_mark("pause", 1, 40.0)
    redis_server.stop()
    if not known_before:
        assert one.set_mark("pause", 1, 40.0, only_new=True)
    assert one.get_mark("pause")[1] > 30
    redis_server.start()
    clock.now += RETRY_SECONDS + 1
    assert one.get_mark("pause")[1] > 30
    call(one)
    assert one.get_mark("pause")[0] == other.get_mark("pause")[0] == 1
    end_gathering(redis_server)
    call(one)
    with redis.Redis(port=redis_server.port) as client:
        client.delete(*client.scan_iter("*:pause"))
    assert one.get_mark("pause") == other.get_mark("pause") == (0, 0.0)


def test_a_longer_pause_of_redis_stays(redis_server, process, clock):
    one, other = process(), process()
    redis_server.stop()
    assert one.set_mark("pause", 1, 40.0)
    redis_server.start()
    assert other.set_mark("pause", 2, 400.0)
    clock.now += RETRY_SECONDS + 1
    one.report({})
    value, left = one.get_mark("pause")
    assert value == 2
    assert left > 300


def test_a_pause_that_ended_in_redis_is_no_pause_without_it(redis_server, process):
    one, other = process(), process()
    one.set_mark("pause", 1, 40.0)
    assert other.get_mark("pause")[0] == 1
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    assert one.get_mark("pause") == other.get_mark("pause") == (0, 0.0)
    redis_server.stop()
    assert one.get_mark("pause") == other.get_mark("pause") == (0, 0.0)


def test_requests_are_returned_once(redis_server, process, clock):
    window = process()
    assert sent(window) == LIMIT
    for _ in range(2):
        redis_server.stop()
        ask(window)
        redis_server.start()
        clock.now += RETRY_SECONDS + 1
        for _ in range(3):
            ask(window)
        assert (window.usage().used, window.usage().by_caller) == (LIMIT, {ANA: LIMIT})
        assert window.usage().used_today == LIMIT


def test_without_redis_the_limit_of_a_day_is_divided_too(redis_server, process):
    one, other = process(), process()
    day = Limits(0, LIMIT)
    assert [ask(window, day).caller for window in (one, other)] == [ANA, ANA]
    hear(one, other)
    redis_server.stop()
    assert 2 + sent(one, other, limits=day) in (LIMIT, LIMIT - 1)
    assert ask(one, day).daily


def test_a_process_that_never_reached_redis_has_the_whole_limit(redis_server, process):
    redis_server.stop()
    assert sent(process()) == LIMIT


@pytest.mark.parametrize("processes", [1, 3, 100, 1000])
def test_each_process_may_always_send_something(processes):
    for minute in (0, 50, 100, 150):
        last = LastShared(time=0, minute=minute, own_minute=0, day=minute, own_day=0, processes=processes)
        for now in (1.0, 100.0):
            alone = limits_alone(Limits(100, 100), last, now, WINDOW)
            assert alone.per_minute >= 1  # 0 would be no limit
            assert alone.per_day >= 1
    assert limits_alone(Limits(), last, 1.0, WINDOW) == Limits()
