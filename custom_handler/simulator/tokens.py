"""The identity host: read token requests; issue, check and revoke access tokens."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jwt

from .wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import SimulatorSettings

FORM = "application/x-www-form-urlencoded"
FIELDS = {"grant_type", "client_id", "client_secret"}
KEY = secrets.token_bytes(32)


def refused_token(status: int, error: str, description: str) -> RefusedError:
    """Return an OAuth error as Keycloak writes it."""
    return RefusedError(status, {"error": error, "error_description": description})


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Return the form's fields; raises RefusedError unless each of `FIELDS` is there once."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    form = dict(pairs)
    other_grant = form.get("grant_type", "client_credentials") != "client_credentials"
    if content_type != FORM or len(form) != len(pairs) or (set(form) != FIELDS and not other_grant):
        raise refused_token(400, "invalid_request", f"the body must be {FORM} with the fields {sorted(FIELDS)}")
    return form


def check_client(settings: SimulatorSettings, realm: str, form: dict[str, str]) -> None:
    """Raise RefusedError unless `form` has the account's credentials and the supported grant."""
    if realm != settings.realm:
        raise refused_token(404, "Realm does not exist", "unknown realm")
    if form.get("grant_type") != "client_credentials":
        raise refused_token(400, "unsupported_grant_type", "only client_credentials works")
    if (form["client_id"], form["client_secret"]) != (settings.client_id, settings.client_secret):
        raise refused_token(401, "unauthorized_client", "Invalid client or Invalid client credentials")


class TokenIssuer:
    """Sign and check tokens; `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._expiry: dict[str, float] = {}

    def issue(self, settings: SimulatorSettings, kind: str = "jwt") -> str:
        """Return a token: a "jwt", a JWT "without_times" (no iat and exp) or "opaque"."""
        now = self._clock()
        claims: dict[str, Any] = {"realm": settings.realm, "azp": settings.client_id, "jti": secrets.token_hex(8)}
        if kind == "jwt":
            claims |= {"iat": int(now), "exp": int(now) + math.ceil(settings.token_lifetime)}
        token = secrets.token_urlsafe(32) if kind == "opaque" else jwt.encode(claims, KEY, algorithm="HS256")
        self._expiry[token] = now + settings.token_lifetime
        return token

    def is_valid(self, authorization: str) -> bool:
        """Return whether the header has a bearer token that was issued and has not expired."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._clock() < self._expiry.get(token, 0)

    def revoke_all(self) -> None:
        """Revoke every token issued so far."""
        self._expiry.clear()


def token_body(token: str, lifetime: float) -> dict[str, Any]:
    """Return the body of a token response, with the additional fields of Keycloak."""
    return {
        "access_token": token,
        "expires_in": int(lifetime) if float(lifetime).is_integer() else lifetime,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "scope": "email profile",
    }
