"""Reject body fields that only the operator may set: destination, credentials, limits, callbacks.

LiteLLM merges a body over the parameters of the chosen deployment. So a body could name another
provider, which would receive the operator's keys or the prompt. The proxy itself rejects some of
these fields only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.proxy.auth.auth_utils import iter_request_fallback_targets
from litellm.types.router import GenericLiteLLMParams
from litellm.types.utils import all_litellm_params

from ...request.context import current_request
from ..error_body import invalid_request
from .client_fields import CLIENT_FIELDS

# Fields that choose a destination under other names than in a deployment.
_DESTINATIONS = {
    "azure",
    "deployment_id",
    "litellm_params",
    "preset_cache_key",
    "provider_specific_header",
    "router_settings_override",
    "specific_deployment",
    "ssl_verify",
    "user_config",
    "user_model",
}
# Arguments of LiteLLM's internal functions, with which a body's field would conflict.
_ARGUMENTS = {
    "attempt_function",
    "call_type",
    "endpoint",
    "kwargs",
    "litellm_completion_request",
    "litellm_logging_obj",
    "original_function",
    "request_input",
    "responses_api_request",
    "rules_obj",
    "self",
    "start_time",
}

_LITELLM = frozenset(GenericLiteLLMParams.model_fields) | frozenset(all_litellm_params)

RESERVED = (_LITELLM | _DESTINATIONS | _ARGUMENTS) - frozenset(CLIENT_FIELDS)
"""Every parameter of LiteLLM's own, but those that a client may send."""

MESSAGE = "The field {!r} is set by the proxy's operator: leave it out of the request."


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
            raise invalid_request(MESSAGE.format(name), name)


def _is_reserved(name: str) -> bool:
    # Callbacks receive requests and answers; LiteLLM has fields for them under many names.
    return name in RESERVED or name.startswith("_") or "callback" in name
