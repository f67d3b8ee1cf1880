"""Wait for what another thread or process brings about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 120, pause: float = 0.02) -> Any:
    """Return the first true value of the condition; fail after so many seconds without one."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(pause)
    return value


async def eventually_async(condition: Callable[[], Any], seconds: float = 120, pause: float = 0.02) -> Any:
    """Do as `eventually`, and leave the event loop to others in between."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(pause)
    return value
