"""Tokens: how an answer is read, and one request for any number of callers. Clock and token call are the test's own."""

from __future__ import annotations

import asyncio
import base64
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest

from custom_handler.errors import ConfigurationError, CredentialsRefused, IdentityUnavailable, StackspotError
from custom_handler.settings import AccountSettings
from custom_handler.stackspot.tokens import (
    UNKNOWN_LIFETIME,
    Token,
    TokenCache,
    TokenFetcher,
    read_token,
    token_form,
    token_url,
)
from tests.support.clock import Clock

ACCOUNT = AccountSettings(client_id="an-id", client_secret="a-secret", realm="acme", idm_url="https://idm.example")
A_DAY = 86_400


def signed(**claims: Any) -> str:
    return jwt.encode(claims, "a key of thirty-two bytes, no less", algorithm="HS256")


class Identity:
    """A token call that counts, and that can be held back, or fail."""

    def __init__(self, lifetime: float = 1200, seconds: float = 0) -> None:
        self.calls = 0
        self.clock = Clock(1000.0)
        self.failure: BaseException | None = None
        self.open = threading.Event()
        self.open.set()
        self._lifetime = lifetime
        self._seconds = seconds
        self.store = TokenCache(self, clock=self.clock)

    def __call__(self) -> Token:
        self.calls += 1
        number = self.calls
        assert self.open.wait(10)
        self.clock.now += self._seconds
        if self.failure is not None:
            raise self.failure
        return Token(f"token-{number}", self._lifetime)

    def token(self, refused: Token | None = None) -> Token:
        return self.store.request(refused).result(10)


@dataclass(frozen=True, slots=True)
class Granted:
    """A good answer of the identity service, and how long its token lives."""

    id: str
    lifetime: float
    claims: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None


GRANTED = [
    Granted("the claims say it", 1200, {"iat": 1000, "exp": 2200}),
    Granted("the claims win over expires_in", 1200, {"iat": 1000, "exp": 2200}, {"expires_in": 60}),
    Granted("an issuer whose clock is a day ahead", 1200, {"iat": 2**32 + A_DAY, "exp": 2**32 + A_DAY + 1200}),
    Granted("an issuer whose clock is years behind", 1200, {"iat": 1, "exp": 1201}),
    Granted("no iat", 1199, {"exp": 2200}, {"expires_in": 1199}),
    Granted("no exp", 1199, {"iat": 2200}, {"expires_in": 1199}),
    Granted("claims of the wrong type", 1199, {"iat": None, "exp": None}, {"expires_in": 1199}),
    Granted("no claims, seconds as a string", 1199, {}, {"expires_in": "1199"}),
    Granted("an opaque token", 1200, None, {"expires_in": 1200}),
    Granted("an opaque token without expires_in", UNKNOWN_LIFETIME),
    Granted("expires_in is null", UNKNOWN_LIFETIME, None, {"expires_in": None}),
    Granted("expires_in is a word", UNKNOWN_LIFETIME, None, {"expires_in": "soon"}),
    Granted("a token that was dead before it was given", 0, {"iat": 2200, "exp": 1000}),
    Granted("less than nothing", 0, None, {"expires_in": -5}),
    Granted("a fraction of a second", 0.5, None, {"expires_in": 0.5}),
    Granted("for ever", A_DAY, None, {"expires_in": float("inf")}),
    Granted("a century", A_DAY, None, {"expires_in": 10**10}),
    Granted("not a number", UNKNOWN_LIFETIME, None, {"expires_in": float("nan")}),
    Granted("a number too large for one", UNKNOWN_LIFETIME, None, {"expires_in": 10**400}),
    Granted("a list", UNKNOWN_LIFETIME, None, {"expires_in": []}),
]


