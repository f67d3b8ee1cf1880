"""Convert LiteLLM's log events into lines of `interactions.jsonl`, without content by default.

    time, request_id, call_id, correlation_id, key, route, call_type, model, provider,
    provider_model, stream, latency_ms, time_to_first_token_ms, usage{prompt_tokens,
    completion_tokens, total_tokens}, cost_usd, tool_calls, retries, repairs, status, error_class[,
    sources][, cache][, messages, response]

`key` is the name of the API key, never the key or its hash.
`sources` has the ids of the knowledge sources of an answer; `cache` is hit, shared, miss or bypass,
for a model with a cache.

An error is recorded by class and status only, because its message may quote the request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS
from starlette.datastructures import Headers

from ..provider.call_log import CACHE_IN_LOG, REPAIRS_IN_LOG, RETRIES_IN_LOG, SOURCES_IN_LOG
from ..provider.litellm_call import request_headers
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..request.caller import MASTER
from ..request.context import current_request, request_id
from ..request.correlation_id import HEADERS, correlation_id

Line = dict[str, Any]

HEALTH_CHECK = "litellm-internal-health-check"
MAX_SEEN = 10_000
MAX_NAME_LENGTH = 200

_TOOL_CALL_TYPES = {"function_call", "custom_tool_call", "tool_use"}


class CallRecorder:
    """Converts LiteLLM's events into one line for each attempt of a call; `write` must not block.

    `on_line` gets each line, and the provider with its model if one was called.

    LiteLLM reports a failed call up to three times: by an asynchronous and a blocking callback, and
    by the proxy's failure hook. All three have the same payload: the same call id and end time.
    """

    def __init__(
        self,
        write: Callable[[Line], None],
        *,
        content: bool = False,
        on_line: Callable[[Line, str | None], None] | None = None,
    ) -> None:
        self._write = write
        self._on_line = on_line
        self._content = content
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, object], None] = OrderedDict()

    def record(self, kwargs: Mapping[str, Any]) -> None:
        """Record a call from the arguments of LiteLLM's success and failure events."""
        payload = kwargs.get("standard_logging_object")
        if payload and not _is_health_check(kwargs, payload) and self._is_new(payload):
            self._write_line(payload, kwargs, content=self._content)

    def record_blocking(self, kwargs: Mapping[str, Any]) -> None:
        """Record a call from a blocking event; ignore asynchronous calls, which `record` gets."""
        call_type = str((kwargs.get("standard_logging_object") or {}).get("call_type") or "")
        if call_type and not call_type.startswith("a"):
            self.record(kwargs)

    def record_rejected(
        self, request: Mapping[str, Any], error: Exception, route: str | None, caller: object = None
    ) -> None:
        """Record a request that failed in the proxy, unless it is recorded as a failed call.

        `caller` is LiteLLM's authenticated key.
        """
        if request.get("standard_logging_object"):
            self.record({"standard_logging_object": request["standard_logging_object"], "litellm_params": request})
        elif "model" in request:
            payload = _rejected_payload(request, error, route, caller)
            self._write_line(payload, {"litellm_params": request}, content=False)

    def _write_line(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any], *, content: bool) -> None:
        unauthenticated = _is_unauthenticated(payload, kwargs)
        line = _line(payload, kwargs, unauthenticated=unauthenticated)
        if sources := kwargs.get(SOURCES_IN_LOG):
            line["sources"] = list(sources)
        if cache := kwargs.get(CACHE_IN_LOG):
            line["cache"] = cache
        if content:
            line |= {"messages": _without_files(payload.get("messages")), "response": payload.get("response")}
        self._write(line)
        if self._on_line is not None:
            self._on_line(line, _upstream(payload, line, unauthenticated=unauthenticated))

    def _is_new(self, payload: Mapping[str, Any]) -> bool:
        key = payload.get("litellm_call_id"), payload.get("endTime")
        with self._lock:
            if key in self._seen:
                return False
            self._seen[key] = None
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
            return True


