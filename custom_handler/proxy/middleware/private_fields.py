"""Remove from responses what only the operator may see: agent ids, addresses, provider models.

LiteLLM shows them to every key, in the reports of `/health` and `/model/info` and in headers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from litellm.proxy._types import LitellmUserRoles
from starlette.datastructures import MutableHeaders

from ...proxy_module import running_proxy

PRIVATE_HEADERS = ("x-litellm-model-api-base", "x-litellm-model-name")

_OPERATORS = {LitellmUserRoles.PROXY_ADMIN, LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY}
_REPORTS = ("/health", "/health/latest", "/health/history", "/health/shared-status")
_MODEL_REPORTS = ("/model/info", "/model_group/info", "/utils/model_info")
_RESPONSE_EVENTS = tuple(
    f'"response.{name}"'.encode()
    for name in ("queued", "created", "in_progress", "completed", "incomplete", "failed", "cancelled")
)
_ENDPOINTS = ("healthy_endpoints", "unhealthy_endpoints")
_ENDPOINT_FIELDS = ("model_id", "exception_status")
_MODEL_FIELDS = ("model_name", "model_info")
_PRIVATE_INFO = (
    "agent_id", "agent_version", "base_model", "key", "knowledge_sources", "litellm_provider_model", "selected_model",
    "sources_url",
)  # fmt: skip


def is_operator(scope: Mapping[str, Any]) -> bool:
    """Return whether the proxy has authenticated the caller of a request as its administrator."""
    key = getattr((scope.get("state") or {}).get("principal"), "source_key", None)
    return getattr(key, "user_role", None) in _OPERATORS


def has_private_fields(path: str) -> bool:
    """Return whether the response of a route names deployments."""
    return path.rstrip("/").endswith((*_REPORTS, *_MODEL_REPORTS))


def remove_private_headers(headers: MutableHeaders) -> None:
    """Remove the headers that name the provider's model and address."""
    for name in PRIVATE_HEADERS:
        del headers[name]


def remove_private_fields(body: bytes) -> bytes:
    """Return a report with the names of models only; a body that is no JSON is removed."""
    try:
        return json.dumps(_public(json.loads(body)), ensure_ascii=False).encode()
    except ValueError:
        return b"{}"


def with_requested_model(events: bytes, model: str, previous: str | None = None) -> bytes:
    """Return events of a /v1/responses stream in which each response has the model of the request.

    LiteLLM's bridge names the deployment's model, which is the id of an agent. `previous` is the
    id of the response that the request continues, of which LiteLLM does not know.
    """
    if not any(name in events for name in _RESPONSE_EVENTS):
        return events
    return b"\n".join(_with_model(line, model, previous) for line in events.split(b"\n"))


def _with_model(line: bytes, model: str, previous: str | None) -> bytes:
    field, colon, value = line.partition(b":")
    if field != b"data":
        return line
    try:
        data = json.loads(value)
        data["response"]["model"] = model
        if previous is not None:
            data["response"]["previous_response_id"] = previous
    except (ValueError, TypeError, KeyError):
        return line
    return field + colon + b" " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _public(value: Any) -> Any:
    if isinstance(value, list):
        return [_public(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "litellm_params" in value:
        return _public_model(value)
    return {
        name: [_public_endpoint(item) for item in items]
        if name in _ENDPOINTS and isinstance(items, list)
        else _public(items)
        for name, items in value.items()
    }


def _public_model(entry: Mapping[str, Any]) -> dict[str, Any]:
    public = {name: entry[name] for name in _MODEL_FIELDS if name in entry}
    if isinstance(info := public.get("model_info"), dict):
        public["model_info"] = {name: value for name, value in info.items() if name not in _PRIVATE_INFO}
    return {**public, "litellm_params": {"model": entry.get("model_name")}}


def _public_endpoint(entry: Any) -> dict[str, Any]:
    fields = entry if isinstance(entry, dict) else {}
    router = getattr(running_proxy(), "llm_router", None)
    deployment = router.get_deployment(model_id=fields.get("model_id")) if router is not None else None
    name = {"model": deployment.model_name} if deployment is not None else {}
    return name | {name: fields[name] for name in _ENDPOINT_FIELDS if name in fields}
