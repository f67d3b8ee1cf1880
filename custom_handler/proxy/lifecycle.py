"""Does something when the proxy shuts down.

SIGTERM ends it without `atexit`, and its lifespan has begun when a plugin is loaded; what it does last is
`proxy_shutdown_event`, by that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

CALLBACK_TIMEOUT = 5.0


def at_shutdown(proxy: Any, do: Callable[[], Awaitable[None]]) -> None:
    """Await `do` when the proxy (its module) shuts down, before its own clean-up."""
    theirs = proxy.proxy_shutdown_event

    async def ours(*args: Any, **kwargs: Any) -> None:
        try:
            await do()
        finally:
            await theirs(*args, **kwargs)

    proxy.proxy_shutdown_event = ours


async def wait_for_callbacks() -> None:
    """Wait until LiteLLM has told its callbacks of the calls that ended: by tasks that nobody holds, and by its worker."""
    tasks = {task for task in asyncio.all_tasks() if _tells(task)}
    if tasks:
        await asyncio.wait(tasks, timeout=CALLBACK_TIMEOUT)
    await GLOBAL_LOGGING_WORKER.flush()


def _tells(task: asyncio.Task[Any]) -> bool:
    return str(getattr(task.get_coro(), "__qualname__", "")).startswith("Logging.")


def before_master_key(proxy: Any, do: Callable[[dict[str, Any]], None]) -> None:
    """Call `do` with the proxy's `general_settings`, which it may change, before LiteLLM reads the master key."""
    _call_first(proxy, "register_plugins_from_config", do)


def before_router(proxy: Any, do: Callable[[list[dict[str, Any]]], None]) -> None:
    """Call `do` with the proxy's `model_list`, which it may change, before the router is built."""
    _call_first(proxy, "validate_auto_router_capability_limits", do)


def at_startup(proxy: Any, do: Callable[[], None]) -> None:
    """Call `do` on the event loop when the proxy (its module) has started."""
    theirs = proxy.initialize_shared_aiohttp_session

    async def ours() -> Any:
        session = await theirs()
        do()
        return session

    proxy.initialize_shared_aiohttp_session = ours


def _call_first(proxy: Any, name: str, do: Callable[[Any], None]) -> None:
    """Have the proxy's function `name` call `do` with its first argument before it does its own work."""
    theirs = getattr(proxy, name)

    def ours(given: Any, *args: Any, **kwargs: Any) -> Any:
        do(given)
        return theirs(given, *args, **kwargs)

    setattr(proxy, name, ours)
