"""Reads the arguments that LiteLLM passes to a provider: agent, caller, timeout, health probes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from ..chat.sources import without_footers
from ..chat.turn import Turn
from ..errors import ConfigurationError, ModelUnknown
from ..instrumentation import Hook, no_hook
from ..request.caller import MASTER, Caller, KeyQuota
from ..request.chat_request import ChatRequest
from ..request.context import current_request
from ..request.correlation_id import correlation_id, is_valid, require_valid
from ..request.files import find_files
from ..settings import Settings
from ..stackspot.knowledge import ANNOTATIONS
from ..stackspot.uploads import UploadCache
from .cache_options import cache_options
from .choice_options import choice_of
from .knowledge_options import knowledge_of
from .quick_command_options import quick_command_of
from .web_search import search_tool

QUOTA = "stackspot_quota"
"""The name under which the metadata of a key of KEYS_FILE has its `KeyQuota`."""

FIXED_AGENT = "stackspot_fixed_agent"
"""The mark in `model_info` of an entry that serves all names of a wildcard with one agent."""

SWITCHES = ("resume_streams", "compact_tools")
"""The options of `model_info` that are true or false; each is off unless it is true."""

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)
_AGENT_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_HEALTH_PROBE = "litellm-internal-health-check"
_IDENTITY = ("user_api_key", "user_api_key_alias", "user_api_key_user_id", "user_api_key_team_id")


def turn_from_call(  # noqa: PLR0917  the first three as LiteLLM passes them
    model: str,
    messages: object,
    call: Mapping[str, Any],
    settings: Settings,
    hook: Hook = no_hook,
    uploads: UploadCache | None = None,
) -> Turn:
    """Return the Turn of a call by LiteLLM; raises RequestError and ConfigurationError."""
    params = call.get("litellm_params") or {}
    body = (params.get("proxy_server_request") or {}).get("body") or {}
    headers, info = request_headers(call), params.get("model_info") or {}
    given = correlation_id(headers)
    require_valid(given, required=settings.requests.require_correlation_id)
    parameters = {**(call.get("optional_params") or {}), **_lost_parameters(body)}
    if (search := search_tool(call)) is not None:
        parameters = search.declared(parameters)
    request = ChatRequest.from_openai(_with_tool_errors(messages, body), parameters)
    command = quick_command_of(model, info)
    knowledge = knowledge_of(info if command is None else {"sources": ANNOTATIONS, **info})
    cache = cache_options(info, caller_identity(_metadata(params)), headers, body, request.messages)
    messages = without_footers(request.messages, knowledge)
    request = replace(request, messages=messages, compact_tools=switch(info, "compact_tools"))
    if (current := current_request()) is not None and current.mcp is not None and current.mcp.has_run:
        request = replace(request, tool_choice="auto")  # the call that it demanded has been made
    own: dict[str, Any] = {
        "request": request,
        "files": find_files(request.messages, settings.uploads),
        "correlation_id": given or _default_correlation_id(call),
        "timeout": _timeout(call.get("timeout"), settings.limits.timeout),
        "settings": settings,
        "caller": call_caller(params),
        "hook": hook,
        "uploads": uploads,
        "knowledge": knowledge,
        "cache": cache if cache is None or search is None else replace(cache, bypass=True),
    }
    if command is not None:
        from ..chat.quick_command_turn import QuickCommandTurn  # noqa: PLC0415  most models are agents

        _require_listed(model, params, info)
        return QuickCommandTurn(agent_id=command.slug, command=command, **own)
    return Turn(
        agent_id=agent_id(model, params, settings),
        conversation_owner=_owner(params, given),
        choice=choice_of(info),
        resume_streams=switch(info, "resume_streams"),
        **own,
    )


def is_health_probe(call: Mapping[str, Any]) -> bool:
    """Return whether the call is a health check of the proxy, which has no client request."""
    params = call.get("litellm_params") or {}
    metadata = params.get("metadata") or {}
    return metadata.get("user_api_key") == _HEALTH_PROBE and not params.get("proxy_server_request")


def model_info(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the operator's `model_info` of a call, empty where there is none."""
    info = (call.get("litellm_params") or {}).get("model_info")
    return info if isinstance(info, Mapping) else {}


