"""Tokens of the identity service: how one is asked for, how long it lives, and one request for any number of callers.

A token call happens once in some twenty minutes, whoever waits for it: tasks of any event loop and threads alike. So it is
always made on a short-lived thread of its own, and callers wait for one shared `concurrent.futures.Future`. Nobody's
cancellation can then abort it for the others, and no loop or lock is bound to it.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigurationError, CredentialsRefused, IdentityUnavailable, StackspotError
from ..instrumentation import Hook, TokenCall, no_hook
from ..settings import AccountSettings

RENEW_BEFORE_END = 300.0
UNKNOWN_LIFETIME = 300.0
LONGEST_LIFETIME = 86_400.0
REMEMBER_FAILURE = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, the number of seconds that it lives from the moment it was given, and whose it is."""

    value: str = field(repr=False)
    lifetime: float
    account: str = ""


def token_url(account: AccountSettings) -> str:
    """Where the account's realm gives its tokens (contract, section 1)."""
    return f"{account.idm_url}/{account.realm}/oidc/oauth/token"


def token_form(account: AccountSettings) -> dict[str, str]:
    """Build the form of the client credentials grant, these three fields and nothing else (contract, section 1)."""
    return {
        "grant_type": "client_credentials",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
    }


def read_token(status: int, answer: object, account: AccountSettings) -> Token:
    """Read the identity service's answer; `answer` is its decoded JSON, or None where it sent something else.

    Raises CredentialsRefused for a wrong id, secret or realm, and IdentityUnavailable for all else that is no token.
    """
    if status in {400, 401, 403}:
        raise CredentialsRefused(
            f"StackSpot refuses CLIENT_ID and CLIENT_SECRET, for realm {account.realm!r} (HTTP {status}): "
            "make a new client key in the portal and set both."
        )
    if status == 404:
        raise CredentialsRefused(
            f"StackSpot knows no realm {account.realm!r} (HTTP 404): set REALM to the account's slug."
        )
    if status != 200 or not isinstance(answer, Mapping) or not isinstance(answer.get("access_token"), str):
        raise IdentityUnavailable(
            f"The identity service gave no token (HTTP {status}): try again, and check STACKSPOT_IDM_URL if it stays so."
        )
    return Token(answer["access_token"], _lifetime(answer), account.name)


def _lifetime(answer: Mapping[str, Any]) -> float:
    """Tell how long the token lives: by its own claims, else by `expires_in`, which can be missing, null or a string.

    Only the difference of the claims counts: the local clock may be hours off the issuer's.
    """
    import jwt  # noqa: PLC0415  it brings all of cryptography, and is needed once in some twenty minutes

    try:
        claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
        seconds = float(claims["exp"]) - float(claims["iat"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
        try:
            seconds = float(answer["expires_in"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return UNKNOWN_LIFETIME
    return UNKNOWN_LIFETIME if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_LIFETIME)


class TokenFetcher:
    """What tokens are asked with: the settings, and where these are refused, what their files hold by then.

    `ask` makes one token call and raises StackspotError; `reread` reads the files again.
    """

    def __init__(
        self,
        account: AccountSettings,
        ask: Callable[[AccountSettings], Token],
        reread: Callable[[], AccountSettings] | None = None,
    ) -> None:
        self._account = account
        self._ask = ask
        self._reread = reread

    def fetch(self) -> Token:
        """Get a token; a new client key ends the old one at once, so a refusal may mean that there is one."""
        try:
            return self._ask(self._account)
        except CredentialsRefused:
            renewed = self._renewed()
            if renewed == self._account:
                raise
        token = self._ask(renewed)
        logger.info("The credentials were read again: the new ones are good")
        self._account = renewed
        return token

    def _renewed(self) -> AccountSettings:
        """Read the credentials again; what cannot be read has not changed."""
        try:
            found = self._reread() if self._reread else self._account
        except ConfigurationError as error:
            logger.warning("The credentials cannot be read again: %s", error)
            return self._account
        if found.missing():
            return self._account
        return replace(self._account, client_id=found.client_id, client_secret=found.client_secret, realm=found.realm)


class TokenCache:
    """The one token of a realm and client id.

    It is renewed from five minutes before its end, or a quarter of a shorter life, and serves meanwhile: only where there is
    no living token do callers wait. A token that the agent refused is dead. A call that failed is not made again for
    `REMEMBER_FAILURE` seconds; who cannot do without a token is given its error.

    `fetch` makes the token call, blocking, and raises StackspotError; `clock` counts seconds.
    """

    def __init__(
        self, fetch: Callable[[], Token], tell: Hook = no_hook, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._tell = tell
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a fork's child must: it has neither the thread of its parent nor a lock that is sure to open."""
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = self._dies_at = self._retry_at = -math.inf
        self._failure = StackspotError("There was no token call.")
        self._pending: Future[Token] | None = None

    def request(self, refused: Token | None = None) -> Future[Token]:
        """Promise a valid token; `refused` is one that the agent has just turned down, and which is not given again."""
        with self._lock:
            now = self._clock()
            if self._token is not None and (self._token is refused or now >= self._dies_at):
                self._token = None
            if self._pending is None and now >= self._retry_at and (self._token is None or now >= self._renew_at):
                self._begin()
            if self._token is not None:
                return _kept(self._token)
            return self._pending or _failed(self._failure)

    def _begin(self) -> None:
        promise: Future[Token] = Future()
        promise.set_running_or_notify_cancel()
        threading.Thread(target=self._renew, args=(promise,), name="stackspot-token", daemon=True).start()
        self._pending = promise

    def _renew(self, promise: Future[Token]) -> None:
        started = self._clock()
        try:
            token = self._fetch()
        except BaseException as error:  # noqa: BLE001  every waiting caller must hear of it
            self._note_failure(error, self._clock() - started)
            promise.set_exception(error)
            return
        seconds = self._clock() - started
        logger.info("Authentication succeeded in %.3f s, the token lives %.0f s", seconds, token.lifetime)
        with self._lock:
            self._token, self._pending = token, None
            self._dies_at = started + token.lifetime
            self._renew_at = self._dies_at - min(RENEW_BEFORE_END, token.lifetime / 4)
        promise.set_result(token)
        self._tell(TokenCall(seconds, succeeded=True))

    def _note_failure(self, error: BaseException, seconds: float) -> None:
        logger.error("Authentication failed: %s", error if isinstance(error, StackspotError) else type(error).__name__)
        if isinstance(error, IdentityUnavailable):
            error.retry_after = REMEMBER_FAILURE
        with self._lock:
            self._pending, self._failure = None, _to_remember(error)
            self._retry_at = self._clock() + REMEMBER_FAILURE
        self._tell(TokenCall(seconds, succeeded=False))


def _kept(token: Token) -> Future[Token]:
    promise: Future[Token] = Future()
    promise.set_result(token)
    return promise


def _to_remember(error: BaseException) -> StackspotError:
    if isinstance(error, StackspotError):
        return error
    return IdentityUnavailable(f"The token call failed ({type(error).__name__}): the gateway's log says how.")


def _failed(error: StackspotError) -> Future[Token]:
    """Give the remembered error to one more caller: a copy, for one that is raised many times would keep all their frames."""
    promise: Future[Token] = Future()
    promise.set_exception(copy.copy(error))
    return promise
