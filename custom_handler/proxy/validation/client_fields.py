"""The fields of LiteLLM's own that a client may send beside those of a protocol.

LiteLLM reads them before any provider does, and checks few of their types. All other parameters of
LiteLLM's are the operator's (`reserved_fields`).
"""

from __future__ import annotations

from collections.abc import Mapping

from .shapes import BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, STRINGS, Shape

_GUARDRAILS = Shape((list, dict), items=Shape((str, dict), in_header=True), in_header=True)
# LiteLLM reads these of an object only.
METADATA: Mapping[str, Shape] = {
    "agent_id": STRING,
    "litellm_metadata": Shape((str, list, dict)),
    "metadata": Shape((str, list, dict)),
    "guardrails": _GUARDRAILS,
    "semantic-similarity": NUMBER,
    "tags": STRINGS,
}
_METADATA = Shape((dict, str), fields=METADATA)
_HEADERS = Shape((dict,), values=STRING)
_FALLBACKS = Shape((list,), items=Shape((str, dict)))

CLIENT_FIELDS: Mapping[str, Shape] = {
    "additional_drop_params": STRINGS,
    "allowed_openai_params": STRINGS,
    "api_version": STRING,  # the proxy itself puts the query's here
    "cache": OBJECT,
    "caching": BOOLEAN,
    "content_policy_fallbacks": _FALLBACKS,
    "context_window_fallbacks": _FALLBACKS,
    "disable_fallbacks": BOOLEAN,
    "drop_params": Shape((bool, str)),
    "enable_json_schema_validation": BOOLEAN,
    "extra_body": OBJECT,
    "extra_headers": _HEADERS,
    "fallbacks": _FALLBACKS,
    "guardrails": _GUARDRAILS,
    "headers": _HEADERS,
    "id": STRING,
    "litellm_metadata": _METADATA,
    "litellm_session_id": STRING,
    "litellm_trace_id": STRING,
    "max_retries": INTEGER,
    "merge_reasoning_content_in_choices": BOOLEAN,
    "metadata": _METADATA,
    "mock_response": Shape(),  # the proxy removes it
    "model_info": OBJECT,  # the router replaces it
    "no-log": BOOLEAN,
    "num_retries": INTEGER,
    "organization": STRING,
    "priority": INTEGER,
    "prompt_environment": STRING,
    "prompt_id": STRING,
    "prompt_label": STRING,
    "prompt_variables": OBJECT,
    "prompt_version": INTEGER,
    "request_timeout": NUMBER,  # the plugin limits timeouts
    "stream_timeout": NUMBER,
    "tags": STRINGS,
    "timeout": NUMBER,
}
"""Their shapes by name."""
