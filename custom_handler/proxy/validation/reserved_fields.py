"""Reject body fields that only the operator may set: destination, credentials and limits of a call.

LiteLLM merges a body over the parameters of the chosen deployment. So a body could name another
provider, which would receive the operator's keys or the prompt. The proxy itself rejects some of
these fields only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy.auth.auth_utils import iter_request_fallback_targets
from litellm.types.router import GenericLiteLLMParams

from ...request.context import current_request
from ..error_body import invalid_request

# Parameters of a deployment that LiteLLM allows in a request too. The plugin limits timeouts.
_ALLOWED = {
    "api_version",  # the proxy itself puts the query's here
    "drop_params",
    "litellm_trace_id",
    "max_retries",
    "merge_reasoning_content_in_choices",
    "mock_response",  # the proxy removes it
    "model_info",  # the router replaces it
    "organization",
    "stream_timeout",
    "tags",
    "timeout",
}
# Fields that choose a destination under other names than in a deployment.
_DESTINATIONS = {
    "azure",
    "deployment_id",
    "litellm_params",
    "preset_cache_key",
    "provider_specific_header",
    "ssl_verify",
}
# Arguments of LiteLLM's internal functions, with which a body's field would conflict.
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

RESERVED = frozenset(GenericLiteLLMParams.model_fields) - _ALLOWED | _DESTINATIONS | _ARGUMENTS


def sent_body(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body as the client sent it, with the model of its path or query.

    LiteLLM's routes add reserved fields to `data`, and to the snapshot of the body in it. Raises
    the proxy's error (400) for a body that names another model than the path of a Gemini route:
    LiteLLM checks the key against the body's model, and calls the path's.
    """
    model = {"model": data["model"]} if data.get("model") else {}
    request = current_request()
    scope: Mapping[str, Any] = request.scope if request else {}
    parsed = scope.get("parsed_body")
    if isinstance(parsed, tuple):  # the fields that the client sent, and a body that LiteLLM may change
        names, body = parsed
        sent = {name: body.get(name) for name in names}
        path = (scope.get("path_params") or {}).get("model_name")
        if path is not None and sent.get("model", path) != path:
            raise invalid_request("The path names another model: leave model out of the body.", "model")
        return {**sent, **model}
    snapshot = data.get("proxy_server_request") or {}  # without the credentials
    return {**(snapshot.get("body") or data), **dict.fromkeys(snapshot.get("credential_fields") or ()), **model}


def reject_reserved_fields(body: Mapping[str, Any]) -> None:
    """Raise the proxy's error (400) for a reserved field in a body or in one of its fallbacks."""
    if "model" not in body:  # the routes of files and batches name a provider instead of a model
        return
    if "," in str(body["model"]):  # LiteLLM would call all of them, and count one request
        raise invalid_request("Ask for one model at a time.", "model")
    targets = (target for target in iter_request_fallback_targets(body) if isinstance(target, Mapping))
    for fields in (body, *targets):
        if name := next((name for name in fields if _is_reserved(name)), None):
            raise invalid_request(
                f"The field {name!r} is set by the proxy's operator: leave it out of the request.", name
            )


def _is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith("_")
