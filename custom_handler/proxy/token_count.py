"""Answer the routes that count tokens, for models of StackSpot, by the prompt that would be sent.

    POST /v1/messages/count_tokens, /v1/responses/input_tokens, /v1beta/models/{model}:countTokens,
    /utils/token_counter

LiteLLM would count the messages as another vendor frames them. Instead the call of the route's
protocol is made through LiteLLM's router, with all of its translations, up to the provider, which
estimates the prompt's tokens and asks no agent. No callback, limit or budget sees this call; so a
call of Gemini's is translated here, because LiteLLM's handler reports its inner call to all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import litellm
from litellm.proxy._types import ProxyException
from litellm.types.utils import TokenCountResponse
from starlette.datastructures import Headers

from ..history.history import ResponseHistory
from ..provider import PROVIDER
from ..request.context import RequestContext, current_request
from .deployments import deployment_provider
from .error_body import error_kind
from .gemini_bridge import as_completion
from .kept_responses import continue_response

_GEMINI_FIELDS = ("contents", "systemInstruction", "system_instruction", "tools", "toolConfig", "generationConfig")
_RESPONSES_FIELDS = ("input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning")
_MESSAGES_FIELDS = ("messages", "system", "tools", "tool_choice", "output_format", "output_config")

# By the end of the route's path: the method of LiteLLM's router, and the fields that it receives.
_CALLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "/messages/count_tokens": ("aanthropic_messages", _MESSAGES_FIELDS),
    "/responses/input_tokens": ("aresponses", _RESPONSES_FIELDS),
    ":countTokens": ("acompletion", _GEMINI_FIELDS),
}

# Fields that no call receives, but validation reads: what they refer to is kept, or is refused.
_REFERENCES: Mapping[str, tuple[str, ...]] = {
    "aresponses": ("previous_response_id", "conversation", "prompt"),
    "aanthropic_messages": ("mcp_servers",),
}

# The field in which each method looks for the caller, who may list the tools of MCP servers.
_METADATA = {"aanthropic_messages": "litellm_metadata", "aresponses": "litellm_metadata", "acompletion": "metadata"}

Count = Callable[..., Awaitable[TokenCountResponse]]


class OtherProvider(Exception):
    """A deployment of another provider was chosen for a call that only counts."""


def count_prompts(proxy: Any, history: ResponseHistory | None) -> None:
    """Replace the proxy's function (of its module) that all routes count with.

    `history` has the earlier turns of a request of /v1/responses/input_tokens.
    """
    original: Count = proxy.count_request_tokens

    async def count(request: Any, *args: Any, **kwargs: Any) -> TokenCountResponse:
        current = current_request()
        if current is not None and not litellm.disable_token_counter and _is_ours(proxy.llm_router, request.model):
            try:
                return await _count(proxy.llm_router, request, current, history)
            except OtherProvider:
                pass
        return await original(request, *args, **kwargs)

    proxy.count_request_tokens = count


def require_ours(provider: str) -> None:
    """Raise OtherProvider if the current request only counts: its call must reach no vendor."""
    if provider != PROVIDER and (request := current_request()) is not None and request.counts_only:
        raise OtherProvider(provider)


def _is_ours(router: Any, model: str) -> bool:
    served = None if router is None else router.get_model_list(model_name=model)
    return any(deployment_provider(one.get("litellm_params") or {}) == PROVIDER for one in served or ())


async def _count(
    router: Any, request: Any, current: RequestContext, history: ResponseHistory | None
) -> TokenCountResponse:
    current.counts_only, current.prompt_tokens = True, None
    try:
        method, fields = _call(request, current)
        given = _body(current)
        body = {**fields, **{name: given[name] for name in _REFERENCES.get(method, ()) if given.get(name)}}
        if method == "aresponses" and history is not None:
            await continue_response(history, fields, {**body, "model": request.model}, _caller(current), router)
        headers = dict(Headers(scope=current.scope))
        await getattr(router, method)(
            **fields,
            model=request.model,
            stream=False,
            proxy_server_request={"body": body, "headers": headers, "url": "", "method": "POST"},
            secret_fields={"raw_headers": headers},  # with the client's credentials for MCP servers
            **{_METADATA[method]: {"user_api_key_auth": _caller(current)}},
            num_retries=0,
            disable_fallbacks=True,
            **{"no-log": True},
        )
    except ProxyException:
        raise
    except Exception as error:  # noqa: BLE001  LiteLLM raises many kinds
        if _caused_by_other_provider(error):
            raise OtherProvider(request.model) from None
        raise _as_proxy_error(error) from None
    finally:
        current.counts_only = False
    if current.prompt_tokens is None:
        raise ProxyException(
            message="The tokens of the prompt could not be counted in time. Try again.",
            type="internal_server_error",
            param=None,
            code=503,
        )
    return TokenCountResponse(
        total_tokens=current.prompt_tokens,
        request_model=request.model,
        model_used=request.model,
        tokenizer_type="openai_tokenizer",
        count_source="local_estimate",
    )


def _call(request: Any, current: RequestContext) -> tuple[str, dict[str, Any]]:
    """Return the router's method for the route, and the fields of the call."""
    path, body = current.scope.get("path", "").rstrip("/"), _body(current)
    for end, (method, names) in _CALLS.items():
        if path.endswith(end):
            body = {**(body.get("generateContentRequest") or {}), **body}  # one of Gemini's two forms
            fields = {name: body[name] for name in names if body.get(name) is not None}
            if names is _GEMINI_FIELDS:
                fields = as_completion(fields)
            return method, {**fields, "max_tokens": 1} if names is _MESSAGES_FIELDS else fields
    messages = request.messages or [{"role": "user", "content": request.prompt or ""}]
    return "acompletion", {"messages": messages, **({"tools": request.tools} if request.tools else {})}


def _body(current: RequestContext) -> dict[str, Any]:
    parsed = current.scope.get("parsed_body")
    return parsed[1] if isinstance(parsed, tuple) else {}


def _caller(current: RequestContext) -> Any:
    """Return the API key that the proxy has authenticated."""
    return getattr((current.scope.get("state") or {}).get("principal"), "source_key", None)


def _caused_by_other_provider(error: BaseException | None) -> bool:
    """Return whether LiteLLM has wrapped an OtherProvider in its own errors."""
    while error is not None:
        if isinstance(error, OtherProvider):
            return True
        error = error.__cause__ or error.__context__
    return False


def _as_proxy_error(error: Exception) -> ProxyException:
    status = int(getattr(error, "status_code", None) or 500)
    detail = getattr(error, "detail", None)  # of a FastAPI exception: a text, or an object with one
    reason = detail.get("error") if isinstance(detail, Mapping) else detail
    return ProxyException(
        message=str(reason or getattr(error, "message", None) or error),
        type=error_kind(status),
        param=getattr(error, "param", None),
        code=status,
    )
