"""API keys that share an account: whose request is next, within which limits."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_handler.errors import QueueFull
from custom_handler.request.caller import Caller
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.fairness import FairOrder
from custom_handler.stackspot.state.ledger import Limits
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
from custom_handler.stackspot.state.window import LocalRequestWindow, Queue
from custom_handler.stackspot.waiter import Waiter
from tests.support.clock import Clock

LONG = 1000.0
ANA, BIA = Caller("ana"), Caller("bia")
DAY = 24 * 3600


def sent(window: LocalRequestWindow, queues: dict[Caller, int], limits: Limits) -> list[str]:
    """Return the callers of the requests that the window admits at once."""
    names = []
    queues = dict(queues)
    while any(queues.values()):
        waiting = {caller: Queue(count) for caller, count in queues.items() if count}
        if (caller := window.acquire(waiting, limits).caller) is None:
            break
        queues[caller] -= 1
        names.append(caller.name)
    return names


def _append(order: list[int], index: int, _: object) -> None:
    order.append(index)


def until_admitted(limiter: Limiter, clock: Clock, waiters: list[Waiter]) -> list[int]:
    """Step through a minute, and return the indexes of the waiters in the order of their admission."""
    order: list[int] = []
    for index, waiter in enumerate(waiters):
        waiter.admitted.add_done_callback(functools.partial(_append, order, index))
    for _ in range(2000):
        delay = limiter._step()
        if delay is None:
            break
        clock.now += delay
    return order


@pytest.fixture
def still(monkeypatch):
    """Make limiters whose thread does not run: a test makes the steps."""
    monkeypatch.setattr(Limiter, "_wake_thread", lambda self: None)
    clock = Clock()

    def make(**options: Any) -> tuple[Limiter, Clock]:
        return Limiter(LimitSettings(**options), LocalRequestWindow(clock), clock=clock), clock

    return make


def test_two_keys_take_turns():
    assert sent(LocalRequestWindow(Clock()), {ANA: 5, BIA: 5}, Limits(6)) == ["ana", "bia"] * 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(1, 300))
def test_requests_are_divided_by_weight(weights, count):
    callers = [Caller(str(number), weight) for number, weight in enumerate(weights)]
    order, counts = FairOrder(), Counter()
    for _ in range(count):
        first = order.sorted(callers)[0]
        order.record(first)
        counts[first.name] += 1
    for caller in callers:
        assert abs(counts[caller.name] - count * caller.weight / sum(weights)) <= len(callers)


def test_a_key_that_waited_for_nothing_has_saved_nothing():
    order = FairOrder()
    for _ in range(100):
        order.record(ANA)
    names = []
    for _ in range(6):
        first = order.sorted([ANA, BIA])[0]
        order.record(first)
        names.append(first.name)
    assert names in (["bia", "ana"] * 3, ["ana", "bia"] * 3, ["bia", "bia", "ana", "bia", "ana", "bia"])


def test_five_hundred_calls_of_one_key_let_another_key_pass(still):
    limiter, clock = still(requests_per_minute=90, max_waiting=1000, max_concurrency=1000)
    many = [limiter.acquire(LONG, ANA) for _ in range(590)]
    assert sum(waiter.admitted.done() for waiter in many) == 90
    one = limiter.acquire(LONG, BIA)
    order = until_admitted(limiter, clock, [*many[90:], one])
    assert order.index(500) <= 2
    assert len(order) == 501


def test_a_slot_that_becomes_free_is_for_the_next_key(still):
    limiter, _ = still(requests_per_minute=0, max_waiting=1000, max_concurrency=1)
    first, *many = [limiter.acquire(LONG, ANA) for _ in range(50)]
    one = limiter.acquire(LONG, BIA)
    for waiter in (first, *many[:2]):
        limiter.release(waiter)
        limiter._step()
    assert one.admitted.done()


def test_a_share_limits_a_key_even_when_it_is_alone():
    clock = Clock()
    window = LocalRequestWindow(clock)
    half = Caller("ana", share=0.5)
    assert sent(window, {half: 90}, Limits(90)) == ["ana"] * 45
    assert window.acquire({half: Queue()}, Limits(90)).delay == 61
    assert sent(window, {half: 90, BIA: 90}, Limits(90)) == ["bia"] * 45
    clock.now += 61
    assert len(sent(window, {half: 90}, Limits(90))) == 45


def test_a_tiny_share_is_one_request():
    assert sent(LocalRequestWindow(Clock()), {Caller("ana", share=0.001): 5}, Limits(90)) == ["ana"]


def test_a_full_queue_makes_room_for_a_key_with_fewer_calls(still):
    limiter, _ = still(requests_per_minute=1, max_waiting=10, max_concurrency=99)
    many = [limiter.acquire(LONG, ANA) for _ in range(11)]
    with pytest.raises(QueueFull, match="10 calls wait"):
        limiter.acquire(LONG, ANA)
    one = limiter.acquire(LONG, BIA)
    assert isinstance(many[-1].admitted.exception(0), QueueFull)
    assert not any(waiter.admitted.done() for waiter in (*many[1:-1], one))


def test_a_heavier_key_may_queue_more(still):
    limiter, _ = still(requests_per_minute=1, max_waiting=10, max_concurrency=99)
    heavy = Caller("heavy", weight=9)
    waiting = [limiter.acquire(LONG, caller) for caller in (ANA, *[ANA] * 2, *[heavy] * 8)]
    with pytest.raises(QueueFull):
        limiter.acquire(LONG, ANA)
    limiter.acquire(LONG, heavy)
    assert [waiter.caller.name for waiter in waiting[1:] if waiter.admitted.done()] == ["ana"]


def test_a_day_has_a_limit_of_its_own(still):
    limiter, clock = still(requests_per_minute=90, requests_per_day=3, max_concurrency=99)
    for _ in range(3):
        limiter.acquire(LONG).admitted.result(0)
    clock.now += 3600
    late = limiter.acquire(60)
    limiter._step()
    error = late.admitted.exception(0)
    assert isinstance(error, QueueFull)
    assert "3 requests of 24 hours are used up" in error.message
    assert DAY - 3600 - 60 <= error.retry_after <= DAY - 3600 + 120
    clock.now += error.retry_after
    limiter.acquire(60).admitted.result(0)


def test_usage_names_each_key():
    clock = Clock()
    window = LocalRequestWindow(clock)
    sent(window, {ANA: 3, BIA: 1}, Limits(90))
    clock.now += 20
    sent(window, {BIA: 1}, Limits(90))
    window.report({ANA: Queue(7, admissible=False)})
    usage = window.usage()
    assert (usage.used, usage.used_today) == (5, 5)
    assert usage.by_caller == {ANA: 3, BIA: 2}
    assert usage.waiting == {ANA: 7}
    clock.now += 41
    usage = window.usage()
    assert (usage.used, usage.used_today) == (1, 5)
    assert usage.by_caller == {BIA: 1}


@pytest.fixture
def windows(redis_server):
    made: list[RedisRequestWindow] = []

    def make(window: int = 61) -> RedisRequestWindow:
        made.append(RedisRequestWindow(RedisSettings(url=redis_server.url), "r/c", time.monotonic, window))
        return made[-1]

    yield make
    for window in made:
        window._client.redis.close()


def test_keys_of_two_processes_take_turns(windows):
    one, other = windows(), windows()
    order = []
    for _ in range(40):
        for window, caller in ((one, ANA), (other, BIA)):
            if window.acquire({caller: Queue(9)}, Limits(90)).caller:
                order.append(caller.name)
    assert len(order) >= 40
    assert all(first != second for first, second in itertools.pairwise(order[1:]))


def test_a_process_without_calls_blocks_nobody(windows):
    one, other = windows(), windows()
    other.acquire({BIA: Queue(9)}, Limits(90))
    other.report({})
    assert [one.acquire({ANA: Queue()}, Limits(90)).caller for _ in range(5)] == [ANA] * 5


def test_a_process_that_died_blocks_others_for_its_lease_only(windows, monkeypatch):
    monkeypatch.setattr("custom_handler.stackspot.state.redis_window.LEASE", 0.05)
    one, dead = windows(), windows()
    dead.report({BIA: Queue(9)})
    one.acquire({ANA: Queue()}, Limits(90))
    while one.acquire({ANA: Queue()}, Limits(90)).caller is None:
        time.sleep(0.01)
    assert one.usage().waiting == {ANA: 1}


def test_the_same_key_in_two_processes_is_one_key(windows):
    one, other = windows(), windows()
    order = []
    for _ in range(40):
        for window in (one, one, other):
            queues = {ANA: Queue(), BIA: Queue()} if window is one else {ANA: Queue()}
            if got := window.acquire(queues, Limits(1000)).caller:
                order.append(got.name)
    counts = Counter(order)
    assert abs(counts["ana"] - counts["bia"]) <= 2


def test_no_name_of_a_key_is_special(windows):
    window, odd = windows(), Caller(":now")
    names = [window.acquire({odd: Queue(9), ANA: Queue(9)}, Limits(90)).caller for _ in range(6)]
    assert names in ([odd, ANA] * 3, [ANA, odd] * 3)


def test_a_forked_process_has_a_queue_of_its_own(windows):
    window = windows()
    window.report({ANA: Queue(2)})
    window.reset_after_fork()
    window.report({BIA: Queue(3)})
    assert window.usage().waiting == {ANA: 2, BIA: 3}


def test_limits_hold_in_redis_too(windows):
    window, half = windows(), Caller("ana", share=0.5)
    limits = Limits(10, 8)
    callers = [window.acquire({half: Queue(9)}, limits).caller for _ in range(6)]
    assert callers == [half] * 5 + [None]
    assert 55 < window.acquire({half: Queue(9)}, limits).delay <= 61
    assert [window.acquire({BIA: Queue(9)}, limits).caller for _ in range(3)] == [BIA] * 3
    last = windows().acquire({BIA: Queue(9)}, limits)
    assert last.daily
    assert DAY - 60 <= last.delay <= DAY + 120
    usage = windows().usage()
    assert (usage.used, usage.used_today) == (8, 8)
    assert usage.by_caller == {half: 5, BIA: 3}
    assert usage.waiting == {BIA: 18}


PROCESS = """
import sys, time
from custom_handler.request.caller import Caller
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
limits = LimitSettings(requests_per_minute=10, max_waiting=999, max_concurrency=999)
limiter = Limiter(limits, RedisRequestWindow(RedisSettings(url=sys.argv[1]), "r/c", time.monotonic, 1))
for _ in range(500):
    waiter = limiter.acquire(60, Caller("ana"))
    waiter.admitted.add_done_callback(lambda _: print(time.time(), flush=True))
