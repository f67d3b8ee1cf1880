"""Prepare the calls of StackSpot agents on the event loop.

LiteLLM 1.108.7 prepares each call, of every provider, on a thread (`acompletion` runs `completion`
there). For an agent that maps parameters and makes a coroutine: one millisecond for a message, 14
for 10,000, however long they are. The thread costs more than that, because it and the event loop
wait for each other.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import litellm
from litellm import main

from ..provider import PROVIDER

MANY = 1000
"""Messages, and tools, of a call that is prepared on a thread all the same."""

# With these, `completion` may wait, or calls another model.
_PARAMETERS = (
    *("mock_response", "mock_tool_calls", "mock_timeout", "prompt_id", "vector_store_ids"),
    *("cache_control_injection_points", "fallbacks", "model_list", "deployment_id", "azure"),
)
_SETTINGS = ("secret_manager_client", "proxy_auth", "model_fallbacks", "model_alias_map")


class LoopExecutor(ThreadPoolExecutor):
    """Run functions on threads, but prepare an agent's call at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a call of `function`, which has ended if it prepares an agent's."""
        if args or kwargs or not _prepares_a_call(function):
            return super().submit(function, *args, **kwargs)
        future: Future[Any] = Future()
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001  the future raises it
            future.set_exception(error)
        return future


def prepare_on_the_loop() -> None:
    """Let the running loop prepare the calls of agents itself."""
    asyncio.get_running_loop().set_default_executor(LoopExecutor(thread_name_prefix="default"))


def _prepares_a_call(function: object) -> bool:
    """Return whether a function is what `acompletion` submits: `Context.run` of `completion`."""
    if not isinstance(function, functools.partial) or len(function.args) != 1:
        return False
    call = function.args[0]
    if not isinstance(call, functools.partial) or call.func is not main.completion or call.args:
        return False
    given = call.keywords
    return (
        str(given.get("model")).startswith(f"{PROVIDER}/")
        and given.get("custom_llm_provider") in {None, PROVIDER}
        and len(given.get("messages") or ()) <= MANY
        and len(given.get("tools") or ()) <= MANY
        and not any(given.get(name) for name in _PARAMETERS)
        and not any(getattr(litellm, name, None) for name in _SETTINGS)
    )
