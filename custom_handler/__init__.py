"""StackSpot AI agents as models of LiteLLM: the objects that config.yaml names.

`stackspot_llm`, `plugin` and `authenticate_key` are created on first access, so that importing the
package reads no settings and loads no proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .provider.handler import StackspotLLM
    from .proxy.keys_file import KeysFileAuth
    from .proxy_plugin import Plugin

    authenticate_key: KeysFileAuth
    stackspot_llm: StackspotLLM
    plugin: Plugin

__version__ = "0.2.0"  # the package, the image, the command line and the bill of materials take it

__all__ = ["StackspotLLM", "authenticate_key", "plugin", "stackspot_llm"]


def _build(name: str) -> Any:
    from .provider.handler import StackspotLLM  # noqa: PLC0415  litellm takes seconds to import

    if name == "StackspotLLM":
        return StackspotLLM
    if name == "stackspot_llm":
        return StackspotLLM()
    settings = __getattr__("stackspot_llm").settings
    if name == "authenticate_key":
        from .proxy.keys_file import KeysFileAuth  # noqa: PLC0415

        return KeysFileAuth(settings.proxy.keys_file)
    from .proxy_plugin import Plugin  # noqa: PLC0415

    return Plugin(settings, __getattr__("stackspot_llm"))


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in globals():
        globals()[name] = _build(name)
    return globals()[name]
