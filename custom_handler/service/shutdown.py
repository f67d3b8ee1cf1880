"""Does something when the proxy shuts down.

SIGTERM ends it without `atexit`, and its lifespan has begun when a plugin is loaded; what it does last is
`proxy_shutdown_event`, by that name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


def at_shutdown(proxy: Any, do: Callable[[], Awaitable[None]]) -> None:
    """Await `do` when the proxy (its module) shuts down, before its own clean-up."""
    theirs = proxy.proxy_shutdown_event

    async def ours(*args: Any, **kwargs: Any) -> None:
        try:
            await do()
        finally:
            await theirs(*args, **kwargs)

    proxy.proxy_shutdown_event = ours