def _line(payload: Mapping[str, Any], kwargs: Mapping[str, Any], *, unauthenticated: bool) -> Line:
    error = payload.get("error_information") or {}
    failed = payload.get("status") == "failure"
    started, ended = float(payload.get("startTime") or 0), float(payload.get("endTime") or 0)
    first = payload.get("completionStartTime") if payload.get("stream") and not failed else None
    route = (payload.get("metadata") or {}).get("user_api_key_request_route")
    body = _request(kwargs).get("body") or {}  # the plugin sets stream=False in the payload of a stream
    return {
        "time": _timestamp(started),
        **_ids(kwargs, payload.get("litellm_call_id")),
        "key": _key(payload.get("metadata") or {}),
        "route": _service_route() or route,
        "call_type": payload.get("call_type") or None,
        "model": _name(payload.get("model_group") or payload.get("model")),
        "provider": _provider(payload, error),
        "provider_model": _name(payload.get("model")),
        "stream": bool(payload.get("stream") or body.get("stream")),
        "latency_ms": _milliseconds(started, ended),
        "time_to_first_token_ms": _milliseconds(started, float(first)) if first else None,
        "usage": {name: int(payload.get(name) or 0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        "cost_usd": float(payload.get("response_cost") or 0),
        "tool_calls": _tool_calls(payload.get("response")),
        "retries": int(kwargs.get(RETRIES_IN_LOG) or 0),
        "repairs": int(kwargs.get(REPAIRS_IN_LOG) or 0),
        "status": _error_status(error.get("error_code"), unauthenticated=unauthenticated) if failed else 200,
        "error_class": (error.get("error_class") or "Exception") if failed else None,
    }


def _without_files(value: Any) -> Any:
    """Remove base64 files from messages, of which LiteLLM removes data URIs only."""
    if isinstance(value, list):
        return [_without_files(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    data_key = "data" if value.get("type") == "base64" else "file_data"
    return {name: _without_data(item) if name == data_key else _without_files(item) for name, item in value.items()}


def _without_data(item: Any) -> Any:
    if not isinstance(item, str) or "[base64_data truncated" in item[:MAX_NAME_LENGTH]:
        return item
    return f"[{len(item)} characters left out]"


def _rejected_payload(
    request: Mapping[str, Any], error: Exception, route: str | None, caller: object
) -> dict[str, Any]:
    """Return a payload, as LiteLLM has for calls, for a request that never became a call."""
    now = datetime.now(timezone.utc).timestamp()
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return {
        "litellm_call_id": request.get("litellm_call_id"),
        "metadata": {
            "user_api_key_request_route": route,
            "user_api_key_alias": getattr(caller, "key_alias", None),
            "user_api_key_hash": getattr(caller, "api_key", None),
        },
        "model": request.get("model"),
        "stream": request.get("stream"),
        "startTime": now,
        "endTime": now,
        "status": "failure",
        "error_information": {"error_class": type(error).__name__, "error_code": status},
    }


def _upstream(payload: Mapping[str, Any], line: Line, *, unauthenticated: bool) -> str | None:
    """Return the provider and its model, if the call reached one."""
    provider, model = line["provider"], line["provider_model"]
    called = provider and not unauthenticated and (payload.get("model_id") or line["status"] < 400)
    return f"{provider}/{str(model or '').removeprefix(f'{provider}/')}" if called else None


def _key(metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the key; a user may give a virtual key the name of the master key."""
    alias = _name(metadata.get("user_api_key_alias"))
    if metadata.get("user_api_key_hash") == LITELLM_PROXY_MASTER_KEY_ALIAS:
        return alias or MASTER.name
    return f"{alias} (virtual key)" if alias == MASTER.name else alias


def _tool_calls(response: object) -> int:
    """Count the tool calls in a response of any protocol."""
    if not isinstance(response, Mapping):
        return 0
    messages = [choice.get("message") or {} for choice in response.get("choices") or ()]
    count = sum(len(message.get("tool_calls") or ()) or bool(message.get("function_call")) for message in messages)
    items = [*(response.get("output") or ()), *(response.get("content") or ())]
    return count + sum(isinstance(item, Mapping) and item.get("type") in _TOOL_CALL_TYPES for item in items)


def _service_route() -> str | None:
    request = current_request()
    return request.service_route if request else None


def _ids(kwargs: Mapping[str, Any], call_id: object) -> Line:
    """Return the ids of the call; its own id replaces missing ones, as in `turn_from_call`."""
    request = current_request()
    headers = request_headers(kwargs)
    if request is not None:
        sent = Headers(scope=request.scope)
        headers |= {name: value for name in (REQUEST_ID, *HEADERS) if (value := sent.get(name)) is not None}
    return {
        "request_id": request_id() or headers.get(REQUEST_ID) or call_id,
        "call_id": call_id,
        "correlation_id": _name(correlation_id(headers) or call_id),
    }


def _request(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the request, which the proxy stores once it has authenticated the caller."""
    return (kwargs.get("litellm_params") or {}).get("proxy_server_request") or {}


def _is_unauthenticated(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether the proxy rejected the key: there is a route, but no stored request."""
    return bool((payload.get("metadata") or {}).get("user_api_key_request_route")) and not _request(kwargs)


def _is_health_check(kwargs: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Return whether this is a health check, which has no metadata or type if it fails early.

    It has no request, while that of a client may have the check's key and tag in its metadata.
    """
    if not payload.get("call_type") and not payload.get("model"):
        return True
    if _request(kwargs):
        return False
    metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
    return metadata.get("user_api_key") == HEALTH_CHECK or HEALTH_CHECK in (payload.get("request_tags") or ())


def _provider(payload: Mapping[str, Any], error: Mapping[str, Any]) -> str | None:
    prefix, slash, _ = str(payload.get("model") or "").partition("/")
    return payload.get("custom_llm_provider") or error.get("llm_provider") or (_name(prefix) if slash else None)


def _name(value: object) -> str | None:
    return str(value)[:MAX_NAME_LENGTH] if value else None


def _error_status(code: object, *, unauthenticated: bool) -> int:
    """Return the status; without a code it is 401 for errors in the proxy's authentication."""
    return int(str(code)) if str(code).isdecimal() else 401 if unauthenticated else 500


def _milliseconds(started: float, ended: float) -> float:
    return round(max(0.0, ended - started) * 1000, 1)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
