"""Reads what LiteLLM hands a provider: which agent is asked, by whom, for how long, and whether anybody asks at all."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from ..chat.turn import Turn
from ..errors import ConfigurationError, RequestError
from ..request.chat_request import ChatRequest
from ..request.files import find_files
from ..settings import Settings

CORRELATION_HEADERS = ("correlation-id", "x-correlation-id")

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)
_AGENT_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_CORRELATION_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")
_HEALTH_PROBE = "litellm-internal-health-check"


def turn_from_call(model: str, messages: object, call: Mapping[str, Any], settings: Settings) -> Turn:
    """Return the turn that a call of LiteLLM's asks for; raises RequestError and ConfigurationError."""
    params = call.get("litellm_params") or {}
    body = (params.get("proxy_server_request") or {}).get("body") or {}
    given = _given_correlation_id(call, required=settings.requests.require_correlation_id)
    request = ChatRequest.from_openai(
        _marked(messages, body), {**(call.get("optional_params") or {}), **_lost_parameters(body)}
    )
    return Turn(
        request=request,
        files=find_files(request.messages, settings.uploads),
        agent_id=agent_id(model, params, settings),
        correlation_id=given or _made_correlation_id(call),
        timeout=_timeout(call.get("timeout"), settings.limits.timeout),
        owner=_owner(params, given),
    )


def is_health_probe(call: Mapping[str, Any]) -> bool:
    """Tell a health check of the proxy, which comes without a client's request."""
    params = call.get("litellm_params") or {}
    metadata = params.get("metadata") or {}
    return metadata.get("user_api_key") == _HEALTH_PROBE and not params.get("proxy_server_request")


def client_name(call: Mapping[str, Any]) -> str:
    """Name the client program for the log: what it says of itself, short and printable."""
    headers = request_headers(call)
    said = "".join(filter(str.isprintable, headers.get("user-agent", "")))
    return repr(said[:60]) if said else "a client"


def _marked(messages: object, body: Mapping[str, Any]) -> object:
    """Mark the results of tools that failed; the proxy's bridge of /v1/messages leaves `is_error` out."""
    failed = {
        block.get("tool_use_id")
        for message in body.get("messages") or ()
        if isinstance(message, Mapping) and isinstance(content := message.get("content"), list)
        for block in content
        if isinstance(block, Mapping) and block.get("is_error") is True
    }
    if not failed or not isinstance(messages, list):
        return messages
    return [{**m, "is_error": True} if m.get("tool_call_id") in failed else m for m in messages]


def _lost_parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the proxy's bridges leave out: /v1/messages the first, /v1/responses the second where there are no tools."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use") is True:
        return {"parallel_tool_calls": False}
    return {"tool_choice": choice} if choice == "required" else {}


def agent_id(model: str, params: Mapping[str, Any], settings: Settings) -> str:
    """Choose the agent by what the operator configured, or raise ConfigurationError; a request body reaches none of these places."""
    configured = (params.get("model_info") or {}).get("agent_id")
    chosen = str(configured or (model if _ULID.fullmatch(model) else settings.account.agent_id))
    if chosen and not _AGENT_ID.fullmatch(chosen):
        raise ConfigurationError(malformed_agent(chosen))
    if not chosen:
        raise ConfigurationError(
            "No StackSpot agent is configured: set GENAI_AGENT_ID in the environment or in .env, "
            "or model_info.agent_id in config.yaml."
        )
    return chosen


def malformed_agent(agent: str) -> str:
    """Say that an agent's id has the wrong form."""
    return (
        f"The agent id {agent[:80]!r} is malformed: an id has 26 characters, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV. "
        "Copy it from the end of the agent's address in the portal to GENAI_AGENT_ID, or to model_info.agent_id."
    )


def is_agent_id(agent: str) -> bool:
    """Tell whether an agent's id has the form of the platform's, a ULID."""
    return _ULID.fullmatch(agent) is not None


def request_headers(call: Mapping[str, Any]) -> dict[str, str]:
    """Return the caller's headers, from the places where LiteLLM has them, by their names in lower case."""
    params = call.get("litellm_params") or {}
    metadata, request = params.get("metadata") or {}, params.get("proxy_server_request") or {}
    found: dict[str, str] = {}
    for headers in (call.get("headers"), request.get("headers"), metadata.get("headers")):
        found |= {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}
    return found


def _given_correlation_id(call: Mapping[str, Any], *, required: bool) -> str | None:
    """Take the correlation id from the caller's headers."""
    found = request_headers(call)
    given = next((found[name] for name in CORRELATION_HEADERS if name in found), None)
    if given is None and required:
        raise RequestError("The header correlation-id is missing: send one value for all calls of a conversation.")
    if given is not None and not _CORRELATION_ID.fullmatch(given):
        raise RequestError("The header correlation-id must have 1 to 128 printable ASCII characters.")
    return given


def _made_correlation_id(call: Mapping[str, Any]) -> str:
    """Let LiteLLM's name of the call, which the telemetry knows too, stand in for an id that nobody gave."""
    made = str(getattr(call.get("logging_obj"), "litellm_call_id", ""))
    return made if _CORRELATION_ID.fullmatch(made) else str(uuid.uuid4())


def uses_native_conversation(model_info: Mapping[str, Any]) -> bool:
    """Tell whether the platform is to keep a model's conversations; raises ConfigurationError."""
    kept = model_info.get("conversation")
    if kept not in (None, "prompt", "native"):
        raise ConfigurationError(
            f"model_info.conversation is {kept!r} in config.yaml: say native, for conversations that the platform keeps, "
            "or prompt, for the whole conversation in each prompt."
        )
    return kept == "native"


def _owner(params: Mapping[str, Any], correlation_id: str | None) -> str | None:
    """Name whose conversation it is that the platform is to keep: the key and the correlation id of its caller."""
    native = uses_native_conversation(params.get("model_info") or {})
    if not native or correlation_id is None:
        return None
    key = (params.get("metadata") or {}).get("user_api_key")
    return json.dumps([str(key or ""), correlation_id])


def _timeout(asked: object, ceiling: float) -> float:
    """Take the call's own timeout, in seconds, where it is shorter than the configured one."""
    seconds = asked.read if isinstance(asked, httpx.Timeout) else asked
    return min(ceiling, float(seconds)) if isinstance(seconds, int | float) and seconds > 0 else ceiling
