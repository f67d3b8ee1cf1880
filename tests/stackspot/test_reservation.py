"""What a request would wait for at an account, and the calls that have not joined its queue yet."""

from __future__ import annotations

import asyncio

from custom_handler.request.caller import ANYONE, Caller
from custom_handler.request.context import RequestContext
from custom_handler.settings import LimitSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.reservation import end_reservation, ending_reservation, reserve
from custom_handler.stackspot.state.ledger import Wait
from custom_handler.stackspot.state.window import LocalRequestWindow
from tests.support.clock import Clock


def limiter_of(clock: Clock, **limits: int) -> Limiter:
    return Limiter(LimitSettings(**limits), LocalRequestWindow(clock), clock=clock)


def test_reserved_calls_count_as_requests_and_as_slots():
    limiter = limiter_of(Clock(), requests_per_minute=3, max_concurrency=2)
    expected = []
    with RequestContext({}).served():
        for _ in range(4):
            expected.append(limiter.expected_wait(ANYONE))
            reserve(limiter.reservations)
    assert expected == [Wait.NOTHING, Wait.NOTHING, Wait.SLOT, Wait.LIMIT]


def test_calls_that_wait_count_as_requests():
    clock = Clock()
    limiter = limiter_of(clock, requests_per_minute=2, max_concurrency=1)
    running, waiting = limiter.acquire(10), limiter.acquire(10)
    assert limiter.expected_wait(ANYONE) is Wait.LIMIT
    limiter.release(waiting)
    assert limiter.expected_wait(ANYONE) is Wait.SLOT
    limiter.release(running)
    assert limiter.expected_wait(ANYONE) is Wait.NOTHING


def test_a_minute_without_requests_leaves_all_of_the_limit():
    clock = Clock()
    limiter = limiter_of(clock, requests_per_minute=2)
    for _ in range(2):
        limiter.release(limiter.acquire(10))
    assert limiter.expected_wait(ANYONE) is Wait.LIMIT
    clock.now += 61
    with RequestContext({}).served():
        reserve(limiter.reservations)
        assert limiter.expected_wait(ANYONE) is Wait.NOTHING
    allowance = limiter.allowance(ANYONE)
    assert allowance is not None
    assert (allowance.remaining, allowance.reset) == (2, 0)


def test_a_day_that_is_used_up_is_not_forgotten_with_the_minute():
    clock = Clock()
    limiter = limiter_of(clock, requests_per_minute=2, requests_per_day=2)
    for _ in range(2):
        limiter.release(limiter.acquire(10))
    clock.now += 61
    assert limiter.expected_wait(ANYONE) is Wait.LIMIT


def test_a_pause_is_a_limit_without_any_other():
    clock = Clock()
    limiter = limiter_of(clock, requests_per_minute=0)
    limiter.throttle(5)
    assert limiter.expected_wait(ANYONE) is Wait.LIMIT
    clock.now += 6
    assert limiter.expected_wait(ANYONE) is Wait.NOTHING


def test_a_key_at_its_share_waits_for_the_limit():
    limiter = limiter_of(Clock(), requests_per_minute=4)
    half = Caller("half", share=0.5)
    for _ in range(2):
        limiter.release(limiter.acquire(10, half))
    assert (limiter.expected_wait(half), limiter.expected_wait(ANYONE)) == (Wait.LIMIT, Wait.NOTHING)


def test_a_reservation_ends_with_its_call_or_its_request():
    limiter = limiter_of(Clock())
    with RequestContext({}).served() as request:
        reserve(limiter.reservations)
        with ending_reservation():
            assert len(limiter.reservations) == 1
        assert (limiter.reservations, request.unfinished) == (set(), set())
        reserve(limiter.reservations)  # of a call that never begins
    request.abandon_unfinished()
    assert limiter.reservations == set()


async def test_a_task_ends_the_reservation_that_it_was_started_with():
    limiter = limiter_of(Clock())

    async def queue() -> None:
        end_reservation()

    with RequestContext({}).served() as request:
        reserve(limiter.reservations)
        await asyncio.create_task(queue())
        assert (limiter.reservations, request.unfinished) == (set(), set())
        end_reservation()  # the call's own end changes nothing
    assert limiter.reservations == set()


def test_outside_of_a_request_nothing_is_reserved():
    limiter = limiter_of(Clock())
    reserve(limiter.reservations)
    assert limiter.reservations == set()
