"""Give memory back to the system after large requests and answers.

Two things keep it in a process that serves requests: LiteLLM's logging objects refer to each other,
so that a few of them hold megabytes of text until Python collects the oldest generation, and glibc
keeps freed memory below blocks that are in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

INTERVAL = 1.0
CHECKS_BETWEEN = 10
LONGEST_WAIT = 60  # checks
SHARE = 0.02  # of the time that releases take: one takes 50 ms, or 600 with 1,000 open streams
OLD = 50  # collections of the younger generations, after which the oldest may hold much garbage
GROWTH = 32 * 1024 * 1024
LARGE = 3 * GROWTH  # more than the modules alone take
URGENT = 4 * GROWTH  # for which a release may take more than its share
NEW_MODULES = 20

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Return the size of the process in memory, in bytes; 0 where the system is not Linux."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def trim_heap() -> None:
    """Return free memory to the system; only glibc can do that."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(ctypes.c_size_t(0))


def leave_oldest_generation() -> None:
    """Let Python collect only the younger generations, unless PYTHON_GC_THRESHOLD says when.

    It would collect the oldest one whenever that has grown by a quarter. Each time it walks all
    objects of open streams, and finds no garbage among them.
    """
    if "PYTHON_GC_THRESHOLD" not in os.environ:  # LiteLLM has applied it
        gc.set_threshold(*gc.get_threshold()[:2], 1_000_000_000)


class MemoryRelease:
    """Collect garbage and trim the heap whenever the process has grown by GROWTH bytes.

    Python leaves the oldest generation to it, so it collects that as well after OLD younger
    collections. What that costs grows with the objects of open streams, so the time between two
    grows, too, up to LONGEST_WAIT: the cost of a token does not depend on the number of streams. A
    process that has grown by URGENT bytes, or by half, does not wait so long.

    Modules that requests import are exempted from garbage collection, as those of the startup are:
    with them a collection pauses the proxy for a third of a second, without them for milliseconds.
    That waits while the process is large, because it exempts the objects of open requests, too.
    """

    def __init__(
        self,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], None] = trim_heap,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._resident = resident
        self._trim = trim
        self._clock = clock
        self._modules = len(sys.modules)
        self._least = resident()  # bytes after the last release
        self._checks = 0  # since the last release
        self._wait = CHECKS_BETWEEN

    def start(self) -> None:
        """Check every INTERVAL seconds on the running loop, until that is closed."""
        if self._least:
            leave_oldest_generation()
            self._call_later()

    def _call_later(self) -> None:
        asyncio.get_running_loop().call_later(INTERVAL, self._repeat)

    def _repeat(self) -> None:
        self._call_later()
        self.check()

    def check(self) -> None:
        """Release memory if the process has grown, or if there may be much garbage."""
        self._checks += 1
        growth = self._resident() - self._least
        if growth < LARGE and len(sys.modules) - self._modules >= NEW_MODULES:
            self._modules = len(sys.modules)
            gc.collect()  # or the garbage would be exempted, too
            gc.freeze()
        elif self._is_due(growth):
            self._checks = 0
            began = self._clock()
            gc.collect()
            self._trim()
            wait = math.ceil((self._clock() - began) / (SHARE * INTERVAL))
            self._wait = min(max(CHECKS_BETWEEN, wait), LONGEST_WAIT)
            self._least = self._resident()

    def _is_due(self, growth: int) -> bool:
        wait = CHECKS_BETWEEN if growth > max(URGENT, self._least // 2) else self._wait
        return self._checks >= wait and (growth > GROWTH or gc.get_count()[2] >= OLD)
