"""Does something when the proxy has started.

Its lifespan has begun when a plugin is loaded, with database and keys still to come; the last thing that it always does before
it serves is `initialize_shared_aiohttp_session`, by that name.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper


def at_startup(proxy: Any, do: Callable[[], None]) -> None:
    """Call `do` on the event loop when the proxy (its module) has started."""
    theirs = proxy.initialize_shared_aiohttp_session

    async def ours() -> Any:
        session = await theirs()
        do()
        return session

    proxy.initialize_shared_aiohttp_session = ours


def spare_the_collector() -> None:
    """Take what the start has made out of the garbage collector's sight, for good.

    It is some 700,000 objects, and to look through them takes a third of a second, in which the proxy serves nobody.
    """
    gc.collect()
    gc.freeze()


def take_finalizers() -> None:
    """Take from LiteLLM's streams, whoever their provider is, the finalizer that sets context variables.

    The garbage collector may call it while another context variable is being set, and then the interpreter crashes, with all that
    the proxy serves (CPython issue 148891). What is lost are LiteLLM's ids in its own log lines behind a stream that was dropped.
    """
    if "__del__" in vars(CustomStreamWrapper):
        del CustomStreamWrapper.__del__
