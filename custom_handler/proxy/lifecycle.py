"""Call functions while the proxy starts and shuts down, by replacing functions of its module.

The proxy loads a plugin after its ASGI lifespan has started, and SIGTERM ends it without `atexit`.
The last function that it calls is `proxy_shutdown_event`, which it looks up by name.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

CALLBACK_TIMEOUT = 5.0
"""Seconds that LiteLLM's callbacks may take after the last call."""


def at_shutdown(proxy: Any, do: Callable[[], Awaitable[None]]) -> None:
    """Await `do` when the proxy (its module) shuts down, before its own cleanup."""
    original = proxy.proxy_shutdown_event

    async def shutdown(*args: Any, **kwargs: Any) -> None:
        try:
            await do()
        finally:
            await original(*args, **kwargs)

    proxy.proxy_shutdown_event = shutdown


async def wait_for_callbacks() -> None:
    """Wait until LiteLLM's callbacks have run for all ended calls, in its tasks and its worker."""
    tasks = {task for task in asyncio.all_tasks() if _runs_callbacks(task)}
    if tasks:
        await asyncio.wait(tasks, timeout=CALLBACK_TIMEOUT)
    await GLOBAL_LOGGING_WORKER.flush()


def _runs_callbacks(task: asyncio.Task[Any]) -> bool:
    return str(getattr(task.get_coro(), "__qualname__", "")).startswith("Logging.")


def before_master_key(proxy: Any, do: Callable[[dict[str, Any]], None]) -> None:
    """Call `do` with the changeable `general_settings`, before LiteLLM reads the master key."""
    _call_first(proxy, "register_plugins_from_config", do)


def before_router(proxy: Any, do: Callable[[list[dict[str, Any]]], None]) -> None:
    """Call `do` with the proxy's `model_list`, which it may change, before the router is built."""
    _call_first(proxy, "validate_auto_router_capability_limits", do)


def at_startup(proxy: Any, do: Callable[[], object]) -> None:
    """Call `do` on the event loop when the proxy (its module) has started, and await it."""
    original = proxy.initialize_shared_aiohttp_session

    async def initialize() -> Any:
        session = await original()
        if inspect.isawaitable(result := do()):
            await result
        return session

    proxy.initialize_shared_aiohttp_session = initialize


def _call_first(proxy: Any, name: str, do: Callable[[Any], None]) -> None:
    """Replace the proxy's function `name` by one that first calls `do` with its first argument."""
    original = getattr(proxy, name)

    def replacement(first: Any, *args: Any, **kwargs: Any) -> Any:
        do(first)
        return original(first, *args, **kwargs)

    setattr(proxy, name, replacement)
