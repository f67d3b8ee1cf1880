"""Reads what LiteLLM logs about a call into the line of `interactions.jsonl`: names and numbers, no content unless wanted.

    time, request_id, call_id, correlation_id, route, call_type, model, provider, provider_model, stream, latency_ms,
    time_to_first_token_ms, usage{prompt_tokens, completion_tokens, total_tokens}, status, error_class[, messages, response]

An error is told by its class and its status alone: its message may quote the request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from starlette.datastructures import Headers

from ..provider.litellm_call import CORRELATION_HEADERS, request_headers
from ..proxy.asgi_transport import service_route
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..proxy.middleware.request_id import request_id, served

Line = dict[str, Any]

HEALTH_CHECK = "litellm-internal-health-check"
REMEMBERED = 10_000
LONGEST_NAME = 200
MASTER = "litellm_proxy_master_key"
"""What LiteLLM has in place of the master key's hash."""


_CALLS = {"function_call", "custom_tool_call", "tool_use"}


@dataclass(frozen=True, slots=True)
class Details:
    """What the log says about a call beside its line: the name of its key, never the key or its hash."""

    key: str | None = None
    tool_calls: int = 0
    upstream: str | None = None


class CallRecorder:
    """Turns LiteLLM's events into lines, one for each attempt of a call; `write` takes the line and must not block.

    LiteLLM tells of a failed call up to three times: as it fails, awaiting and blocking, and once more when its client is
    answered. All three carry the same payload, which is known by the call's id and the time of its end.
    """

    def __init__(
        self,
        write: Callable[[Line], None],
        *,
        content: bool = False,
        note: Callable[[Line, Details], None] | None = None,
    ) -> None:
        self._write = write
        self._note = note
        self._content = content
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, object], None] = OrderedDict()

    def ended(self, kwargs: Mapping[str, Any]) -> None:
        """Write down a call that ended, by the arguments of LiteLLM's success and failure events."""
        payload = kwargs.get("standard_logging_object")
        if payload and not _is_health_check(kwargs, payload) and self._is_new(payload):
            self._tell(_line(payload, kwargs, content=self._content), payload, kwargs)

    def ended_blocking(self, kwargs: Mapping[str, Any]) -> None:
        """The same for events told in a thread, which come twice for a call that somebody awaits."""
        call_type = str((kwargs.get("standard_logging_object") or {}).get("call_type") or "")
        if call_type and not call_type.startswith("a"):
            self.ended(kwargs)

    def refused(self, request: Mapping[str, Any], error: Exception, route: str | None, key: str | None = None) -> None:
        """Write down a request that failed in the proxy, unless it was told as a failed call already."""
        if request.get("standard_logging_object"):
            self.ended({"standard_logging_object": request["standard_logging_object"], "litellm_params": request})
        elif "model" in request:
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            payload = _refusal(request, type(error).__name__, status, route)
            payload["metadata"]["user_api_key_alias"] = key
            kwargs = {"litellm_params": request}
            self._tell(_line(payload, kwargs, content=False), payload, kwargs)

    def _tell(self, line: Line, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
        self._write(line)
        if self._note is not None:
            self._note(line, _details(payload, line, unauthenticated=_is_unauthenticated(payload, kwargs)))

    def _is_new(self, payload: Mapping[str, Any]) -> bool:
        key = payload.get("litellm_call_id"), payload.get("endTime")
        with self._lock:
            if key in self._seen:
                return False
            self._seen[key] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return True


def _line(payload: Mapping[str, Any], kwargs: Mapping[str, Any], *, content: bool) -> Line:
    error = payload.get("error_information") or {}
    failed = payload.get("status") == "failure"
    started, ended = float(payload.get("startTime") or 0), float(payload.get("endTime") or 0)
    first = payload.get("completionStartTime") if payload.get("stream") and not failed else None
    route = (payload.get("metadata") or {}).get("user_api_key_request_route")
    line = {
        "time": _moment(started),
        **_ids(_headers(kwargs), payload.get("litellm_call_id")),
        "route": service_route.get() or route,
        "call_type": payload.get("call_type") or None,
        "model": _name(payload.get("model_group") or payload.get("model")),
        "provider": _provider(payload, error),
        "provider_model": _name(payload.get("model")),
        "stream": bool(payload.get("stream") or _body(kwargs).get("stream")),
        "latency_ms": _milliseconds(started, ended),
        "time_to_first_token_ms": _milliseconds(started, float(first)) if first else None,
        "usage": {name: int(payload.get(name) or 0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        "status": _status(error.get("error_code"), unauthenticated=_is_unauthenticated(payload, kwargs))
        if failed
        else 200,
        "error_class": (error.get("error_class") or "Exception") if failed else None,
    }
    if not content:
        return line
    return line | {"messages": _without_files(payload.get("messages")), "response": payload.get("response")}


def _without_files(value: Any) -> Any:
    """Leave files in base64 out of messages; LiteLLM does so with data URIs only."""
    if isinstance(value, list):
        return [_without_files(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    held = "data" if value.get("type") == "base64" else "file_data"
    return {name: _size(item) if name == held else _without_files(item) for name, item in value.items()}


def _size(item: Any) -> Any:
    if not isinstance(item, str) or "[base64_data truncated" in item[:LONGEST_NAME]:
        return item
    return f"[{len(item)} characters left out]"


def _refusal(request: Mapping[str, Any], error_class: str, status: object, route: str | None) -> dict[str, Any]:
    """Describe a request that never became a call, as LiteLLM describes calls."""
    now = datetime.now(timezone.utc).timestamp()
    return {
        "litellm_call_id": request.get("litellm_call_id"),
        "metadata": {"user_api_key_request_route": route},
        "model": request.get("model"),
        "stream": request.get("stream"),
        "startTime": now,
        "endTime": now,
        "status": "failure",
        "error_information": {"error_class": error_class, "error_code": status},
    }


def _details(payload: Mapping[str, Any], line: Line, *, unauthenticated: bool) -> Details:
    metadata = payload.get("metadata") or {}
    master = metadata.get("user_api_key_hash") == MASTER
    provider, model = line["provider"], line["provider_model"]
    called = provider and not unauthenticated and (payload.get("model_id") or line["status"] < 400)
    return Details(
        key=_name(metadata.get("user_api_key_alias")) or ("master" if master else None),
        tool_calls=_tool_calls(payload.get("response")),
        upstream=f"{provider}/{str(model or '').removeprefix(f'{provider}/')}" if called else None,
    )


def _tool_calls(response: object) -> int:
    """Count the calls of the client's tools in an answer of any of the protocols."""
    if not isinstance(response, Mapping):
        return 0
    messages = [choice.get("message") or {} for choice in response.get("choices") or ()]
    counted = sum(len(message.get("tool_calls") or ()) or bool(message.get("function_call")) for message in messages)
    items = [*(response.get("output") or ()), *(response.get("content") or ())]
    return counted + sum(isinstance(item, Mapping) and item.get("type") in _CALLS for item in items)


def _ids(headers: Mapping[str, str], call_id: object) -> Line:
    """Name the call: by the request's own name where the proxy serves one, and by the caller's conversation.

    Where the caller names none, the agent is told the call's id (`litellm_call.turn_from_call`), and so is this.
    """
    given = next((headers[name] for name in CORRELATION_HEADERS if name in headers), None)
    return {
        "request_id": request_id() or headers.get(REQUEST_ID) or call_id,
        "call_id": call_id,
        "correlation_id": _name(given or call_id),
    }


def _headers(kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Find the caller's headers; those of the request that is being served win."""
    return request_headers(kwargs) | (dict(Headers(scope=scope)) if (scope := served()) else {})


def _body(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find the caller's own body: the plugin has a stream opened as a whole answer, which a failure would be told as."""
    return _request(kwargs).get("body") or {}


def _request(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find the caller's request, which the proxy keeps as soon as it has let the caller in."""
    return (kwargs.get("litellm_params") or {}).get("proxy_server_request") or {}


def _is_unauthenticated(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell a request that the proxy did not let in: it has a route, and the proxy has not kept it."""
    return bool((payload.get("metadata") or {}).get("user_api_key_request_route")) and not _request(kwargs)


def _is_health_check(kwargs: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Tell a probe of the proxy's own, which is nobody's call; one that fails early has lost its metadata and its kind."""
    if not payload.get("call_type") and not payload.get("model"):
        return True
    metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
    return metadata.get("user_api_key") == HEALTH_CHECK or HEALTH_CHECK in (payload.get("request_tags") or ())


def _provider(payload: Mapping[str, Any], error: Mapping[str, Any]) -> str | None:
    prefix, slash, _ = str(payload.get("model") or "").partition("/")
    return payload.get("custom_llm_provider") or error.get("llm_provider") or (_name(prefix) if slash else None)


def _name(value: object) -> str | None:
    return str(value)[:LONGEST_NAME] if value else None


def _status(code: object, *, unauthenticated: bool) -> int:
    """Read a status; the proxy answers whatever else goes wrong in its authentication with 401."""
    return int(str(code)) if str(code).isdecimal() else 401 if unauthenticated else 500


def _milliseconds(started: float, ended: float) -> float:
    return round(max(0.0, ended - started) * 1000, 1)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
