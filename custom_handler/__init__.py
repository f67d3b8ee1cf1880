"""StackSpot AI agents as a model of LiteLLM: what config.yaml names lives here.

`stackspot_llm` and `plugin` are built when first asked for, so that importing the package reads no settings and loads no proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .handler import StackspotLLM
    from .service.plugin import Plugin

    stackspot_llm: StackspotLLM
    plugin: Plugin

__all__ = ["StackspotLLM", "plugin", "stackspot_llm"]


def _build(name: str) -> Any:
    from .handler import StackspotLLM  # noqa: PLC0415  litellm takes seconds to import

    if name == "StackspotLLM":
        return StackspotLLM
    if name == "stackspot_llm":
        return StackspotLLM()
    from .service.plugin import Plugin  # noqa: PLC0415

    provider = __getattr__("stackspot_llm")
    return Plugin(provider.settings, provider)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in globals():
        globals()[name] = _build(name)
    return globals()[name]
