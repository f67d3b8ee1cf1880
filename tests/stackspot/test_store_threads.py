"""The conversation store's threads: whatever blocks there delays nothing else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from custom_handler.stackspot.state import store_threads
from custom_handler.stackspot.state.store_threads import MAX_CALLS, THREADS, StoreThreads


@pytest.fixture
def frozen():
    """A call that does not return before the test ends."""
    ended = threading.Event()
    yield lambda *_: ended.wait() and None
    ended.set()


async def test_a_call_returns_its_result():
    assert await StoreThreads().run(lambda key: f"found {key}", "a") == "found a"


async def test_an_error_of_a_call_is_raised():
    with pytest.raises(ZeroDivisionError):
        await StoreThreads().run(lambda: 1 // 0)


async def test_a_call_that_does_not_return_has_no_result(frozen, monkeypatch):
    monkeypatch.setattr(store_threads, "TIMEOUT", 0.01)
    assert await StoreThreads().run(frozen, "a") is None


async def test_a_frozen_store_blocks_no_thread_of_the_loop(frozen):
    threads = StoreThreads()
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        waiting = [asyncio.ensure_future(threads.run(frozen, "a")) for _ in range(2 * MAX_CALLS)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: "served") == "served"
        assert sum(task.done() for task in waiting) >= MAX_CALLS  # beyond the limit nothing waits
        assert await asyncio.gather(*waiting) == [None] * (2 * MAX_CALLS)


async def test_a_late_call_that_has_not_begun_is_not_made(frozen, monkeypatch):
    monkeypatch.setattr(store_threads, "TIMEOUT", 0.01)
    threads, made = StoreThreads(), []
    await asyncio.gather(*(threads.run(frozen, "a") for _ in range(THREADS)), threads.run(made.append, "b"))
    assert made == []


async def test_calls_that_ended_leave_room_for_others():
    threads = StoreThreads()
    for number in range(3 * MAX_CALLS):
        assert await threads.run(lambda text: text, str(number)) == str(number)