sys.stdin.readline()
"""


def test_another_processs_call_passes_a_long_queue(redis_server, windows):
    command = [sys.executable, "-c", PROCESS, redis_server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as many:
        times = [float(many.stdout.readline()) for _ in range(12)]
        window, queues = windows(window=1), {BIA: Queue()}
        window.report(queues)
        queued = time.time()
        while window.acquire(queues, Limits(10)).caller is None:
            time.sleep(0.002)
        passed = time.time()
        while times[-1] < passed:
            times.append(float(many.stdout.readline()))
        many.kill()
    assert sum(queued < moment < passed for moment in times) <= 2


def test_a_retry_of_a_key_at_its_share_delays_no_other_key(still):
    limiter, _ = still(requests_per_minute=90, max_concurrency=9)
    small = Caller("small", share=0.01)
    retried = limiter.acquire(LONG, small)
    limiter.reacquire(retried, LONG)
    other = limiter.acquire(LONG, BIA)
    limiter._step()
    assert other.admitted.done()
    assert not retried.admitted.done()


def test_a_key_at_its_share_has_no_other_key_rejected(still):
    limiter, _ = still(requests_per_minute=90, max_concurrency=1)
    small = Caller("small", share=0.01)
    retried = limiter.acquire(LONG, small)
    limiter.reacquire(retried, LONG)
    other = limiter.acquire(30, BIA)
    limiter._step()
    assert not other.admitted.done()
    limiter.release(retried)
    limiter._step()
    assert other.admitted.result(0) is None


def rejection(waiter: Waiter) -> QueueFull:
    error = waiter.admitted.exception(0)
    assert isinstance(error, QueueFull)
    return error


def test_a_call_beyond_the_share_of_its_key_is_rejected_at_once_where_it_cannot_be_sent_in_time(still):
    limiter, clock = still(requests_per_minute=90, max_concurrency=900)
    small = Caller("small", share=0.01)
    assert limiter.acquire(30, small).admitted.done()
    clock.now += 20
    early, late = limiter.acquire(30, small), limiter.acquire(600, small)
    limiter._step()
    error = rejection(early)
    assert error.retry_after == pytest.approx(41)
    assert (
        str(error) == "The API key has used its share of the StackSpot account's requests a minute: try again in 41 s."
    )
    assert not late.admitted.done()
    clock.now += 41
    limiter._step()
    assert late.admitted.result(0) is None


def test_a_call_behind_more_of_its_key_than_its_share_can_send_is_rejected_at_once(still):
    limiter, _ = still(requests_per_minute=90, max_concurrency=900)
    half = Caller("half", share=0.034)  # three requests
    calls = [limiter.acquire(62, half) for _ in range(8)]
    other = limiter.acquire(62, BIA)
    for _ in range(2):
        limiter._step()
    assert other.admitted.done()
    assert [call.admitted.done() for call in calls] == [True] * 3 + [False] * 3 + [True] * 2
    assert rejection(calls[6]).retry_after == rejection(calls[7]).retry_after == pytest.approx(122)


def test_a_share_that_a_429_has_lowered_rejects_no_call_that_can_be_sent_in_time(still):
    limiter, clock = still(requests_per_minute=90, max_concurrency=900)
    half = Caller("half", share=0.5)
    for _ in range(45):
        assert limiter.acquire(LONG, half).admitted.done()
    limiter.throttle(1)  # lowers the share to 22 requests
    clock.now += 2
    waiting = limiter.acquire(62, half)
    limiter._step()
    assert not waiting.admitted.done()
    clock.now += 59
    limiter._step()
    assert waiting.admitted.result(0) is None


class Leaves(LocalRequestWindow):
    """A shared window during whose decisions a call leaves."""

    is_local = False
    leave: Any = None

    def acquire(self, queues: Any, limits: Limits) -> Any:
        decision = super().acquire(queues, limits)
        if self.leave is not None:
            self.leave()
        return decision


def test_no_key_takes_the_request_that_was_counted_for_another():
    clock, window = Clock(), Leaves(Clock())
    limiter = Limiter(LimitSettings(requests_per_minute=90), window, clock=clock)
    limiter._wake_thread = lambda: None  # type: ignore[method-assign]
    first, second = limiter.acquire(LONG, ANA), limiter.acquire(LONG, BIA)
    window.leave = lambda: limiter.release(first)
    limiter._step()
    window.leave = None
    assert (window.usage().by_caller, window.usage().used_today) == ({}, 0)
    limiter._step()
    assert second.admitted.result(0) is None
    assert window.usage().by_caller == {BIA: 1}


def test_a_request_that_was_taken_back_uses_no_share():
    clock, window, small = Clock(), Leaves(Clock()), Caller("small", share=0.01)
    limiter = Limiter(LimitSettings(requests_per_minute=90), window, clock=clock)
    limiter._wake_thread = lambda: None  # type: ignore[method-assign]
    first = limiter.acquire(30, small)
    window.leave = lambda: limiter.release(first)
    limiter._step()
    window.leave = None
    second = limiter.acquire(30, small)
    limiter._step()
    assert second.admitted.result(0) is None


def test_a_request_is_taken_back_in_redis(windows):
    window = windows()
    for caller in (ANA, BIA, ANA):
        decision = window.acquire({caller: Queue()}, Limits(90, 100))
    assert decision.caller == ANA
    for _ in range(2):  # once only
        window.cancel(decision)
    usage = windows().usage()
    assert (usage.used, usage.used_today, usage.by_caller) == (2, 2, {ANA: 1, BIA: 1})
    window.cancel(window.acquire({Caller("eva"): Queue()}, Limits(90, 100)))
    assert windows().usage().by_caller == {ANA: 1, BIA: 1}
