"""Lets in who holds a key of the proxy's."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends
from litellm.proxy._types import UserAPIKeyAuth
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
    """Let in who may list the proxy's models, by any header that the proxy takes; else its own error, 401 as a rule.

    The proxy knows no routes but its own: asked about `/chat`, it would turn away every key but the master key. What a
    service asks of a model is then checked in full, with its model and budget, where it asks (`client.ProxyClient`).
    """
    if (request := current_request()) is not None:
        request.service_route = getattr(connection.scope.get("route"), "path", connection.url.path)
    scope = {key: connection.scope.get(key) for key in ("headers", "client", "server", "scheme")}
    scope |= {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "root_path": "", "state": {}}
    keys = {name: connection.headers.get(scheme.model.name) for name, scheme in _SCHEMES.items()}
    return await proxy.user_api_key_auth(Request(scope, _no_body), **keys)


async def _no_body() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


Caller: TypeAlias = Annotated[UserAPIKeyAuth, Depends(require_key)]
"""A parameter of a route that wants a key: who asks, as the proxy knows it; `api_key` is the hash of its key."""
