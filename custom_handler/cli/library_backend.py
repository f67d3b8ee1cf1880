"""Use the models of config.yaml without a proxy, with LiteLLM as a library.

LiteLLM's router selects, retries and falls back as in the proxy. API keys, budgets and rate limits
exist only in the proxy.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import litellm
from litellm.proxy._types import ProxyException

from ..instrumentation import Hook, no_hook
from ..provider.handler import StackspotLLM
from ..proxy.agent_catalog import AgentCatalog
from ..proxy.agent_refresh import AgentRefresh
from ..proxy.client import CompletionStream, ProxyResponseError
from ..proxy.config import callbacks, deployments, resolved
from ..proxy.lifecycle import wait_for_callbacks
from ..proxy.model_list import ModelList
from ..proxy_plugin import Plugin

PROXY_ONLY_CALLBACKS = {"prometheus"}


class LibraryBackend:
    """The models of a configuration; configures LiteLLM for the whole process."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.models = deployments(config)
        _configure(config)
        self._list = ModelList(config["model_list"])
        self._catalog: AgentCatalog | None = self._list.agents()
        entries = [dict(entry) for entry in config["model_list"]]
        self._list.prepare(entries)
        self._router = litellm.Router(model_list=entries, **resolved(config.get("router_settings") or {}))

    @contextlib.asynccontextmanager
    async def stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncIterator[CompletionStream]:
        """Stream a completion, with the usage at the end. Raises ProxyResponseError."""
        with _litellm_errors():
            self._list.require_enabled(body.get("model"))
            await self._list_agents()
            self._list.require_listed(body, self._router)
            stream = await self._router.acompletion(
                **body, stream=True, stream_options={"include_usage": True}, metadata={"headers": dict(headers)}
            )
        yield CompletionStream(_chunks(stream), {})

    async def _list_agents(self) -> None:
        """Add the agents of wildcards to the router, once."""
        catalog, self._catalog = self._catalog, None
        if catalog is not None and catalog.lists:
            [provider] = self._stackspot()
            await AgentRefresh(catalog, provider.list_agents, lambda: self._router, 0, no_hook).refresh()

    def _stackspot(self) -> list[StackspotLLM]:
        handlers = (entry["custom_handler"] for entry in litellm.custom_provider_map)
        return [handler for handler in handlers if isinstance(handler, StackspotLLM)]

    def measure(self, hook: Hook) -> None:
        """Let a hook receive the measurements of the StackSpot models."""
        for provider in self._stackspot():
            provider.hooks.add(hook)

    async def aclose(self) -> None:
        """Wait for the callbacks of the calls, and close the connections."""
        await wait_for_callbacks()
        for callback in filter(lambda one: isinstance(one, Plugin), litellm.callbacks):
            await callback.aclose()
        await litellm.close_litellm_async_clients()


async def _chunks(stream: Any) -> AsyncIterator[dict[str, Any]]:
    with _litellm_errors():
        async for chunk in stream:
            yield chunk.model_dump(exclude_none=True)


@contextlib.contextmanager
def _litellm_errors() -> Any:
    """Convert errors of LiteLLM to ProxyResponseError, with the status that the proxy returns."""
    try:
        yield
    except ProxyException as error:
        raise ProxyResponseError(int(error.code), error.to_dict(), {}) from None
    except Exception as error:
        if (status := getattr(error, "status_code", None)) is None:
            raise
        # LiteLLM appends its attempts and tracebacks in further lines.
        message = str(getattr(error, "message", error)).partition("\n")[0]
        raise ProxyResponseError(int(status), {"message": message, "type": type(error).__name__}, {}) from None


def _configure(config: Mapping[str, Any]) -> None:
    """Apply `litellm_settings` to LiteLLM, as the proxy does."""
    settings = resolved(config.get("litellm_settings") or {})
    for name, value in settings.items():
        if isinstance(value, bool | int | float | str) and hasattr(litellm, name):
            setattr(litellm, name, value)
    litellm.custom_provider_map = [
        {"provider": entry["provider"], "custom_handler": _load(entry["custom_handler"])}
        for entry in settings.get("custom_provider_map") or ()
    ]
    litellm.utils.custom_llm_setup()
    litellm.callbacks = [_load(name) for name in callbacks(config) if name not in PROXY_ONLY_CALLBACKS]


def _load(name: str) -> Any:
    """Import an object by its dotted name; return a name without a dot, which LiteLLM resolves."""
    module, dot, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute) if dot else name
