"""The queue before the agent, with a window of one process: how many at once, how many a minute, and who waits."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from custom_handler import StackspotLLM
from custom_handler.errors import QueueFull
from custom_handler.instrumentation import QueueChanged, Queued
from custom_handler.settings import LimitSettings, Settings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.window import LocalRequestWindow
from custom_handler.stackspot.waiter import Waiter
from tests.support.clock import Clock
from tests.support.waiting import eventually_async

LONG = 20.0


class Line:
    """A limiter, and what it told."""

    def __init__(self, clock: Any = time.monotonic, window: float = 61, **limits: Any) -> None:
        self.told: list[Any] = []
        self.limiter = Limiter(LimitSettings(**limits), LocalRequestWindow(clock, window), self.told.append, clock)

    def acquire(self, timeout: float = LONG) -> Waiter:
        return self.limiter.acquire(timeout)

    @property
    def waiting(self) -> int:
        return next(told.waiting for told in reversed(self.told) if isinstance(told, QueueChanged))

    @property
    def running(self) -> int:
        return next(told.running for told in reversed(self.told) if isinstance(told, QueueChanged))

    def at_once(self) -> int:
        """Count how many calls are admitted now."""
        for admitted in range(1000):
            try:
                waiter = self.acquire(0)
                waiter.admitted.result(10)
            except QueueFull:
                return admitted
            self.limiter.release(waiter)
        return 1000


def admitted(waiter: Waiter) -> bool:
    return waiter.admitted.done() and waiter.admitted.exception() is None


def test_max_concurrency_calls_run_and_others_wait_in_order():
    line = Line(max_concurrency=2)
    first, second, third, fourth = (line.acquire() for _ in range(4))
    assert [admitted(waiter) for waiter in (first, second, third, fourth)] == [True, True, False, False]
    assert (line.waiting, line.running) == (2, 2)
    line.limiter.release(second)
    third.admitted.result(10)
    assert not admitted(fourth)
    line.limiter.release(third)
    line.limiter.release(third)
    fourth.admitted.result(10)
    assert (line.waiting, line.running) == (0, 2)


def test_no_window_ever_holds_more_requests_than_the_budget():
    line = Line(window=0.3, requests_per_minute=5, max_concurrency=50)
    with ThreadPoolExecutor(17) as pool:

        def call(_: int) -> float:
            line.acquire().admitted.result(LONG)
            return time.monotonic()

        times = sorted(pool.map(call, range(17)))
    assert times[-1] - times[0] >= 3 * 0.3 - 0.05
    assert all(later - earlier >= 0.25 for earlier, later in zip(times, times[5:], strict=False))


def test_without_a_budget_only_concurrency_is_limited():
    line = Line(requests_per_minute=0, max_concurrency=300)
    assert [admitted(line.acquire()) for _ in range(300)] == [True] * 300


def test_a_full_queue_rejects_a_call_with_retry_after():
    line = Line(max_concurrency=1, max_waiting=2)
    for _ in range(3):
        line.acquire()
    with pytest.raises(QueueFull) as raised:
        line.acquire()
    assert (raised.value.status_code, type(raised.value)) == (429, QueueFull)
    assert 1 <= raised.value.retry_after <= 60
    assert line.told[-1] == Queued(0.0, admitted=False)


def test_a_call_is_rejected_after_its_timeout():
    line = Line(max_concurrency=1)
    line.acquire()
    started = time.monotonic()
    error = line.acquire(0.1).admitted.exception(10)
    assert isinstance(error, QueueFull)
    assert time.monotonic() - started > 0.05
    assert line.waiting == 0


@pytest.mark.parametrize("reason", ["pause", "budget"])
def test_a_call_that_cannot_be_admitted_in_time_is_rejected_at_once(reason):
    line = Line(requests_per_minute=1, max_concurrency=9)
    if reason == "pause":
        line.limiter.throttle(40)
    else:
        line.acquire()
    error = line.acquire(30).admitted.exception(20)  # before the 30 s are over
    assert isinstance(error, QueueFull)
    assert 30 < error.retry_after <= 61


def test_release_frees_a_slot_of_waiting_and_running_calls():
    line = Line(max_concurrency=1)
    running, leaving, next_one = line.acquire(), line.acquire(), line.acquire()
    line.limiter.release(leaving)
    assert line.waiting == 1
    line.limiter.release(running)
    next_one.admitted.result(10)
    assert (line.waiting, line.running) == (0, 1)


def test_reacquire_keeps_the_slot_and_goes_first():
    line = Line(window=0.2, requests_per_minute=1, max_concurrency=2)
    again, other = line.acquire(), line.acquire()
    line.limiter.reacquire(again, LONG)
    again.admitted.result(10)
    assert not admitted(other)
    assert (line.waiting, line.running) == (1, 1)
    other.admitted.result(10)


def test_a_429_pauses_new_calls_for_retry_after():
    clock = Clock(1000.0)
    line = Line(clock)
    line.limiter.throttle(7)
    clock.now += 6.9
    assert line.at_once() == 0
    clock.now += 0.2
    assert line.at_once() > 0


def test_each_429_without_retry_after_pauses_longer():
    clock, pauses = Clock(1000.0), []
    line = Line(clock)
    for _ in range(5):
        line.limiter.throttle(None)
        line.limiter.throttle(None)  # one that was under way already
        pauses += [line.limiter._window.get_mark("pause")[1]]
        clock.now += pauses[-1] + 1
    assert pauses == [10, 20, 40, 60, 60]
    clock.now += 120
    line.limiter.throttle(None)
    assert line.limiter._window.get_mark("pause")[1] == 10


def test_several_429s_halve_the_budget_once_and_it_recovers():
    clock = Clock(1000.0)
    line = Line(clock, requests_per_minute=90, max_concurrency=99)
    assert line.at_once() == 90
    line.limiter.throttle(10)
    clock.now += 11
    line.limiter.throttle(10)
    clock.now += 61 - 11
    told = [line.at_once()]
    for _ in range(3):
        clock.now += 61
        told += [line.at_once()]
    assert told == [46, 47, 48, 49]
    clock.now += 3600
    assert line.at_once() == 90
    line.limiter.throttle(10)
    clock.now += 61
    assert line.at_once() == 46


def test_a_small_budget_never_becomes_none():
    clock = Clock(1000.0)
    line = Line(clock, requests_per_minute=1)
    line.limiter.throttle(None)
    clock.now += 61
    assert line.at_once() == 1


class Slots:
    """Counts the calls that hold a slot now, and the most at the same time."""

    def __init__(self) -> None:
        self.held = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.held += 1
            self.most = max(self.most, self.held)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.held -= 1


def hold_a_slot(line: Line, slots: Slots) -> None:
    waiter = line.acquire()
    waiter.admitted.result(LONG)
    with slots:
        time.sleep(0.01)
    line.limiter.release(waiter)


async def hold_a_slot_in_a_task(line: Line, slots: Slots) -> None:
    waiter = line.acquire()
    await asyncio.wrap_future(waiter.admitted)
    with slots:
        await asyncio.sleep(0.01)
    line.limiter.release(waiter)


async def hold_slots_in_tasks(line: Line, slots: Slots, tasks: int) -> None:
    await asyncio.gather(*(hold_a_slot_in_a_task(line, slots) for _ in range(tasks)))


def test_tasks_of_several_loops_and_threads_share_one_queue():
    line, slots = Line(requests_per_minute=0, max_concurrency=3), Slots()
    with ThreadPoolExecutor(12) as pool:
        threads = [pool.submit(hold_a_slot, line, slots) for _ in range(10)]
        loops = [pool.submit(asyncio.run, hold_slots_in_tasks(line, slots, 10)) for _ in range(2)]
        for work in threads + loops:
            work.result(LONG)
    assert (slots.most, line.waiting, line.running) == (3, 0, 0)
    queued = [told for told in line.told if isinstance(told, Queued)]
    assert (len(queued), {told.admitted for told in queued}) == (30, {True})


def test_the_queues_thread_ends_when_no_call_waits(monkeypatch, eventually):
    monkeypatch.setattr("custom_handler.stackspot.limiter.IDLE_SECONDS", 0.01)
    line = Line(max_concurrency=1)
    first, second = line.acquire(), line.acquire()
    assert line.limiter._thread is not None
    line.limiter.release(first)
    second.admitted.result(10)
    assert eventually(lambda: line.limiter._thread is None)
    third = line.acquire()
    line.limiter.release(second)
    third.admitted.result(10)


@pytest.fixture
def narrow(settings: Settings) -> tuple[StackspotLLM, list[Any]]:
    """A provider with one place, and what it told."""
    provider, told = StackspotLLM(settings.changed(limits={"max_concurrency": 1})), []
    provider.hooks.add(told.append)
    return provider, told


def queue_of(told: list[Any]) -> tuple[int, int]:
    now = [measure for measure in told if isinstance(measure, QueueChanged)][-1:]
    return (now[0].waiting, now[0].running) if now else (0, 0)


async def ask(provider: StackspotLLM, messages: Any, streamed: bool) -> None:
    if not streamed:
        await provider.acompletion("stackspot-chat", messages)
        return
    async for _ in provider.astreaming("stackspot-chat", messages):
        pass


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_disconnected_client_frees_its_slot(narrow, simulator, hello, streamed):
    provider, told = narrow
    simulator.script({"text": "um dois", "fault": "stall"})
    stalled = asyncio.create_task(ask(provider, hello, streamed))
    await eventually_async(lambda: (queue_of(told), simulator.state()["chat_requests"]) == ((0, 1), 1))
    waiting = asyncio.create_task(ask(provider, hello, streamed))
    await eventually_async(lambda: queue_of(told) == (1, 1))
    await cancel(waiting)
    assert (queue_of(told), simulator.state()["chat_requests"]) == ((0, 1), 1)
    await cancel(stalled)
    assert queue_of(told) == (0, 0)
    await ask(provider, hello, streamed)


def test_a_closed_iterator_frees_its_slot(narrow, simulator, hello):
    provider, told = narrow
    simulator.script({"text": "um dois", "fault": "stall"})
    stream = provider.streaming("stackspot-chat", hello)
    next(stream)
    assert queue_of(told) == (0, 1)
    stream.close()
    assert queue_of(told) == (0, 0)


def test_a_health_probe_needs_no_slot_and_no_request(settings, simulator):
    provider, told = StackspotLLM(settings.changed(limits={"requests_per_minute": 1})), []
    provider.hooks.add(lambda measure: told.append(type(measure).__name__))
    for _ in range(3):
        provider.authenticate()
        provider.completion(
            "stackspot-chat", [], litellm_params={"metadata": {"user_api_key": "litellm-internal-health-check"}}
        )
    assert told == ["TokenCall"]


def test_calls_wait_until_the_window_allows_another(settings, simulator, hello):
    provider = StackspotLLM(settings.changed(limits={"requests_per_minute": 2, "queue_timeout": 20}))
    provider.accounts["default"].client._limiter._window = LocalRequestWindow(time.monotonic, 0.4)
    started = time.monotonic()
    for _ in range(5):
        assert provider.completion("stackspot-chat", hello).choices[0].finish_reason == "stop"
    assert time.monotonic() - started > 0.75


def test_a_window_lock_held_at_a_fork_is_replaced_in_the_child():
    line = Line()
    line.limiter._window._lock.acquire()  # type: ignore[attr-defined]
    line.limiter.reset_after_fork()
    assert not line.limiter._window._lock.locked()  # type: ignore[attr-defined]
    line.limiter.acquire(1).admitted.result(1)