@pytest.mark.parametrize("case", GRANTED, ids=lambda case: case.id)
def test_a_tokens_lifetime_is_read_from_claims_or_expires_in(case):
    value = "opaque" if case.claims is None else signed(**case.claims)
    token = read_token(200, {"access_token": value, "token_type": "Bearer", **(case.fields or {})}, ACCOUNT)
    assert (token.value, token.lifetime) == (value, case.lifetime)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is no token, and the settings that its error names."""

    id: str
    status: int
    answer: Any
    error: type[Exception]
    named: tuple[str, ...]


REFUSED = [
    Refused("401", 401, {"error": "unauthorized_client"}, CredentialsRefused, ("CLIENT_ID", "CLIENT_SECRET")),
    Refused("401 without a body", 401, None, CredentialsRefused, ("CLIENT_ID", "CLIENT_SECRET")),
    Refused("400", 400, {"error": "invalid_client"}, CredentialsRefused, ("CLIENT_ID", "CLIENT_SECRET")),
    Refused("403", 403, None, CredentialsRefused, ("CLIENT_ID", "CLIENT_SECRET")),
    Refused("404", 404, None, CredentialsRefused, ("REALM",)),
    Refused("500", 500, None, IdentityUnavailable, ("STACKSPOT_IDM_URL", "500")),
    Refused("a page", 200, None, IdentityUnavailable, ("STACKSPOT_IDM_URL",)),
    Refused("a list", 200, ["token"], IdentityUnavailable, ("STACKSPOT_IDM_URL",)),
    Refused("no token", 200, {"expires_in": 1200}, IdentityUnavailable, ("STACKSPOT_IDM_URL",)),
    Refused("a token that is null", 200, {"access_token": None}, IdentityUnavailable, ("STACKSPOT_IDM_URL",)),
    Refused("a redirect", 302, None, IdentityUnavailable, ("STACKSPOT_IDM_URL", "302")),
]


def test_claims_that_are_nested_too_deep_tell_no_lifetime():
    claims = base64.urlsafe_b64encode(b"[" * 60_000).decode().rstrip("=")
    header, _, signature = signed().split(".")
    token = read_token(200, {"access_token": f"{header}.{claims}.{signature}", "expires_in": 60}, AccountSettings())
    assert token.lifetime == 60


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_a_response_without_a_token_names_the_setting_to_check(case, caplog):
    with pytest.raises(case.error) as raised:
        read_token(case.status, case.answer, ACCOUNT)
    assert [name for name in case.named if name not in raised.value.message] == []
    assert "a-secret" not in raised.value.message + caplog.text
    assert raised.value.status_code in {502, 503}
    assert "acme" not in raised.value.message, "callers of the proxy receive the message"
    assert ("realm 'acme'" in caplog.text) is (case.error is CredentialsRefused)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": "unauthorized_client", "error_description": "The client is disabled"}, "The client is disabled"),
        (400, {"error": "invalid_client", "error_description": "No client a-secret of acme"}, "No client (removed) of (removed)"),
        (503, "upstream connect error or disconnect/reset before headers", "upstream connect error or disconnect/reset before headers"),
        (404, {"message": "Realm acme is unknown at https://idm.internal/acme"}, "Realm (removed) is unknown at (removed)"),
    ],
)  # fmt: skip
def test_an_error_has_the_words_of_the_identity_service(status, body, said):
    with pytest.raises(StackspotError) as raised:
        read_token(status, body, ACCOUNT)
    assert raised.value.message.endswith(f' The platform says: "{said}"')


@pytest.mark.parametrize(
    ("status", "body"), [(502, "<html><h1>Bad Gateway</h1></html>"), (500, None), (401, {"error": 7}), (401, "")]
)
def test_without_words_nothing_is_quoted(status, body):
    with pytest.raises(StackspotError) as raised:
        read_token(status, body, ACCOUNT)
    assert "The platform says" not in raised.value.message


def test_the_token_request_is_the_grant_of_the_contract():
    assert token_url(ACCOUNT) == "https://idm.example/acme/oidc/oauth/token"
    assert token_form(ACCOUNT) == {
        "grant_type": "client_credentials",
        "client_id": "an-id",
        "client_secret": "a-secret",
    }


def test_the_repr_of_a_token_does_not_contain_it():
    assert "canary" not in repr(Token("canary", 1))


def test_one_token_call_serves_two_hundred_threads_at_once():
    identity = Identity()
    identity.open.clear()
    asked = threading.Barrier(201)

    def ask() -> Token:
        asked.wait(10)
        return identity.token()

    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(ask) for _ in range(200)]
        asked.wait(10)
        identity.open.set()
        assert {future.result(10).value for future in waiting} == {"token-1"}
    assert identity.calls == 1


async def test_one_token_call_serves_two_hundred_tasks_at_once():
    identity = Identity()
    identity.open.clear()
    waiting = [asyncio.wrap_future(identity.store.request()) for _ in range(200)]
    identity.open.set()
    assert {token.value for token in await asyncio.gather(*waiting)} == {"token-1"}
    assert identity.calls == 1


async def test_one_token_call_serves_tasks_and_threads_together():
    identity = Identity()
    identity.open.clear()
    threads = [asyncio.create_task(asyncio.to_thread(identity.token)) for _ in range(5)]
    tasks = [asyncio.wrap_future(identity.store.request()) for _ in range(5)]
    identity.open.set()
    assert {token.value for token in await asyncio.gather(*threads, *tasks)} == {"token-1"}
    assert identity.calls == 1


async def test_cancelling_one_task_does_not_cancel_the_token_request():
    identity = Identity()
    identity.open.clear()
    leaving, staying = (asyncio.ensure_future(asyncio.wrap_future(identity.store.request())) for _ in range(2))
    leaving.cancel()
    await asyncio.wait({leaving})
    identity.open.set()
    assert (await staying).value == "token-1"
    assert (identity.token().value, identity.calls) == ("token-1", 1)


def test_two_runs_of_asyncio_share_the_token():
    identity = Identity()

    async def ask() -> str:
        return (await asyncio.wrap_future(identity.store.request())).value

    assert (asyncio.run(ask()), asyncio.run(ask())) == ("token-1", "token-1")
    assert identity.calls == 1


@pytest.mark.parametrize(
    ("lifetime", "renewed", "dead"),
    [(1200, 900, 1200), (2400, 2100, 2400), (120, 90, 120), (4, 3, 4)],
    ids=["five minutes before the end", "of a long life too", "a quarter of two minutes", "a quarter of a short life"],
)
def test_a_token_is_used_while_it_is_renewed(lifetime, renewed, dead, eventually):
    identity = Identity(lifetime)
    identity.token()
    start = identity.clock.now
    identity.clock.now = start + renewed - 0.1
    assert (identity.token().value, identity.calls) == ("token-1", 1)
    identity.open.clear()
    identity.clock.now = start + renewed + 0.1
    assert [identity.store.request().result(0).value for _ in range(50)] == ["token-1"] * 50
    identity.clock.now = start + dead - 0.1
    assert identity.store.request().result(0).value == "token-1"
    assert eventually(lambda: identity.calls) == 2
    identity.clock.now = start + dead + 0.1
    waiting = [identity.store.request() for _ in range(50)]
    assert not any(promise.done() for promise in waiting)
    identity.open.set()
    assert {promise.result(10).value for promise in waiting} == {"token-2"}
    assert identity.calls == 2


def test_the_lifetime_starts_before_the_token_request():
    identity = Identity(lifetime=1200, seconds=40)
    identity.token()
    identity.clock.now += 1159
    identity.open.clear()
    assert identity.store.request().result(0).value == "token-1"
    identity.clock.now += 2
    assert not identity.store.request().done()
    identity.open.set()


def test_a_token_without_a_lifetime_is_not_cached():
    identity = Identity(lifetime=0)
    assert [identity.token().value for _ in range(3)] == ["token-1", "token-2", "token-3"]


def test_a_rejected_token_is_renewed_once_for_all_callers():
    identity = Identity()
    refused = identity.token()
    identity.open.clear()
    waiting = [identity.store.request(refused) for _ in range(50)]
    identity.open.set()
    assert {future.result(10).value for future in waiting} == {"token-2"}
    assert identity.token(refused).value == "token-2"
    assert identity.calls == 2


def test_a_rejected_token_is_not_returned_to_other_callers():
    identity = Identity()
    refused = identity.token()
    assert identity.token(refused).value == "token-2"
    assert identity.token().value == "token-2"


@pytest.mark.parametrize("failure", [IdentityUnavailable("no"), RuntimeError("boom"), SystemExit()])
def test_a_failure_reaches_all_waiters_and_is_cached_for_5_s(failure):
    identity = Identity()
    identity.open.clear()
    identity.failure = failure
    waiting: list[Future[Token]] = [identity.store.request() for _ in range(20)]
    identity.open.set()
    assert {future.exception(10) for future in waiting} == {failure}
    identity.clock.now += 4.9
    remembered = identity.store.request().exception(0)
    assert type(remembered) is IdentityUnavailable
    assert remembered is not identity.store.request().exception(0)
    assert identity.calls == 1
    identity.failure = None
    identity.clock.now += 0.2
    assert (identity.token().value, identity.calls) == ("token-2", 2)


def test_an_unavailable_identity_service_has_retry_after():
    identity = Identity()
    identity.failure = IdentityUnavailable("no")
    assert identity.store.request().exception(10).retry_after == 5


def test_a_failed_background_renewal_is_retried(eventually):
    identity = Identity(lifetime=1200)
    token = identity.token()
    identity.failure = IdentityUnavailable("no")
    identity.clock.now += 1000
    assert [identity.token() for _ in range(20)] == [token] * 20
    assert eventually(lambda: identity.store._retry_at > identity.clock.now)
    assert (identity.token(), identity.calls) == (token, 2)
    identity.failure = None
    identity.clock.now += 5.1
    assert identity.token() is token
    assert eventually(lambda: identity.token().value) == "token-3" or identity.calls == 3


def test_a_rejected_token_is_not_used_even_without_another():
    identity = Identity()
    token = identity.token()
    identity.failure = IdentityUnavailable("no")
    for refused in (token, None, token):
        with pytest.raises(IdentityUnavailable):
            identity.token(refused)
    assert identity.calls == 2


class Portal:
    """The credentials that the identity service takes, and those that stand in the files."""

    def __init__(self, good: str, found: str | Exception) -> None:
        self.good = good
        self.found = found
        self.asked: list[str] = []
        self.credentials = TokenFetcher(replace(ACCOUNT, client_secret="first"), self.ask, self.reload)

    def ask(self, account: AccountSettings) -> Token:
        self.asked += [account.client_secret]
        if account.client_secret != self.good:
            raise CredentialsRefused("no")
        return Token(account.client_secret, 1200)

    def reload(self) -> AccountSettings:
        if isinstance(self.found, Exception):
            raise self.found
        return AccountSettings(client_id="an-id", client_secret=self.found, realm="acme")


def test_rejected_credentials_are_read_again_and_replaced():
    portal = Portal(good="second", found="second")
    assert portal.credentials.fetch().value == "second"
    portal.found = "third"
    assert portal.credentials.fetch().value == "second"
    assert portal.asked == ["first", "second", "second"]


@pytest.mark.parametrize("found", ["first", "", ConfigurationError("gone")], ids=["the same", "none", "unreadable"])
def test_credentials_that_have_not_changed_are_not_tried_twice(found):
    portal = Portal(good="second", found=found)
    with pytest.raises(CredentialsRefused):
        portal.credentials.fetch()
    assert portal.asked == ["first"]


def test_rejected_new_credentials_do_not_replace_the_old():
    portal = Portal(good="none", found="second")
    for _ in range(2):
        with pytest.raises(CredentialsRefused):
            portal.credentials.fetch()
    portal.good = "first"
    assert portal.credentials.fetch().value == "first"
    assert portal.asked == ["first", "second", "first", "second", "first"]


def test_the_token_request_runs_on_another_thread():
    names: list[str] = []

    def fetch() -> Token:
        names.append(threading.current_thread().name)
        return Token("a", 1200)

    TokenCache(fetch).request().result(10)
    assert names == ["stackspot-token"]
