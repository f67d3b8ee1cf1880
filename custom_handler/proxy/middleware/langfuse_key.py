"""Give a key to LiteLLM's Langfuse routes in the form that they read.

They decode `Authorization` as Basic authentication before they check any key, and fail for another
scheme: a key that LiteLLM accepts everywhere else was a 500.
"""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

from ..key_routes import called_path
from .credential import credential_of

_PREFIX = "/langfuse/"
_USER = "litellm"  # Langfuse's public key, which LiteLLM replaces by the operator's


def encode_key(scope: Scope) -> None:
    """Replace the credential of a request to Langfuse by Basic authentication, if it is not that.

    A request without a credential gets an empty one, which LiteLLM refuses.
    """
    if not called_path(scope).startswith(_PREFIX) or _is_basic(credential := credential_of(scope) or ""):
        return
    scope["headers"] = list(scope["headers"])
    encoded = base64.b64encode(f"{_USER}:{credential}".encode()).decode()
    MutableHeaders(scope=scope)["authorization"] = f"Basic {encoded}"


def _is_basic(credential: str) -> bool:
    """Return whether LiteLLM can decode a value of `Authorization`.

    >>> _is_basic("Basic bGl0ZWxsbTpzay14"), _is_basic("sk-x"), _is_basic("Basic x")
    (True, False, False)
    """
    scheme, _, encoded = credential.partition(" ")
    try:
        return scheme == "Basic" and ":" in base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
