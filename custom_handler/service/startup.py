"""Calls functions of this package while a proxy starts.

LiteLLM imports the package in the middle of its own start, while it reads `litellm_settings`. It has no hooks for what comes
after, so a function of its module that is called at the right moment is wrapped, by name:

    register_plugins_from_config(general_settings)          just before it takes the master key from general_settings
    validate_auto_router_capability_limits(model_list, …)   just before it builds the router
    initialize_shared_aiohttp_session()                     last, before it serves
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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
