"""Asks the models of config.yaml without a proxy, as a program does that uses LiteLLM as a library.

LiteLLM's router chooses, retries and falls back as in the proxy; keys, budgets and limits of clients are the proxy's alone.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import litellm

from ..proxy.client import CompletionStream, ProxyResponseError
from ..proxy.config import callbacks, deployments, resolved
from ..proxy.lifecycle import wait_for_callbacks
from ..proxy.model_list import ModelDisabled, ModelList
from ..proxy_plugin import Plugin

IN_A_PROXY_ONLY = {"prometheus"}


class LibraryBackend:
    """The models of a configuration; it becomes that of LiteLLM in this process."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.models = deployments(config)
        _configure(config)
        self._list = ModelList(config["model_list"])
        entries = [dict(entry) for entry in config["model_list"]]
        self._list.prepare(entries)
        self._router = litellm.Router(model_list=entries, **resolved(config.get("router_settings") or {}))

    @contextlib.asynccontextmanager
    async def stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncIterator[CompletionStream]:
        """Ask for an answer as it comes, its usage in the end; `headers` name the call. Raises Refused."""
        try:
            with _translated():
                self._list.require_enabled(body.get("model"))
                stream = await self._router.acompletion(
                    **body, stream=True, stream_options={"include_usage": True}, metadata={"headers": dict(headers)}
                )
            yield CompletionStream(_chunks(stream), {})
        finally:
            await wait_for_callbacks()
            for callback in filter(lambda one: isinstance(one, Plugin), litellm.callbacks):
                await callback.aclose()
            await litellm.close_litellm_async_clients()


async def _chunks(stream: Any) -> AsyncIterator[dict[str, Any]]:
    with _translated():
        async for chunk in stream:
            yield chunk.model_dump(exclude_none=True)


@contextlib.contextmanager
def _translated() -> Any:
    """Raise Refused for an error of LiteLLM's, as a proxy would answer it."""
    try:
        yield
    except ModelDisabled as error:
        raise ProxyResponseError(503, error.to_dict(), {}) from None
    except Exception as error:
        if (status := getattr(error, "status_code", None)) is None:
            raise
        message = str(getattr(error, "message", error)).partition("\n")[0]  # LiteLLM adds what it tried, and tracebacks
        raise ProxyResponseError(int(status), {"message": message, "type": type(error).__name__}, {}) from None


def _configure(config: Mapping[str, Any]) -> None:
    """Do to LiteLLM what the proxy does with `litellm_settings`."""
    told = resolved(config.get("litellm_settings") or {})
    for name, value in told.items():
        if isinstance(value, bool | int | float | str) and hasattr(litellm, name):
            setattr(litellm, name, value)
    litellm.custom_provider_map = [
        {"provider": entry["provider"], "custom_handler": _loaded(entry["custom_handler"])}
        for entry in told.get("custom_provider_map") or ()
    ]
    litellm.utils.custom_llm_setup()
    litellm.callbacks = [_loaded(name) for name in callbacks(config) if name not in IN_A_PROXY_ONLY]


def _loaded(name: str) -> Any:
    """Load an object by its dotted name; a name without a dot is one of LiteLLM's own."""
    module, dot, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute) if dot else name
