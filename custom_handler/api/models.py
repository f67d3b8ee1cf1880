"""`GET /v1/models/{model}` for names that LiteLLM's own route does not find.

These are names with a slash, such as `chat/llama-small`, and hidden aliases of `model_group_alias`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from litellm.router_utils.common_utils import resolve_model_group_alias

from ..proxy.auth import Caller


def routes(proxy: Any) -> APIRouter:
    """Return the routes, which must precede LiteLLM's own."""
    router = APIRouter(tags=["model management"])

    @router.get("/v1/models/{model:path}", include_in_schema=False)
    @router.get("/models/{model:path}", include_in_schema=False)
    async def retrieve(
        model: str, caller: Caller, team_id: str | None = None, healthy_only: bool | None = False
    ) -> Any:
        target = resolve_model_group_alias(getattr(proxy.llm_router, "model_group_alias", None), model)
        info = await proxy.model_info(
            model_id=target or model, user_api_key_dict=caller, team_id=team_id, healthy_only=healthy_only
        )
        return {**info, "id": model} if target else info

    return router
