"""No API key can hold all slots of a process, however long its calls take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.request.caller import ANYONE, MASTER, Caller
from custom_handler.settings import LimitSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.slot_shares import REMEMBERED_SECONDS, SlotShares
from custom_handler.stackspot.state.window import LocalRequestWindow
from tests.support.clock import Clock

ANA, BIA = Caller("ana"), Caller("bia")


def taken(shares: SlotShares, caller: Caller) -> int:
    """Take as many slots as the caller may have; return how many it holds more."""
    count = 0
    while shares.may_take(caller):
        shares.take(caller)
        count += 1
    return count


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (2, 1), (4, 3), (8, 7), (16, 14), (100, 88)])
def test_slots_are_kept_for_keys_that_have_not_called(slots, most):
    shares = SlotShares(slots, Clock())
    assert taken(shares, ANA) == most
    assert taken(shares, BIA) == min(slots - most, slots // 2 or 1)


@pytest.mark.parametrize("alone", [ANYONE, MASTER])
def test_who_is_alone_uses_all_slots_until_another_key_calls(alone):
    clock = Clock()
    shares = SlotShares(16, clock)
    assert taken(shares, alone) == 16
    shares.note(ANA)
    shares.release(alone)
    assert not shares.may_take(alone)
    assert shares.may_take(ANA)
    clock.now += REMEMBERED_SECONDS
    assert shares.may_take(alone)


@pytest.mark.parametrize(("share", "most"), [(0.5, 8), (0.25, 4), (0.01, 1)])
def test_a_key_holds_at_most_its_share(share, most):
    assert taken(SlotShares(16, Clock()), Caller("ana", share=share)) == most


def test_the_kept_slots_are_divided_by_weight():
    shares = SlotShares(16, Clock())
    heavy = Caller("bia", weight=3)
    for caller in (ANA, heavy):
        shares.note(caller)
    assert taken(shares, ANA) == 14
    assert taken(shares, heavy) == 2
    for _ in range(14):
        shares.release(ANA)
    assert taken(shares, heavy) == 12  # then it holds 14
    assert taken(shares, ANA) == 2


@given(st.integers(1, 40), st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=300))
def test_no_slot_is_lost_and_a_key_without_one_is_never_kept_out_by_a_single_key(slots, steps):
    shares, held = SlotShares(slots, Clock()), dict.fromkeys("abcd", 0)
    for name, takes in steps:
        caller = Caller(name)
        shares.note(caller)
        if takes and shares.may_take(caller):
            shares.take(caller)
            held[name] += 1
        elif not takes and held[name]:
            shares.release(caller)
            held[name] -= 1
        assert shares.held == sum(held.values()) <= slots
        if slots > 1 and sum(count > 0 for count in held.values()) == 1:
            assert shares.may_take(Caller("new"))


def test_another_keys_call_passes_calls_that_hold_their_slots():
    limits = LimitSettings(max_concurrency=8, requests_per_minute=0, max_waiting=100)
    clock = Clock()
    limiter = Limiter(limits, LocalRequestWindow(clock), clock=clock)
    held = [limiter.acquire(1000, ANA) for _ in range(40)]
    assert sum(waiter.admitted.done() for waiter in held) == 7
    other = limiter.acquire(1000, BIA)
    other.admitted.result(timeout=10)
    limiter.release(other)
    for waiter in held:
        limiter.release(waiter)
