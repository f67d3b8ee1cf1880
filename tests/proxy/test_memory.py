"""Memory is given back after large answers: when, and what that costs."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from types import ModuleType

import pytest

from custom_handler.proxy import memory
from custom_handler.proxy.memory import (
    CHECKS_BETWEEN,
    GROWTH,
    INTERVAL,
    LARGE,
    LONGEST_WAIT,
    NEW_MODULES,
    OLD,
    SHARE,
    URGENT,
    MemoryRelease,
    leave_oldest_generation,
    resident_bytes,
    trim_heap,
)

START = 100_000_000


class Process:
    """A process whose size the test sets; `trim` frees what is above `used`."""

    def __init__(self) -> None:
        self.size = self.used = START
        self.trims = 0
        self.seconds = 0.0  # that each release takes
        self.time = 0.0

    def resident(self) -> int:
        return self.size

    def trim(self) -> None:
        self.trims += 1
        self.size = self.used
        self.time += self.seconds

    def clock(self) -> float:
        return self.time


class Cycle:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


def check(release: MemoryRelease, times: int = CHECKS_BETWEEN) -> None:
    """Check so often that a process that has grown is trimmed."""
    for _ in range(times):
        release.check()


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def release(process: Process) -> MemoryRelease:
    gc.collect()
    return MemoryRelease(process.resident, process.trim, process.clock)


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_process_that_has_grown_is_trimmed_once(process, release):
    process.size = START + GROWTH + 1
    check(release)
    check(release)
    assert (process.size, process.trims) == (START, 1)


def test_it_is_trimmed_only_now_and_then(process, release):
    check(release)
    for number in range(1, 4):
        for _ in range(CHECKS_BETWEEN):
            process.size = START + GROWTH + 1
            release.check()
        assert process.trims == number


def test_little_growth_costs_nothing(process, release):
    process.size = START + GROWTH
    check(release)
    assert process.trims == 0


def test_memory_that_is_in_use_is_not_trimmed_again_and_again(process, release):
    process.size = process.used = START + 2 * GROWTH
    for _ in range(3):
        check(release)
    assert process.trims == 1


def test_objects_that_refer_to_each_other_are_freed(process, release):
    cycle = weakref.ref(Cycle())
    process.size = START + GROWTH + 1
    check(release)
    assert cycle() is None


def test_releases_take_a_small_share_of_the_time(process, release):
    """With many open streams each takes long, and each stream makes the process grow."""
    process.seconds = 1.0
    for _ in range(1_000):
        process.size = process.used = process.size + GROWTH // 32
        release.check()
    assert 0 < process.time <= 1.1 * SHARE * 1_000 * INTERVAL


def test_a_release_is_not_put_off_for_ever(process, release):
    """The garbage of a busy proxy makes each release longer, and so it must not make the wait longer."""
    process.seconds = 1_000.0
    process.size = process.used = process.size + GROWTH + 1
    check(release)
    assert process.trims == 1
    process.size += GROWTH + 1
    check(release, LONGEST_WAIT - 1)
    assert process.trims == 1
    release.check()
    assert process.trims == 2


def test_a_process_that_has_grown_much_does_not_wait(process, release):
    process.seconds = 1_000.0
    process.size = process.used = process.size + GROWTH + 1
    check(release)
    process.size += max(URGENT, process.size // 2) + 1
    check(release)
    assert process.trims == 2


def test_a_short_release_delays_the_next_one_no_longer(process, release):
    process.seconds = 1.0
    process.size = process.used = START + 2 * GROWTH
    check(release)
    process.seconds = 0.001
    while process.trims < 2:
        process.size = process.used + 2 * GROWTH
        release.check()
    process.size = process.used + 2 * GROWTH
    check(release)
    assert process.trims == 3


def test_garbage_is_collected_though_the_process_does_not_grow(process, release):
    object_in_use = Cycle()
    cycle = weakref.ref(object_in_use)
    gc.collect()  # which moves it to the oldest generation
    del object_in_use
    for collections in (OLD - 1, 1):
        check(release)
        assert cycle() is not None
        for _ in range(collections):
            gc.collect(1)
    release.check()
    assert cycle() is None


@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize("chosen", [True, False])
def test_python_collects_the_oldest_generation_only_where_the_operator_says_so(monkeypatch, chosen):
    """Walking through the objects of all open streams made a token of 1,000 streams dearer than one of 64."""
    monkeypatch.delenv("PYTHON_GC_THRESHOLD", raising=False)
    if chosen:
        monkeypatch.setenv("PYTHON_GC_THRESHOLD", "700,10,10")
    gc.set_threshold(700, 10, 10)
    generations: list[int] = []
    listener = lambda phase, info: generations.append(info["generation"])  # noqa: E731
    leave_oldest_generation()
    gc.collect()
    gc.callbacks.append(listener)
    try:
        objects = [[] for _ in range(3_000_000)]
    finally:
        gc.callbacks.remove(listener)
    assert objects
    assert (1 in generations, 2 in generations) == (True, chosen)


def test_modules_that_requests_import_are_exempted_from_collection(process, release, monkeypatch):
    frozen: list[int] = []
    cycle = Cycle()
    garbage = weakref.ref(cycle)

    def freeze() -> None:
        assert garbage() is None  # it would never be freed
        frozen.append(process.trims)

    monkeypatch.setattr(gc, "freeze", freeze)
    for number in range(NEW_MODULES):
        check(release)
        assert frozen == []
        monkeypatch.setitem(sys.modules, f"a_module_of_this_test_{number}", ModuleType("a_module"))
    process.size = START + LARGE  # requests with large answers are open
    release.check()
    assert (process.trims, frozen) == (1, [])
    del cycle
    release.check()
    assert frozen == [1]


@pytest.mark.usefixtures("thresholds")
async def test_it_is_checked_again_and_again(process, monkeypatch):
    trimmed: asyncio.Queue[int] = asyncio.Queue()
    monkeypatch.setattr(memory, "INTERVAL", 0.0001)
    trim = lambda: (process.trim(), trimmed.put_nowait(process.size))[0]  # noqa: E731
    release = MemoryRelease(process.resident, trim, process.clock)
    release.start()
    for _ in range(2):
        process.size = START + GROWTH + 1
        assert await asyncio.wait_for(trimmed.get(), 60) == START


async def test_nothing_is_checked_where_the_size_is_unknown(monkeypatch):
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda *_: pytest.fail("it is checked"))
    MemoryRelease(lambda: 0).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_size_of_this_process_is_known():
    trim_heap()  # else the block may take free memory that is still resident
    before = resident_bytes()
    block = bytearray(50_000_000)
    assert resident_bytes() - before > 40_000_000
    del block


def test_a_system_without_proc_has_no_size(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATM", tmp_path / "statm")
    assert resident_bytes() == 0


def test_a_c_library_without_trim_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    trim_heap()


def test_the_heap_of_this_process_can_be_trimmed():
    trim_heap()
