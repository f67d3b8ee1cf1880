"""The identity host: reads a token request and signs, checks and revokes access tokens."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jwt

from .errors import TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import SimulatorSettings

FORM = "application/x-www-form-urlencoded"
FIELDS = {"grant_type", "client_id", "client_secret"}
ALGORITHM = "HS256"


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a token request: the contract's three, once each, or else TokenRefusedError is raised."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise TokenRefusedError(400, "invalid_request", f"the body must be {FORM}")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise TokenRefusedError(400, "invalid_request", "the form is not URL-encoded") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRefusedError(400, "invalid_request", "duplicated parameter")
    if set(form) != FIELDS and form.get("grant_type", "client_credentials") == "client_credentials":
        problem = f"the fields must be {sorted(FIELDS)}, not {sorted(form)}"
        raise TokenRefusedError(400, "invalid_request", problem)
    return form


def check_client(settings: SimulatorSettings, realm: str, form: dict[str, str]) -> None:
    """Raise TokenRefusedError unless `form` has the account's credentials and the only grant that works."""
    if realm != settings.realm:
        raise TokenRefusedError(404, "Realm does not exist", "unknown realm")
    if form.get("grant_type") != "client_credentials":
        raise TokenRefusedError(400, "unsupported_grant_type", "only client_credentials works")
    if (form["client_id"], form["client_secret"]) != (settings.client_id, settings.client_secret):
        raise TokenRefusedError(401, "unauthorized_client", "Invalid client or Invalid client credentials")


class TokenIssuer:
    """Signs tokens with a key of its own and knows which of them are alive; `clock` is one like time.time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.revoke_all()

    def revoke_all(self) -> None:
        """Kill every token issued so far, by forgetting the key."""
        self._key = secrets.token_bytes(32)
        self._opaque: dict[str, dict[str, Any]] = {}

    def issue(self, settings: SimulatorSettings, kind: str = "jwt") -> str:
        """A token of the account, as a "jwt", a JWT "without_times" (no iat and exp) or "opaque"."""
        now = self._clock()
        seen = int(now + settings.clock_skew)
        times = {"iat": seen, "exp": seen + math.ceil(settings.token_lifetime)}
        # Fractions of a second matter to tests with short-lived tokens, and `exp` has none.
        claims = {
            "dies": now + settings.token_lifetime,
            "realm": settings.realm,
            "azp": settings.client_id,
            "jti": secrets.token_hex(8),
        }
        if kind == "opaque":
            token = secrets.token_urlsafe(32)
            self._opaque[token] = claims
            return token
        claims |= {} if kind == "without_times" else times
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def check(self, authorization: str) -> dict[str, Any] | None:
        """The claims of a living bearer token, or None."""
        scheme, _, token = authorization.partition(" ")
        claims = self._opaque.get(token) or self._decode(token)
        alive = claims is not None and self._clock() < claims.get("dies", 0)
        return claims if alive and scheme.lower() == "bearer" else None

    def _decode(self, token: str) -> dict[str, Any] | None:
        # The simulator's own `dies` decides: `exp` may be on a clock that is wrong on purpose.
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            return jwt.decode(token, self._key, algorithms=[ALGORITHM], options=options)
        except jwt.InvalidTokenError:
            return None


def token_answer(token: str, lifetime: float) -> dict[str, Any]:
    """The body of a granted token request, with the extras of Keycloak."""
    seconds = int(lifetime) if float(lifetime).is_integer() else lifetime
    return {
        "access_token": token,
        "expires_in": seconds,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "scope": "email profile",
    }
