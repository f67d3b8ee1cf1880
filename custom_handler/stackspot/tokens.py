"""Bearer tokens of the identity service: the request, the lifetime, and a cache for all callers.

A token request, about every twenty minutes, serves tasks of any event loop and threads. It runs on
its own short-lived thread, and callers wait for one shared `concurrent.futures.Future`: cancelling
one caller does not cancel it, and it is bound to no loop.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import field, replace
from typing import Any

from ..data_class import data_class
from ..errors import ConfigurationError, CredentialsRefused, IdentityUnavailable, StackspotError
from ..instrumentation import Hook, TokenCall, no_hook
from ..settings import DEFAULT_ACCOUNT, AccountSettings
from .agent_errors import Refusal, with_quote
from .private import Private

RENEW_BEFORE_END = 300.0
UNKNOWN_LIFETIME = 300.0
MAX_LIFETIME = 86_400.0
FAILURE_TTL = 5.0

logger = logging.getLogger(__name__)


@data_class
class Token:
    """A bearer token, its lifetime in seconds since it was issued, and its account."""

    value: str = field(repr=False)
    lifetime: float
    account: str = ""


def token_url(account: AccountSettings) -> str:
    """Return the URL of the realm's token endpoint (contract, section 1)."""
    return f"{account.idm_url}/{account.realm}/oidc/oauth/token"


def token_form(account: AccountSettings) -> dict[str, str]:
    """Return the form of the client credentials grant, no other fields (contract, section 1)."""
    return {
        "grant_type": "client_credentials",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
    }


def read_token(status: int, body: object, account: AccountSettings) -> Token:
    """Return the token of a response; `body` is its decoded JSON, or the text of any other body.

    Raises CredentialsRefused for a wrong id, secret or realm, else IdentityUnavailable.
    """
    if status == 200 and isinstance(body, Mapping) and isinstance(body.get("access_token"), str):
        return Token(body["access_token"], _lifetime(body), account.name)
    if status in {400, 401, 403, 404}:
        logger.error("The identity service refuses the account of realm %r (HTTP %d)", account.realm, status)
    raise with_quote(_token_error(status, account.label), Refusal.read(body).details, Private.of(account))


def _token_error(status: int, label: str) -> StackspotError:
    if status in {400, 401, 403, 404} and label != DEFAULT_ACCOUNT:
        what = "does not know the realm" if status == 404 else "refuses the credentials"
        cure = "set its realm to the account's slug" if status == 404 else "make a new client key in the portal"
        return CredentialsRefused(
            f"StackSpot {what} that the account {label!r} has in STACKSPOT_ACCOUNTS_FILE (HTTP {status}): {cure}."
        )
    if status in {400, 401, 403}:
        return CredentialsRefused(
            f"StackSpot refuses CLIENT_ID and CLIENT_SECRET, for the realm in REALM (HTTP {status}): "
            "make a new client key in the portal and set both."
        )
    if status == 404:
        return CredentialsRefused(
            "StackSpot does not know the realm in REALM (HTTP 404): set it to the account's slug, as in the portal's address."
        )
    return IdentityUnavailable(
        f"The identity service gave no token (HTTP {status}): try again, and check STACKSPOT_IDM_URL if it stays so."
    )


