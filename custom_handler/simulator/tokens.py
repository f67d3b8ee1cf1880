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

    from .settings import SimulatedAccount, SimulatorSettings

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


def find_account(settings: SimulatorSettings, realm: str, form: dict[str, str]) -> SimulatedAccount:
    """Return the account of the credentials; raises RefusedError for wrong ones, other grants."""
    in_realm = [account for account in settings.accounts() if account.realm == realm]
    if not in_realm:
        raise refused_token(404, "Realm does not exist", "unknown realm")
    if form.get("grant_type") != "client_credentials":
        raise refused_token(400, "unsupported_grant_type", "only client_credentials works")
    given = form["client_id"], form["client_secret"]
    for account in in_realm:
        if (account.client_id, account.client_secret) == given:
            return account
    raise refused_token(401, "unauthorized_client", "Invalid client or Invalid client credentials")


class TokenIssuer:
    """Sign and check tokens; `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: dict[str, tuple[float, str]] = {}  # the end of its life, and the client id

    def issue(self, account: SimulatedAccount, lifetime: float, kind: str = "jwt") -> str:
        """Return a token: a "jwt", a JWT "without_times" (no iat and exp) or "opaque"."""
        now = self._clock()
        claims: dict[str, Any] = {"realm": account.realm, "azp": account.client_id, "jti": secrets.token_hex(8)}
        if kind == "jwt":
            claims |= {"iat": int(now), "exp": int(now) + math.ceil(lifetime)}
        token = secrets.token_urlsafe(32) if kind == "opaque" else jwt.encode(claims, KEY, algorithm="HS256")
        self._issued[token] = now + lifetime, account.client_id
        return token

    def find_client(self, authorization: str) -> str | None:
        """Return the client id of the header's bearer token, None unless it is valid."""
        scheme, _, token = authorization.partition(" ")
        expiry, client = self._issued.get(token, (0.0, ""))
        return client if scheme.lower() == "bearer" and self._clock() < expiry else None

    def revoke_all(self) -> None:
        """Revoke every token issued so far."""
        self._issued.clear()


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
