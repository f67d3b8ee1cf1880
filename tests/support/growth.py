"""How the cost of some work grows: compared within one process, so that the machine's speed does not matter."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 15  # more only where it fails: a busy machine doubles single figures
MOST = 3.2  # twice the work takes twice the CPU if it is linear, and four times if it is quadratic
_SMALLEST = 0.005


def is_linear(work: Callable[[int], object], size: int) -> bool:
    """Tell whether `work(size)` costs no more than linear growth allows beyond `work(size // 2)`, in the best of some tries."""
    half = whole = float("inf")
    for _ in range(TRIES):
        half, whole = min(half, _cpu(work, size // 2)), min(whole, _cpu(work, size))
        if whole / max(half, _SMALLEST) < MOST:
            return True
    return False


def _cpu(work: Callable[[int], object], size: int) -> float:
    gc.disable()  # it would walk the objects of all tests before, now and then
    try:
        began = time.process_time()
        work(size)
        return time.process_time() - began
    finally:
        gc.enable()