def client_name(call: Mapping[str, Any]) -> str:
    """Return the caller's user agent for the log, printable and at most 60 characters."""
    headers = request_headers(call)
    name = "".join(filter(str.isprintable, headers.get("user-agent", "")))
    return repr(name[:60]) if name else "a client"


def _with_tool_errors(messages: object, body: Mapping[str, Any]) -> object:
    """Restore `is_error` on tool results, which LiteLLM's bridge of /v1/messages drops."""
    sent = body.get("messages")
    failed = {
        str(block.get("tool_use_id"))
        for message in (sent if isinstance(sent, list) else ())
        if isinstance(message, Mapping) and isinstance(content := message.get("content"), list)
        for block in content
        if isinstance(block, Mapping) and block.get("is_error") is True
    }
    if not failed or not isinstance(messages, list):
        return messages
    return [{**m, "is_error": True} if m.get("tool_call_id") in failed else m for m in messages]


def _lost_parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what LiteLLM's bridges drop, of /v1/messages and (without tools) /v1/responses."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use") is True:
        return {"parallel_tool_calls": False}
    return {"tool_choice": choice} if choice == "required" else {}


def agent_id(model: str, params: Mapping[str, Any], settings: Settings) -> str:
    """Return the agent's id from the operator's configuration, never from a request body.

    Raises ConfigurationError, and ModelUnknown if only a wildcard of `model_list` matched the name.
    """
    info = params.get("model_info") or {}
    configured = info.get("agent_id")
    if not configured:
        _require_listed(model, params, info)
    chosen = str(configured or (model if _ULID.fullmatch(model) else settings.account.agent_id))
    if chosen and not _AGENT_ID.fullmatch(chosen):
        raise ConfigurationError(malformed_agent(chosen))
    if not chosen:
        raise ConfigurationError(
            "No StackSpot agent is configured: set GENAI_AGENT_ID in the environment or in .env, "
            "or model_info.agent_id in config.yaml."
        )
    return chosen


