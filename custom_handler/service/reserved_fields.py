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

# By the kind of call, what LiteLLM's own route adds to the body that the client sent.
_ADDED: Mapping[str, frozenset[str]] = {
    "agenerate_content_stream": frozenset({"_litellm_skip_openai_stream_done", "_litellm_raw_sse_stream"})
}

RESERVED = frozenset(GenericLiteLLMParams.model_fields) - _OPEN | _ROUTES | _ARGUMENTS


def refuse_reserved(body: Mapping[str, Any], call_type: str = "") -> None:
    """Raise the proxy's error (400) for a request body, or a fallback named in it, that sets a reserved field.

    LiteLLM's route for `call_type` may have added fields of its own, which are not refused.
    """
    added = _ADDED.get(call_type, frozenset())
    if "model" not in body:  # the routes of files and batches name their provider instead of a model
        return
    if "," in str(body["model"]):  # LiteLLM would ask all of them, within the caller's rate of one
        raise _refusal("Ask for one model at a time.", "model")
    targets = (target for target in iter_request_fallback_targets(body) if isinstance(target, Mapping))
    for fields in (body, *targets):
        if name := next((name for name in fields if _is_reserved(name) and name not in added), None):
            raise _refusal(f"The field {name!r} is set by the proxy's operator: leave it out of the request.", name)


def _is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith("_")


def _refusal(message: str, param: str) -> ProxyException:
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)
