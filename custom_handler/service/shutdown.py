"""Does something when the proxy shuts down.

SIGTERM ends it without `atexit`, and its lifespan has begun when a plugin is loaded; what it does last is
`proxy_shutdown_event`, by that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

TELLING = 5.0


def at_shutdown(proxy: Any, do: Callable[[], Awaitable[None]]) -> None:
    """Await `do` when the proxy (its module) shuts down, before its own clean-up."""
    theirs = proxy.proxy_shutdown_event

    async def ours(*args: Any, **kwargs: Any) -> None:
        try:
            await do()
        finally:
            await theirs(*args, **kwargs)

    proxy.proxy_shutdown_event = ours


async def callbacks_told() -> None:
    """Wait until LiteLLM has told its callbacks of the calls that ended: by tasks that nobody holds, and by its worker."""
    tasks = {task for task in asyncio.all_tasks() if _tells(task)}
    if tasks:
        await asyncio.wait(tasks, timeout=TELLING)
    await GLOBAL_LOGGING_WORKER.flush()


def _tells(task: asyncio.Task[Any]) -> bool:
    return str(getattr(task.get_coro(), "__qualname__", "")).startswith("Logging.")
