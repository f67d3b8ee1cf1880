"""What a caller may still send, as each decision tells it, in one process and in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from custom_handler.errors import QueueFull
from custom_handler.request.caller import Allowance, Caller
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.slot import Slot
from custom_handler.stackspot.state.ledger import Limits
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
from custom_handler.stackspot.state.window import Decision, LocalRequestWindow, Queue, RequestWindow
from tests.support.clock import Clock

ANA, HALF, BIA = Caller("ana"), Caller("half", share=0.5), Caller("bia: «b»", weight=7, share=0.25)


@pytest.fixture
def still(monkeypatch):
    """A queue whose thread the test steps itself."""
    monkeypatch.setattr(Limiter, "_wake_thread", lambda _: None)


@pytest.fixture(params=["local", "redis"])
def make_window(request: pytest.FixtureRequest) -> Iterator[Callable[[], RequestWindow]]:
    """Windows of one account: the same one, or one for each process."""
    if request.param == "local":
        window = LocalRequestWindow(time.monotonic)
        yield lambda: window
        return
    url = request.getfixturevalue("redis_server").url
    made: list[Any] = []

    def make() -> RequestWindow:
        made.append(RedisRequestWindow(RedisSettings(url=url), "r/c", time.monotonic))
        return made[-1]

    yield make
    for redis_window in made:
        redis_window._client.redis.close()


def left(decision: Decision, caller: Caller, limits: Limits) -> tuple[int, int]:
    """Return limit and remaining requests; the next one must come within the window."""
    assert decision.ledger is not None
    allowance = decision.ledger.allowance(caller, limits)
    assert allowance is not None
    assert 55 < allowance.reset <= 61
    return allowance.limit, allowance.remaining


def test_each_decision_says_what_is_left(make_window):
    window, limits = make_window(), Limits(4)
    for remaining in (3, 2, 1, 0):
        assert left(window.acquire({ANA: Queue()}, limits), ANA, limits) == (4, remaining)
    refused = window.acquire({ANA: Queue()}, limits)
    assert refused.caller is None
    assert left(refused, ANA, limits) == (4, 0)
    other = make_window().acquire({BIA: Queue()}, limits)
    assert left(other, BIA, limits) == (1, 0)


def test_a_key_with_a_share_sees_its_own_allowance(make_window):
    window, limits = make_window(), Limits(10)
    for remaining in (4, 3):
        assert left(window.acquire({HALF: Queue()}, limits), HALF, limits) == (5, remaining)
    assert left(window.acquire({ANA: Queue()}, limits), ANA, limits) == (10, 7)
    both = {ANA: Queue(9), HALF: Queue(9)}
    decisions = [window.acquire(both, limits) for _ in range(5)]
    assert left(decisions[-1], ANA, limits) == (10, 2)
    # What the account has left is less than what the share has.
    window.acquire({ANA: Queue()}, limits)
    assert left(window.acquire({ANA: Queue(), HALF: Queue(1, admissible=False)}, limits), HALF, limits) == (5, 0)


def test_a_key_at_its_share_has_nothing_left_while_the_account_has(make_window):
    window, limits = make_window(), Limits(10)
    for _ in range(5):
        window.acquire({HALF: Queue()}, limits)
    refused = window.acquire({HALF: Queue()}, limits)
    assert refused.caller is None
    assert not refused.for_all
    assert left(refused, HALF, limits) == (5, 0)
    assert left(refused, ANA, limits) == (10, 5)


def test_the_day_counts_where_it_leaves_less(make_window):
    window, limits = make_window(), Limits(10, 3)
    first = window.acquire({ANA: Queue()}, limits)
    allowance = first.ledger.allowance(ANA, limits)
    assert (allowance.limit, allowance.remaining) == (10, 2)
    assert 86000 < allowance.reset <= 86460
    daily = Limits(0, 3)
    allowance = window.acquire({ANA: Queue()}, daily).ledger.allowance(ANA, daily)
    assert (allowance.limit, allowance.remaining) == (3, 1)


def test_without_limits_there_is_no_allowance(make_window):
    decision = make_window().acquire({HALF: Queue()}, Limits())
    assert decision.caller == HALF
    assert decision.ledger.allowance(HALF, Limits()) is None


def test_usage_knows_the_weight_and_the_share_of_each_key(make_window):
    window = make_window()
    for caller in (ANA, BIA, BIA):
        window.acquire({caller: Queue()}, Limits(90))
    window.report({HALF: Queue(3, admissible=False)})
    usage = make_window().usage()
    assert (usage.used, usage.used_today) == (3, 3)
    assert usage.by_caller == {ANA: 1, BIA: 2}
    assert usage.waiting == {HALF: 3}


def test_a_lower_limit_waits_for_as_many_requests_as_are_too_many():
    clock = Clock()
    window = LocalRequestWindow(clock)
    for _ in range(4):
        window.acquire({HALF: Queue()}, Limits(90))
        clock.now += 10
    lower = Limits(4)
    decision = window.acquire({HALF: Queue()}, lower)
    assert decision.ledger.allowance(HALF, lower) == Allowance(2, 0, 41.0)
    assert decision.ledger.allowance(ANA, lower) == Allowance(4, 0, 21.0)
    assert decision.ledger.allowance(ANA, lower, elapsed=30) == Allowance(4, 0, 0.0)


def limiter_at(clock: Clock, **limits: Any) -> Limiter:
    return Limiter(LimitSettings(**limits), LocalRequestWindow(clock), clock=clock)


def test_a_call_keeps_the_allowance_of_its_own_request(still):
    clock = Clock()
    limiter = limiter_at(clock, requests_per_minute=3)
    slots = [Slot(limiter) for _ in range(3)]
    for slot in slots:
        slot.request(60, ANA).result(0)
    assert [slot.allowance for slot in slots] == [Allowance(3, left, 61) for left in (2, 1, 0)]


def test_a_rejected_call_has_an_allowance_too(still):
    clock = Clock()
    limiter = limiter_at(clock, requests_per_minute=1, max_waiting=0)
    limiter.acquire(60, ANA)
    clock.now += 11
    slot = Slot(limiter)
    with pytest.raises(QueueFull):
        slot.request(60, ANA)
    assert slot.allowance == Allowance(1, 0, 50)


def test_after_a_429_nothing_is_left_until_the_pause_ends(still):
    clock = Clock()
    limiter = limiter_at(clock, requests_per_minute=90)
    slot = Slot(limiter)
    slot.request(60, ANA).result(0)
    slot.throttle(7)
    assert slot.allowance == Allowance(90, 0, 7)
    waiting = Slot(limiter)
    waiting.request(60, ANA)
    clock.now += 5
    limiter._step()
    assert waiting.allowance == Allowance(90, 0, 2)
    assert limiter.quota().pause == 2
    clock.now += 2
    limiter._step()
    assert waiting.allowance == Allowance(45, 43, 54)
    assert limiter.quota().limits == Limits(45)


def test_calls_that_were_admitted_at_once_do_not_wait(still):
    clock = Clock()
    limiter = limiter_at(clock, max_concurrency=1)
    limiter.acquire(60, ANA)
    assert limiter.quota().usage.waiting == {}
    limiter.acquire(60, HALF)
    limiter._step()
    assert limiter.quota().usage.waiting == {HALF: 1}


def test_calls_that_wait_for_the_end_of_a_pause_are_reported(make_window, still):
    limiter, other = (Limiter(LimitSettings(), make_window()) for _ in range(2))
    limiter.throttle(50)
    limiter._step()
    limiter.acquire(100, ANA)
    limiter._step()
    assert other.quota().usage.waiting == {ANA: 1}
    assert 0 < other.quota().pause <= 50
