"""`GET /playground`: a page that asks the proxy's models with the key of its tab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from ..provider import PROVIDER
from ..proxy.auth import Caller
from ..settings import AccountSettings
from .page_routes import add_page
from .responses import api_router

ASSETS = Path(__file__).with_name("assets") / "playground"
"""The page, its scripts and its style."""

# Of LiteLLM's `mode`, which is not set for a model that it does not know.
_CHAT_MODES = frozenset({None, "", "chat", "completion", "responses"})


def routes(proxy: Any, account: AccountSettings) -> APIRouter:
    """Return the routes of the page; `proxy` is the running proxy's module."""
    router: APIRouter = api_router(tags=["chat service"])
    add_page(router, "/playground", (ASSETS / "playground.html").read_text(encoding="utf-8"), ASSETS)

    @router.get("/playground/models")
    async def models(caller: Caller) -> dict[str, Any]:
        """Return the models that answer chats, of those that the key may call."""
        listed = await proxy.model_list(user_api_key_dict=caller)
        described = (_model(proxy, entry, account.is_simulated) for entry in listed["data"])
        return {"data": [model for model in described if model is not None]}

    return router


def _model(proxy: Any, entry: Mapping[str, Any], is_simulated: bool) -> dict[str, Any] | None:
    """Return what the page needs to know of a model, None for one that answers no chats.

    `images` and `files`: whether it reads them; `simulated`: whether a simulator answers.
    """
    name = str(entry["id"])
    group = proxy.llm_router.get_model_group_info(name) if proxy.llm_router is not None else None
    if "*" in name or (getattr(group, "mode", None) or entry.get("mode")) not in _CHAT_MODES:
        return None
    is_agent = PROVIDER in (getattr(group, "providers", None) or ())
    images = bool(getattr(group, "supports_vision", False))
    return {"id": name, "images": images, "files": images and is_agent, "simulated": is_simulated and is_agent}
