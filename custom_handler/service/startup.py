"""Does something when the proxy has started.

Its lifespan has begun when a plugin is loaded, with database and keys still to come; the last thing that it always does before
it serves is `initialize_shared_aiohttp_session`, by that name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def at_startup(proxy: Any, do: Callable[[], None]) -> None:
    """Call `do` on the event loop when the proxy (its module) has started."""
    theirs = proxy.initialize_shared_aiohttp_session

    async def ours() -> Any:
        session = await theirs()
        do()
        return session

    proxy.initialize_shared_aiohttp_session = ours
