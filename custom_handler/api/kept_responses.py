"""Kept responses: `GET` and `DELETE /v1/responses/{id}`, its `input_items`, and `cancel`.

https://platform.openai.com/docs/api-reference/responses. The responses of a provider that keeps
them itself are LiteLLM's to find.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
from litellm.proxy.response_api_endpoints import endpoints

from ..errors import RequestError, ResponseUnknown, StackspotError
from ..history.history import ResponseHistory
from ..history.items import StoredResponse
from ..proxy.kept_responses import as_proxy_error, is_provider_id, owner_of

_PREFIXES = ("/v1", "", "/openai/v1")
_NOTHING_KEPT = "This proxy keeps no responses: its operator has set RESPONSES_KEEP to 0."

_Caller = Annotated[UserAPIKeyAuth, Depends(user_api_key_auth)]
_Limit = Annotated[int, Query(ge=1, le=100)]


def routes(history: ResponseHistory | None) -> APIRouter:
    """Return the routes, which must precede LiteLLM's own; without a history they find nothing."""
    router = APIRouter(tags=["responses"])

    async def retrieve(request: Request, response: Response, response_id: str, caller: _Caller) -> Any:
        if is_provider_id(response_id):
            return await endpoints.get_response(response_id, request, response, caller)
        stored = await _find(history, caller, response_id)
        if request.query_params.get("stream", "").lower() in {"true", "1"}:
            message = "stream: a kept response cannot be streamed again. Ask for it without stream."
            raise as_proxy_error(RequestError(message, param="stream"))
        return stored.response

    async def remove(request: Request, response: Response, response_id: str, caller: _Caller) -> Any:
        if is_provider_id(response_id):
            return await endpoints.delete_response(response_id, request, response, caller)
        try:
            await _opened(history).delete(owner_of(caller), response_id)
        except StackspotError as error:
            raise as_proxy_error(error) from None
        return {"id": response_id, "object": "response", "deleted": True}

    async def cancel(request: Request, response: Response, response_id: str, caller: _Caller) -> Any:
        if is_provider_id(response_id):
            return await endpoints.cancel_response(response_id, request, response, caller)
        await _find(history, caller, response_id)
        raise as_proxy_error(RequestError("Cannot cancel a synchronous response: it has ended already."))

    async def input_items(
        request: Request,
        response: Response,
        response_id: str,
        caller: _Caller,
        *,
        limit: _Limit = 20,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
    ) -> Any:
        if is_provider_id(response_id):
            return await endpoints.get_response_input_items(response_id, request, response, caller)
        return _page((await _find(history, caller, response_id)).items, limit, order, after)

    for prefix in _PREFIXES:
        path = f"{prefix}/responses/{{response_id}}"
        router.add_api_route(path, retrieve, methods=["GET"], include_in_schema=False)
        router.add_api_route(path, remove, methods=["DELETE"], include_in_schema=False)
        router.add_api_route(f"{path}/cancel", cancel, methods=["POST"], include_in_schema=False)
        router.add_api_route(f"{path}/input_items", input_items, methods=["GET"], include_in_schema=False)
    return router


async def _find(history: ResponseHistory | None, caller: UserAPIKeyAuth, response_id: str) -> StoredResponse:
    """Return a response of the caller's key; raises the proxy's error, usually 404."""
    try:
        return await _opened(history).find(owner_of(caller), response_id)
    except StackspotError as error:
        raise as_proxy_error(error) from None


def _opened(history: ResponseHistory | None) -> ResponseHistory:
    if history is None:
        raise ResponseUnknown(_NOTHING_KEPT)
    return history


def _page(items: list[Any], limit: int, order: str, after: str | None) -> dict[str, Any]:
    """Return OpenAI's list of items, those behind the item `after`."""
    ordered = items if order == "asc" else items[::-1]
    if after is not None:
        place = next((index for index, item in enumerate(ordered) if item.get("id") == after), None)
        if place is None:
            message = f"after: the response has no input item {after[:80]!r}. Send the id of one of its items."
            raise as_proxy_error(RequestError(message, param="after"))
        ordered = ordered[place + 1 :]
    data = ordered[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0].get("id") if data else None,
        "last_id": data[-1].get("id") if data else None,
        "has_more": len(ordered) > limit,
    }
