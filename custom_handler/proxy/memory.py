"""Give memory back to the system after large requests and answers.

Two things keep it in a process that serves requests: LiteLLM's logging objects refer to each other,
so that a few of them hold megabytes of text until Python collects the oldest generation, and glibc
keeps freed memory below blocks that are in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

INTERVAL = 1.0
CHECKS_BETWEEN = 10  # a release pauses the proxy for some 50 ms
GROWTH = 32 * 1024 * 1024
LARGE = 3 * GROWTH  # more than the modules alone take
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


class MemoryRelease:
    """Collect garbage and trim the heap whenever the process has grown by GROWTH bytes.

    Modules that requests import are exempted from garbage collection, as those of the startup are:
    with them a collection pauses the proxy for a third of a second, without them for milliseconds.
    That waits while the process is large, because it exempts the objects of open requests, too.
    """

    def __init__(self, resident: Callable[[], int] = resident_bytes, trim: Callable[[], None] = trim_heap) -> None:
        self._resident = resident
        self._trim = trim
        self._modules = len(sys.modules)
        self._least = resident()  # bytes after the last release
        self._checks = 0  # since the last release

    def start(self) -> None:
        """Check every INTERVAL seconds on the running loop, until that is closed."""
        if self._least:
            asyncio.get_running_loop().call_later(INTERVAL, self._repeat)

    def _repeat(self) -> None:
        self.check()
        self.start()

    def check(self) -> None:
        """Release memory if the process has grown."""
        self._checks += 1
        growth = self._resident() - self._least
        if growth < LARGE and len(sys.modules) - self._modules >= NEW_MODULES:
            self._modules = len(sys.modules)
            gc.freeze()
        elif growth > GROWTH and self._checks >= CHECKS_BETWEEN:
            self._checks = 0
            gc.collect()
            self._trim()
            self._least = self._resident()
