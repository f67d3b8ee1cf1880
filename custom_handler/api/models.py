"""Routes of models that LiteLLM lacks.

`GET /v1/models/{model}` for names that its own route does not find: those with a slash, such as
`chat/llama-small`, and hidden aliases of `model_group_alias`. `GET /v1beta/models`, with which
Gemini's clients list models (https://ai.google.dev/api/models).
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

    @router.get("/v1beta/models", include_in_schema=False)
    async def list_gemini(caller: Caller) -> Any:
        listed = await proxy.model_list(user_api_key_dict=caller)
        return {"models": [_gemini_model(proxy, str(model["id"])) for model in listed["data"]]}

    @router.get("/v1beta/models/{model:path}", include_in_schema=False)
    async def retrieve_gemini(model: str, caller: Caller) -> Any:
        return _gemini_model(proxy, str((await retrieve(model, caller))["id"]))

    return router


def _gemini_model(proxy: Any, name: str) -> dict[str, Any]:
    """Return Google's object of a model, with the limits that are known."""
    group = proxy.llm_router.get_model_group_info(name) if proxy.llm_router is not None else None
    limits = {"inputTokenLimit": "max_input_tokens", "outputTokenLimit": "max_output_tokens"}
    known = {key: int(value) for key, field in limits.items() if (value := getattr(group, field, None))}
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, **known, "supportedGenerationMethods": methods}