def _require_listed(model: str, params: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    """Raise ModelUnknown if only a wildcard of `model_list` matched the name."""
    if _is_wildcard(model) or (_matched_wildcard(params, info) and not info.get(FIXED_AGENT)):
        raise ModelUnknown(model)


def _matched_wildcard(params: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Return whether LiteLLM's router chose the deployment by a wildcard; it notes the name."""
    metadata = (params.get(name) or {} for name in ("metadata", "litellm_metadata"))
    names = [*(fields.get("deployment_model_name") for fields in metadata), info.get("team_public_model_name")]
    return any(map(_is_wildcard, names))


def _is_wildcard(name: object) -> bool:
    return isinstance(name, str) and "*" in name


def malformed_agent(agent: str) -> str:
    """Return the error message for a malformed agent id."""
    return (
        f"The agent id {agent[:80]!r} is malformed: an id has 26 characters, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV. "
        "Copy it from the end of the agent's address in the portal to GENAI_AGENT_ID, or to model_info.agent_id."
    )


def is_agent_id(agent: str) -> bool:
    """Return whether an agent id is a ULID, as the platform's are.

    >>> is_agent_id("01ARZ3NDEKTSV4RRFFQ69G5FAV"), is_agent_id("my-agent")
    (True, False)
    """
    return _ULID.fullmatch(agent) is not None


def request_headers(call: Mapping[str, Any]) -> dict[str, str]:
    """Return the caller's headers, with lower-case names, from all places of LiteLLM's."""
    params = call.get("litellm_params") or {}
    metadata, request = params.get("metadata") or {}, params.get("proxy_server_request") or {}
    found: dict[str, str] = {}
    for headers in (call.get("headers"), request.get("headers"), metadata.get("headers")):
        if headers:
            found |= {str(name).lower(): str(value) for name, value in dict(headers).items()}
    return found


def _default_correlation_id(call: Mapping[str, Any]) -> str:
    """Return LiteLLM's id of the call, which the telemetry records too, or a new UUID."""
    call_id = str(getattr(call.get("logging_obj"), "litellm_call_id", ""))
    return call_id if is_valid(call_id) else str(uuid.uuid4())


def uses_native_conversation(model_info: Mapping[str, Any]) -> bool:
    """Return whether StackSpot keeps the model's conversations; raises ConfigurationError."""
    mode = model_info.get("conversation")
    if mode not in (None, "prompt", "native"):
        raise ConfigurationError(
            f"model_info.conversation is {mode!r} in config.yaml: say native, for conversations that the platform keeps, "
            "or prompt, for the whole conversation in each prompt."
        )
    return mode == "native"


def switch(model_info: Mapping[str, Any], name: str) -> bool:
    """Return whether one of SWITCHES is on for a model; raises ConfigurationError."""
    value = model_info.get(name)
    if not isinstance(value, bool | None):
        raise ConfigurationError(f"model_info.{name} is {str(value)[:80]!r} in config.yaml: say true or false.")
    return value or False


def call_caller(params: Mapping[str, Any]) -> Caller:
    """Return the API key of the call, as the proxy has authenticated it."""
    metadata = _metadata(params)
    return key_caller(
        metadata.get("user_api_key_alias"), metadata.get("user_api_key"), metadata.get("user_api_key_metadata")
    )


def _metadata(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the proxy noted on the call, the authenticated key among it."""
    both = [params.get(name) or {} for name in ("metadata", "litellm_metadata")]
    # LiteLLM writes to one of the two. It removes names that begin with user_api_key_ from what the
    # client sent, but not user_api_key itself.
    authenticated = [one for one in both if "user_api_key_hash" in one]
    return authenticated[0] if authenticated else {**both[1], **both[0]}


def caller_identity(metadata: Mapping[str, Any]) -> str | None:
    """Return a text that differs between callers, by what the proxy noted on the call.

    None if it has authenticated neither a key nor a user, as for a route that the operator made
    public: one such caller looks like another. A program without the proxy is one caller.
    """
    key, _, user, _ = identity = [str(metadata.get(name) or "") for name in _IDENTITY]
    return None if "user_api_key_hash" in metadata and not (key or user) else json.dumps(identity)


def key_caller(alias: object, key_hash: object, metadata: object) -> Caller:
    """Return the API key with this alias, hash and metadata in the proxy.

    A virtual key has its hash in its name, because its user may choose the alias: that of another
    key, or `master`.

    >>> key_caller("team", "88dc28d0f030c55e", {"stackspot_quota": KeyQuota(weight=2, share=0.5)})
    Caller(name='team', weight=2, share=0.5)
    >>> key_caller("team", "88dc28d0f030c55e", {"stackspot_quota": {"weight": 100}})
    Caller(name='team (88dc28d0f030)', weight=1, share=1.0)
    """
    from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS  # noqa: PLC0415  `run` checks the agent without LiteLLM

    quota = metadata.get(QUOTA) if isinstance(metadata, Mapping) else None
    if isinstance(quota, KeyQuota):
        return Caller(str(alias), int(quota["weight"]), quota["share"])
    if key_hash == LITELLM_PROXY_MASTER_KEY_ALIAS:
        return MASTER
    name = str(key_hash or "")[:12]
    return Caller(f"{alias} ({name})" if alias else name)


def _owner(params: Mapping[str, Any], correlation_id: str | None) -> str | None:
    """Return the owner of a native conversation (caller and correlation id), or None."""
    native = uses_native_conversation(params.get("model_info") or {})
    caller = caller_identity(_metadata(params))
    if not native or correlation_id is None or caller is None:
        return None
    return json.dumps([caller, correlation_id])


def _timeout(requested: object, maximum: float) -> float:
    """Return the call's own timeout, limited to the configured one, both in seconds."""
    seconds = requested.read if isinstance(requested, httpx.Timeout) else requested
    return min(maximum, float(seconds)) if isinstance(seconds, int | float) and seconds > 0 else maximum
