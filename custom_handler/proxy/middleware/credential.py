"""The credential of a request, in any header that LiteLLM reads a key from."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

# In LiteLLM's order: a second header gives a client no second identity.
_HEADERS = (
    "x-litellm-api-key",
    "authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
)
_BEARER = "bearer "


def credential_of(scope: Scope) -> str | None:
    """Return the value of the first such header, without `Bearer`; None if there is none."""
    headers = Headers(scope=scope)
    value = next(filter(None, map(headers.get, _HEADERS)), None)
    return value[len(_BEARER) :] if value and value.lower().startswith(_BEARER) else value
