"""Routes of models that LiteLLM lacks.

`GET /v1/models/{model}` for names that its own route does not find: those with a slash, such as
`chat/llama-small`, hidden aliases of `model_group_alias`, those that a wildcard answers; and its
Anthropic form (https://docs.anthropic.com/en/api/models). `GET /v1beta/models`, with which
Gemini's clients list models (https://ai.google.dev/api/models).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException
from litellm.llms.anthropic.common_utils import create_anthropic_model_list_response
from litellm.proxy.utils import create_model_info_response
from litellm.router_utils.common_utils import resolve_model_group_alias

from ..proxy.auth import Caller
from ..proxy.deployments import deployment_provider

FindUnlisted = Callable[[str, Any, Any], Awaitable[Mapping[str, Any] | None]]


def routes(proxy: Any, find_unlisted: FindUnlisted) -> APIRouter:
    """Return the routes, which must precede LiteLLM's own.

    `find_unlisted` takes a name, the caller and the router, as `ModelList.unlisted_entry` does.
    """
    router = APIRouter(tags=["model management"])

    @router.get("/v1/models/{model:path}", include_in_schema=False)
    @router.get("/models/{model:path}", include_in_schema=False)
    async def retrieve(
        model: str,
        caller: Caller,
        team_id: str | None = None,
        healthy_only: bool | None = False,
        anthropic_version: Annotated[str | None, Header()] = None,
    ) -> Any:
        info = await describe(model, caller, team_id, healthy_only)
        return info if anthropic_version is None else create_anthropic_model_list_response([info])["data"][0]

    async def describe(model: str, caller: Any, team_id: str | None = None, healthy_only: bool | None = False) -> Any:
        target = resolve_model_group_alias(getattr(proxy.llm_router, "model_group_alias", None), model)
        try:
            info = await proxy.model_info(
                model_id=target or model, user_api_key_dict=caller, team_id=team_id, healthy_only=healthy_only
            )
        except HTTPException as error:
            entry = await find_unlisted(model, caller, proxy.llm_router) if error.status_code == 404 else None
            if entry is None:
                raise
            target, provider = entry["model_name"], deployment_provider(entry["litellm_params"])
            info = create_model_info_response(model_id=target, provider=provider, llm_router=proxy.llm_router)
        return {**info, "id": model} if target else info

    @router.get("/v1beta/models", include_in_schema=False)
    async def list_gemini(caller: Caller) -> Any:
        listed = await proxy.model_list(user_api_key_dict=caller)
        return {"models": [_gemini_model(model) for model in listed["data"]]}

    @router.get("/v1beta/models/{model:path}", include_in_schema=False)
    async def retrieve_gemini(model: str, caller: Caller) -> Any:
        return _gemini_model(await describe(model, caller))

    return router


def _gemini_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return Google's object of a model, with the limits that are known."""
    limits = {"inputTokenLimit": "max_input_tokens", "outputTokenLimit": "max_output_tokens"}
    known = {key: int(value) for key, field in limits.items() if (value := model.get(field))}
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    name = str(model["id"])
    return {"name": f"models/{name}", "displayName": name, **known, "supportedGenerationMethods": methods}