def _lifetime(body: Mapping[str, Any]) -> float:
    """Return the lifetime in seconds, by the claims or `expires_in` (may be missing, null, text).

    The difference of two claims is independent of the local clock, which may be hours off.
    """
    import jwt  # noqa: PLC0415  loads cryptography, needed only with a new token

    try:
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        seconds = float(claims["exp"]) - float(claims["iat"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        try:
            seconds = float(body["expires_in"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return UNKNOWN_LIFETIME
    return UNKNOWN_LIFETIME if math.isnan(seconds) else min(max(0.0, seconds), MAX_LIFETIME)


class TokenFetcher:
    """Request tokens with the credentials of the settings, or with newer ones of their files.

    `request` makes one token request and raises StackspotError; `reload` reads the files again.
    """

    def __init__(
        self,
        account: AccountSettings,
        request: Callable[[AccountSettings], Token],
        reload: Callable[[], AccountSettings] | None = None,
    ) -> None:
        self._account = account
        self._request = request
        self._reload = reload

    def fetch(self) -> Token:
        """Return a token; reload rejected credentials, for a new client key revokes the old one."""
        try:
            return self._request(self._account)
        except CredentialsRefused:
            reloaded = self._reloaded()
            if reloaded == self._account:
                raise
        token = self._request(reloaded)
        logger.info("The credentials were read again: the new ones were accepted")
        self._account = reloaded
        return token

    def _reloaded(self) -> AccountSettings:
        """Return the settings with the credentials of the files, unchanged if unreadable."""
        try:
            found = self._reload() if self._reload else self._account
        except ConfigurationError as error:
            logger.warning("The credentials cannot be read again: %s", error)
            return self._account
        if found.missing():
            return self._account
        return replace(self._account, client_id=found.client_id, client_secret=found.client_secret, realm=found.realm)


class TokenCache:
    """Keep one token and renew it before it expires.

    Renewal starts 300 s before the end, or at 3/4 of a shorter lifetime; the old token is used
    until it expires, so callers wait only without a valid token. A token that the agent rejected
    counts as expired. After a failure, callers without a token receive its error for FAILURE_TTL
    seconds.

    `fetch` makes the token request, blocking, and raises StackspotError; `clock` counts seconds.

    >>> cache = TokenCache(lambda: Token("secret", lifetime=1200))
    >>> cache.request().result(timeout=10).value
    'secret'
    """

    def __init__(
        self, fetch: Callable[[], Token], hook: Hook = no_hook, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._hook = hook
        self._clock = clock
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop all state: a child process has no thread of its parent, which may hold the lock."""
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._available: Future[Token] = Future()  # of this token
        self._renew_at = self._expires_at = self._retry_at = -math.inf
        self._failure = StackspotError("There was no token call.")
        self._pending: Future[Token] | None = None

    def request(self, rejected: Token | None = None) -> Future[Token]:
        """Return a future of a valid token other than `rejected`, one that the agent refused."""
        with self._lock:
            now = self._clock()
            if self._token is not None and (self._token is rejected or now >= self._expires_at):
                self._token = None
            if self._pending is None and now >= self._retry_at and (self._token is None or now >= self._renew_at):
                self._start_renewal()
            if self._token is not None:
                return self._available
            return self._pending or _failed(self._failure)

    def _start_renewal(self) -> None:
        future: Future[Token] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(target=self._renew, args=(future,), name="stackspot-token", daemon=True).start()
        self._pending = future

    def _renew(self, future: Future[Token]) -> None:
        started = self._clock()
        try:
            token = self._fetch()
        except BaseException as error:  # noqa: BLE001  the waiting callers receive it
            self._record_failure(error, self._clock() - started)
            future.set_exception(error)
            return
        seconds = self._clock() - started
        logger.info("Authentication succeeded in %.3f s, the token lives %.0f s", seconds, token.lifetime)
        with self._lock:
            # Not `future`: it keeps what waits for it, and with that an event loop.
            self._token, self._available, self._pending = token, _completed(token), None
            self._expires_at = started + token.lifetime
            self._renew_at = self._expires_at - min(RENEW_BEFORE_END, token.lifetime / 4)
        future.set_result(token)
        self._hook(TokenCall(seconds, succeeded=True))

    def _record_failure(self, error: BaseException, seconds: float) -> None:
        logger.error("Authentication failed: %s", error if isinstance(error, StackspotError) else type(error).__name__)
        if isinstance(error, IdentityUnavailable):
            error.retry_after = FAILURE_TTL
        with self._lock:
            self._pending, self._failure = None, _as_stackspot_error(error)
            self._retry_at = self._clock() + FAILURE_TTL
        self._hook(TokenCall(seconds, succeeded=False))


def _completed(token: Token) -> Future[Token]:
    future: Future[Token] = Future()
    future.set_result(token)
    return future


def _as_stackspot_error(error: BaseException) -> StackspotError:
    if isinstance(error, StackspotError):
        return error
    return IdentityUnavailable(f"The token call failed ({type(error).__name__}): the gateway's log says how.")


def _failed(error: StackspotError) -> Future[Token]:
    """Return a future of the error; a copy, because each raise of one object adds frames to it."""
    future: Future[Token] = Future()
    future.set_exception(copy.copy(error))
    return future
