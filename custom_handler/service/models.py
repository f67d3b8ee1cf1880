"""`GET /v1/models/{model}` for names with a slash, such as `chat/llama-small`, which LiteLLM's own route does not match."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from .access import Caller


def routes(proxy: Any) -> APIRouter:
    """Return the routes; LiteLLM's own ones, which were added before, go first."""
    router = APIRouter(tags=["model management"])

    @router.get("/v1/models/{model:path}", include_in_schema=False)
    @router.get("/models/{model:path}", include_in_schema=False)
    async def retrieve(model: str, caller: Caller) -> Any:
        return await proxy.model_info(model_id=model, user_api_key_dict=caller, team_id=None, healthy_only=False)

    return router
