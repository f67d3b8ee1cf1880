"""Authenticate callers by the API keys of KEYS_FILE, which needs no database.

config.yaml names `custom_handler.authenticate_key` as `custom_auth`. The proxy itself checks other
keys (the master key, and with a database virtual keys), and enforces the limits. A key of the file
may call the routes of `key_routes` only; LiteLLM lets any key call its pass-through routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth
from litellm.proxy.auth.auth_checks import can_key_call_model, is_model_allowed_by_pattern
from litellm.proxy.auth.auth_utils import get_request_route
from starlette.requests import Request

from ..provider.litellm_call import QUOTA, key_caller
from ..proxy_module import running_proxy
from ..request.caller import Caller, KeyQuota
from ..request.context import current_request
from .key_entries import KeyEntry, digest, read_entries
from .key_routes import called_path, is_added, is_allowed
from .validation.received import validate_received
from .wildcards import asked_models

_SHOWN_PATH = 100
_TOKEN_SETTINGS = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")


class KeysFileAuth:
    """Identify the caller by API key; raises ConfigurationError for an invalid `keys_file`."""

    def __init__(self, keys_file: str) -> None:
        entries = read_entries(Path(keys_file)) if keys_file else []
        self._callers = {entry.sha256: key_of(entry) for entry in entries}
        self._routes = {entry.sha256: entry.routes for entry in entries}

    async def __call__(self, request: Any, api_key: str | None) -> UserAPIKeyAuth | None:
        """Return the caller, or None if the proxy has to check the key itself.

        Raises the proxy's error: 401 for a key that is neither in the file nor known to the proxy,
        403 for a route that the key may not call, 400 for an invalid body.
        """
        if not api_key:
            return None
        key_digest = digest(api_key.removeprefix("Bearer "))
        caller = self._callers.get(key_digest)
        if caller is not None:
            caller = _with_route(caller, self._routes[key_digest], request)
        elif not _proxy_checks(key_digest):
            raise ProxyException(
                message="Authentication Error: this proxy does not know the API key. The file .env beside the proxy's "
                "config.yaml has one, as LITELLM_MASTER_KEY.",
                type="auth_error",
                param="None",
                code=401,
            )
        validate_received()
        return caller


def _with_route(caller: UserAPIKeyAuth, added: Iterable[str], request: Any) -> UserAPIKeyAuth:
    """Return a copy of a caller, who may call the route of the current request.

    `added` are the routes of the key alone. Raises the proxy's error (403) for other routes. The
    scope is the server's own: for WebSockets and MCP, LiteLLM passes a request that it made up.
    """
    current = current_request()
    scope: Mapping[str, Any] = current.scope if current is not None else getattr(request, "scope", {})
    router = getattr(running_proxy(), "llm_router", None)
    allowed = {}
    if scope.get("method") == "GET":  # only these list models, and there may be very many
        allowed = {"models": _with_names(caller.models, getattr(router, "model_names", ()))}
    if is_allowed(scope, has_search_tools=bool(getattr(router, "search_tools", None))):
        return caller.model_copy(update=allowed)
    if is_added(scope, added):  # LiteLLM lets only its admin call some of these, unless the key lists them
        routes = [get_request_route(Request({"type": "http", **scope}))]
        return caller.model_copy(update={**allowed, "allowed_routes": routes})
    route = f"{scope.get('method') or 'WebSocket'} {called_path(scope)[:_SHOWN_PATH]}"
    message = (
        f"The API key {caller.key_alias!r} may not call {route!r}. "
        "Ask the proxy's operator to add the path to the key's routes in KEYS_FILE."
    )
    if current is not None:
        current.denied = message
    raise ProxyException(message=message, type="permission_error", param=None, code=403)


def _with_names(models: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return a key's models, and behind them the names that their wildcards match.

    `GET /v1/models` of LiteLLM lists none for a wildcard of a provider that it does not know.
    """
    if not (patterns := [model for model in models if "*" in model]):
        return list(models)
    matching = [name for name in names if any(is_model_allowed_by_pattern(name, pattern) for pattern in patterns)]
    return list(dict.fromkeys([*models, *sorted(matching)]))


def _proxy_checks(key_digest: str) -> bool:
    """Return whether the proxy can check a key; without a database it knows the master key only.

    For any other key it would respond 400.
    """
    proxy = running_proxy()
    if proxy.prisma_client is not None or any(proxy.general_settings.get(name) for name in _TOKEN_SETTINGS):
        return True
    return proxy.master_key is None or digest(proxy.master_key) == key_digest


def key_of(entry: KeyEntry) -> UserAPIKeyAuth:
    """Return the authenticated key of an entry, as LiteLLM has it."""
    return UserAPIKeyAuth(
        api_key=entry.sha256,
        key_alias=entry.name,
        rpm_limit=entry.requests_per_minute,
        models=list(entry.models),
        user_role=LitellmUserRoles.INTERNAL_USER,
        metadata={QUOTA: KeyQuota(weight=entry.weight, share=entry.share)},
    )


async def require_allowed_models(caller: Any, body: Mapping[str, Any], router: Any) -> None:
    """Raise the proxy's error (403) if a key of the file asks for a model that it may not call.

    LiteLLM checks the models of its own keys only, unless `enable_post_custom_auth_checks` is on.
    """
    if not getattr(caller, "authenticated_by_custom_auth", False) or not caller.models:
        return
    for model in asked_models(body):
        await can_key_call_model(model=model, llm_model_list=None, valid_token=caller, llm_router=router)


def quota_caller(key: UserAPIKeyAuth) -> Caller:
    """Return the caller as which an authenticated key uses the account."""
    return key_caller(key.key_alias, key.api_key, key.metadata)
