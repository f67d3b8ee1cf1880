"""Prepare the calls of StackSpot agents on the event loop.

LiteLLM 1.108.7 prepares each call, of every provider, on a thread (`acompletion` runs `completion`
there). For an agent that maps parameters and makes a coroutine: one or two milliseconds, fifteen
for the largest call that is prepared here. The thread costs more than that, because it and the
event loop wait for each other.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import litellm
from litellm import main

from ..provider import PROVIDER

MAX_PARTS = 1000
"""The most messages and parts of them, and the most tools, of a call that is prepared here."""

# With these parameters of a call, and settings of LiteLLM, `completion` may wait, takes long, or
# calls another model.
_PARAMETERS = (
    *("mock_response", "mock_tool_calls", "mock_timeout", "prompt_id", "vector_store_ids", "additional_drop_params"),
    *("cache_control_injection_points", "fallbacks", "model_list", "deployment_id", "azure"),
)
_SETTINGS = ("secret_manager_client", "proxy_auth", "model_fallbacks", "model_alias_map")


class LoopExecutor(ThreadPoolExecutor):
    """Run functions on threads, but prepare an agent's call at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of `function()`, already completed if that prepares an agent's call."""
        if args or kwargs or not _prepares_agent_call(function):
            return super().submit(function, *args, **kwargs)
        future: Future[Any] = Future()
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001  the future raises it
            future.set_exception(error)
        return future


def prepare_on_the_loop() -> None:
    """Make LoopExecutor the default executor of the running loop."""
    asyncio.get_running_loop().set_default_executor(LoopExecutor(thread_name_prefix="default"))


def _prepares_agent_call(function: object) -> bool:
    """Return whether a function is what `acompletion` submits for an agent, and takes little time.

    That is `Context.run` of `completion`.
    """
    if not isinstance(function, functools.partial) or function.keywords or len(function.args) != 1:
        return False
    call = function.args[0]
    if (
        not isinstance(getattr(function.func, "__self__", None), contextvars.Context)
        or not isinstance(call, functools.partial)
        or call.func is not main.completion
        or call.args
    ):
        return False
    given = call.keywords
    return (
        given.get("acompletion") is True
        and str(given.get("model")).startswith(f"{PROVIDER}/")
        and given.get("custom_llm_provider") in (None, PROVIDER)
        and not any(given.get(name) for name in _PARAMETERS)
        and not any(getattr(litellm, name, None) for name in _SETTINGS)
        and len(_listed(given.get("tools"))) <= MAX_PARTS
        and _has_few_parts(_listed(given.get("messages")))
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _has_few_parts(messages: list[Any]) -> bool:
    """Return whether there are few messages and parts, and no files, whose ids LiteLLM decodes."""
    if (count := len(messages)) > MAX_PARTS:
        return False
    for message in messages:
        parts = _listed(message.get("content")) if isinstance(message, dict) else []
        count += len(parts)
        if count > MAX_PARTS or any(isinstance(part, dict) and part.get("type") == "file" for part in parts):
            return False
    return True
