"""Tokens of the identity service: how one is asked for, how long it lives, and one request for any number of callers.

A token call happens once in some twenty minutes, whoever waits for it: tasks of any event loop and threads alike. So it is
always made on a short-lived thread of its own, and callers wait for one shared `concurrent.futures.Future`. Nobody's
cancellation can then abort it for the others, and no loop or lock is bound to it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import jwt

from ..errors import CredentialsRefused, IdentityUnavailable, StackspotError
from ..measures import Tell, TokenCall, nobody
from ..settings import Settings

RENEW_BEFORE_END = 60.0
UNKNOWN_LIFETIME = 300.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the number of seconds that it lives from the moment it was given."""

    value: str = field(repr=False)
    lifetime: float


def token_url(settings: Settings) -> str:
    """Where the account's realm gives its tokens (contract, section 1)."""
    return f"{settings.idm_url}/{settings.realm}/oidc/oauth/token"


def token_form(settings: Settings) -> dict[str, str]:
    """Build the form of the client credentials grant, these three fields and nothing else (contract, section 1)."""
    return {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
    }


def read_token(status: int, answer: object, settings: Settings) -> Token:
    """Read the identity service's answer; `answer` is its decoded JSON, or None where it sent something else.

    Raises CredentialsRefused for a wrong id, secret or realm, and IdentityUnavailable for all else that is no token.
    """
    if status in {400, 401, 403}:
        raise CredentialsRefused(
            f"Stackspot refuses CLIENT_ID and CLIENT_SECRET, for realm {settings.realm!r} (HTTP {status}): "
            "make a new client key in the portal and set both."
        )
    if status == 404:
        raise CredentialsRefused(
            f"Stackspot knows no realm {settings.realm!r} (HTTP 404): set REALM to the account's slug."
        )
    if status != 200 or not isinstance(answer, Mapping) or not isinstance(answer.get("access_token"), str):
        raise IdentityUnavailable(
            f"The identity service gave no token (HTTP {status}): try again, and check STACKSPOT_IDM_URL if it stays so."
        )
    return Token(answer["access_token"], _lifetime(answer))


def _lifetime(answer: Mapping[str, Any]) -> float:
    """Tell how long the token lives: by its own claims, else by `expires_in`, which can be missing, null or a string.

    Only the difference of the claims counts: the local clock may be hours off the issuer's.
    """
    try:
        claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
        return max(0.0, float(claims["exp"]) - float(claims["iat"]))
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        pass
    try:
        return max(0.0, float(answer["expires_in"]))
    except (KeyError, TypeError, ValueError):
        return UNKNOWN_LIFETIME


class TokenStore:
    """The one token of a realm and client id, renewed a minute before its end (or at half a short life).

    `fetch` makes the token call, blocking, and raises StackspotError; `clock` counts seconds.
    """

    def __init__(
        self, fetch: Callable[[], Token], tell: Tell = nobody, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._tell = tell
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._pending: Future[Token] | None = None

    def request(self, refused: Token | None = None) -> Future[Token]:
        """Promise a valid token; `refused` is one that the agent has just turned down, and which is not given again."""
        if self._pid != os.getpid():  # after a fork neither the lock nor the thread of the parent can be relied on
            self._forget()
        with self._lock:
            if self._token is not None and self._token is not refused and self._clock() < self._renew_at:
                return _kept(self._token)
            if self._pending is None:
                self._pending = Future()
                self._pending.set_running_or_notify_cancel()
                threading.Thread(target=self._renew, args=(self._pending,), name="stackspot-token", daemon=True).start()
            return self._pending

    def _renew(self, promise: Future[Token]) -> None:
        started = self._clock()
        try:
            token = self._fetch()
        except BaseException as error:  # noqa: BLE001  every waiting caller must hear of it
            logger.error(
                "Authentication failed: %s", error if isinstance(error, StackspotError) else type(error).__name__
            )
            with self._lock:
                self._pending = None
            promise.set_exception(error)
            self._tell(TokenCall(self._clock() - started, succeeded=False))
            return
        seconds = self._clock() - started
        logger.info("Authentication succeeded in %.3f s, the token lives %.0f s", seconds, token.lifetime)
        with self._lock:
            self._token = token
            self._renew_at = started + token.lifetime - min(RENEW_BEFORE_END, token.lifetime / 2)
            self._pending = None
        promise.set_result(token)
        self._tell(TokenCall(seconds, succeeded=True))


def _kept(token: Token) -> Future[Token]:
    promise: Future[Token] = Future()
    promise.set_result(token)
    return promise
