"""The threads of the job store's calls."""

from __future__ import annotations

import asyncio
import threading

import pytest

from custom_handler.errors import JobStoreUnavailable
from custom_handler.jobs.store_executor import StoreExecutor

LONG = 60.0


@pytest.fixture
def store():
    """A store whose calls wait until it is opened."""
    store = threading.Event()
    yield store
    store.set()


@pytest.fixture
def executor():
    """Make executors, and close them."""
    made = []

    def make(**options):
        made.append(StoreExecutor(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_a_call_returns_its_result_or_its_error(executor):
    one = executor()
    assert await one.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await one.run(lambda: 1 / 0)


async def test_a_slow_call_fails_within_its_timeout(executor, store):
    with pytest.raises(JobStoreUnavailable, match=r"no answer within 0.01 s.*try again in 5 s") as raised:
        await executor(timeout=0.01).run(store.wait)
    assert (raised.value.status_code, raised.value.retry_after) == (503, 5.0)


async def test_a_call_beyond_the_limit_fails_at_once(executor, store):
    one = executor(threads=2, pending=3, timeout=LONG)
    waiting = [asyncio.create_task(one.run(store.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(JobStoreUnavailable, match="too many requests"):
        await one.run(store.wait)
    store.set()
    assert await asyncio.gather(*waiting) == [True] * 5
    assert await one.run(lambda: "room again") == "room again"


async def test_a_call_that_times_out_holds_its_place_until_it_ends(executor, store):
    one = executor(threads=1, pending=0, timeout=0.01)
    with pytest.raises(JobStoreUnavailable, match="no answer"):
        await one.run(store.wait)
    with pytest.raises(JobStoreUnavailable, match="too many"):
        await one.run(store.wait)
    store.set()
    while True:
        try:
            assert await one.run(lambda: 1) == 1
        except JobStoreUnavailable:  # noqa: PERF203  it waits for the thread
            await asyncio.sleep(0.001)
        else:
            return


@pytest.mark.parametrize("ends", ["timeout", "cancelled"])
async def test_what_a_lost_call_did_is_undone(executor, store, ends):
    undone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    begun = threading.Event()
    one = executor(timeout=0.5 if ends == "timeout" else LONG)

    def work() -> int:
        begun.set()
        store.wait()
        return 7

    undo = lambda result: loop.call_soon_threadsafe(undone.set_result, result)  # noqa: E731
    call = asyncio.create_task(one.run(work, undo))
    await asyncio.to_thread(begun.wait)
    if ends == "cancelled":
        call.cancel()
    with pytest.raises((JobStoreUnavailable, asyncio.CancelledError)):
        await call
    store.set()
    assert await undone == 7


async def test_a_call_that_has_not_begun_at_its_timeout_never_runs(executor, store):
    one, ran = executor(threads=1, pending=1, timeout=0.01), threading.Event()
    for call in (store.wait, ran.set):
        with pytest.raises(JobStoreUnavailable, match="no answer"):
            await one.run(call)
    store.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one, "_timeout", LONG)
        assert await one.run(lambda: 1) == 1
    assert not ran.is_set()


async def test_a_blocked_store_leaves_the_pool_of_the_loop_free(executor, store):
    one = executor(threads=4, pending=60, timeout=LONG)
    waiting = [asyncio.create_task(one.run(store.wait)) for _ in range(64)]
    assert await asyncio.to_thread(lambda: 3) == 3
    store.set()
    await asyncio.gather(*waiting)
