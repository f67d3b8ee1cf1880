"""Authenticate by the proxy's API keys."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth
from litellm.proxy.auth import user_api_key_auth as proxy
from starlette.requests import HTTPConnection, Request

from ..request.context import current_request

_SCHEMES = {
    "custom_litellm_key_header": proxy.custom_litellm_key_header,
    "api_key": proxy.api_key_header,
    "azure_api_key_header": proxy.azure_api_key_header,
    "anthropic_api_key_header": proxy.anthropic_api_key_header,
}


async def require_key(connection: HTTPConnection) -> UserAPIKeyAuth:
    """Return the caller, identified by any header that the proxy supports.

    Raises the proxy's error, usually 401, for a caller that may not list the models: the proxy
    checks keys for its own routes only, and for `/chat` would accept only the master key. Model
    and budget are checked when the service calls the proxy (`ProxyClient`).
    """
    if (request := current_request()) is not None:
        request.service_route = getattr(connection.scope.get("route"), "path", connection.url.path)
    scope = {key: connection.scope.get(key) for key in ("headers", "client", "server", "scheme")}
    scope |= {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "root_path": "", "state": {}}
    keys = {name: connection.headers.get(scheme.model.name) for name, scheme in _SCHEMES.items()}
    return await proxy.user_api_key_auth(Request(scope, _no_body), **keys)


def sees_all(key: UserAPIKeyAuth) -> bool:
    """Return whether a key may see what others do: the master key and the proxy's admins."""
    return key.user_role in {LitellmUserRoles.PROXY_ADMIN, LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY}


async def _no_body() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


Caller: TypeAlias = Annotated[UserAPIKeyAuth, Depends(require_key)]
"""The type of a route's parameter that requires a key; `api_key` is the key's hash."""
