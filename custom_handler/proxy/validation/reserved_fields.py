"""Refuses the fields of a request body that only the operator may set: where a call goes, with which credentials and limits.

LiteLLM merges a body over the parameters of the deployment that it has chosen, so a body could otherwise name another provider,
and the operator's keys, or the prompt, would go there. The proxy itself refuses some of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy._types import ProxyException
from litellm.proxy.auth.auth_utils import iter_request_fallback_targets
from litellm.types.router import GenericLiteLLMParams

from ...request.context import current_request

# Parameters of a deployment that LiteLLM means a request to set as well. A timeout has our own ceiling.
_OPEN = {
    "api_version",  # the proxy itself puts the query's here
    "drop_params",
    "litellm_trace_id",
    "max_retries",
    "merge_reasoning_content_in_choices",
    "mock_response",  # the proxy takes it away
    "model_info",  # the router puts its own in its place
    "organization",
    "stream_timeout",
    "tags",
    "timeout",
}
# What chooses a destination under another name than in a deployment.
_ROUTES = {"azure", "deployment_id", "litellm_params", "preset_cache_key", "provider_specific_header", "ssl_verify"}
# What LiteLLM's functions hand each other by these names: a body's would clash with them.
_ARGUMENTS = {
    "attempt_function",
    "call_type",
    "endpoint",
    "kwargs",
    "litellm_completion_request",
    "original_function",
    "request_input",
    "responses_api_request",
    "rules_obj",
    "self",
    "start_time",
}

RESERVED = frozenset(GenericLiteLLMParams.model_fields) - _OPEN | _ROUTES | _ARGUMENTS


def sent_body(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that the client sent, with the model that its path or query names, of a request's `data`.

    LiteLLM's routes add fields to `data`, and to the snapshot of the body in it, with names that are refused to clients.
    Raises the proxy's error (400) for a body that names another model than the path of a Gemini route: LiteLLM looks at
    the body's whether the key may use it, and asks the path's.
    """
    called = {"model": data["model"]} if data.get("model") else {}
    request = current_request()
    scope: Mapping[str, Any] = request.scope if request else {}
    parsed = scope.get("parsed_body")
    if isinstance(parsed, tuple):  # LiteLLM keeps the names that came with the request beside a body that it may change
        names, body = parsed
        sent = {name: body.get(name) for name in names}
        path = (scope.get("path_params") or {}).get("model_name")
        if path is not None and sent.get("model", path) != path:
            raise _refusal("The path names another model: leave model out of the body.", "model")
        return {**sent, **called}
    snapshot = data.get("proxy_server_request") or {}  # without the credentials
    return {**(snapshot.get("body") or data), **dict.fromkeys(snapshot.get("credential_fields") or ()), **called}


def reject_reserved_fields(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for a request body, or a fallback named in it, that sets a reserved field."""
    if "model" not in body:  # the routes of files and batches name their provider instead of a model
        return
    if "," in str(body["model"]):  # LiteLLM would ask all of them, within the caller's rate of one
        raise _refusal("Ask for one model at a time.", "model")
    targets = (target for target in iter_request_fallback_targets(body) if isinstance(target, Mapping))
    for fields in (body, *targets):
        if name := next((name for name in fields if _is_reserved(name)), None):
            raise _refusal(f"The field {name!r} is set by the proxy's operator: leave it out of the request.", name)


def _is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith("_")


def _refusal(message: str, param: str) -> ProxyException:
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)
