"""Carries the steps of an exchange out over HTTP, on the running loop or on that of blocking calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import ssl
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

import httpx

from ..errors import ConfigurationError, IdentityUnavailable, StackspotError
from ..instrumentation import Hook, no_hook
from ..settings import AccountSettings, Settings
from .agent_call import (
    AcquireSlot,
    AcquireToken,
    Emit,
    FetchPublicFile,
    Read,
    ReportRateLimit,
    ResponseHead,
    SaveConversation,
    Send,
    Sleep,
    Step,
    Steps,
    TakeConversation,
    advance,
)
from .http.aiohttp_client import HttpClient, HttpResponse
from .http.loop_thread import LoopThread
from .http.multipart import encode_body
from .http.network_errors import NETWORK_ERRORS, TIMEOUTS, describe_network_error, translate_network_error
from .http.public_fetch import PublicFileFetcher
from .limiter import Limiter, Slot
from .state.backend import looked_up, open_state
from .state.conversations import Conversations
from .tokens import Token, TokenCache, TokenFetcher, read_token, token_form, token_url
from .uploads import UploadCache

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit

CONNECT_TIMEOUT = 10.0
TOKEN_TIMEOUT = 30.0
REFUSAL_BYTES = 64 * 1024

Event = TypeVar("Event")
Promised = TypeVar("Promised")

_Clients: TypeAlias = dict[asyncio.AbstractEventLoop, tuple[HttpClient, AsyncGenerator[None, None]]]


class StackspotClient:
    """The connections to StackSpot, kept alive between calls: a pool for each event loop, and blocking calls share one loop."""

    def __init__(
        self,
        settings: Settings,
        tell: Hook = no_hook,
        reread: Callable[[], AccountSettings] | None = None,
        web: PublicFileFetcher | None = None,
    ) -> None:
        self._tls = tls_context(settings.account.ca_bundle)  # reads all the certificates of the machine: once is enough
        self.tokens = TokenCache(
            TokenFetcher(settings.account, functools.partial(_ask_token, self._tls), reread).fetch, tell
        )
        ledger, self._conversations = open_state(settings)
        self._limiter = Limiter(settings.limits, ledger, tell)
        self._web = web or PublicFileFetcher(self._tls)
        self.uploads = UploadCache()
        self._forget()
        _after_fork(self._forget_all)

    def _forget(self) -> None:
        self._clients: _Clients = {}
        self.blocking = LoopThread(self._clients)

    def _forget_all(self) -> None:
        """Begin anew in a fork's child: two processes cannot speak over one connection."""
        self.blocking.abandon()
        self._forget()
        self.tokens.forget()
        self._limiter.forget()
        self._conversations.forget()
        self.uploads.renew()

    def drive(self, steps: Steps[Event]) -> Generator[Sequence[Event], None, None]:
        """Carry out the steps, blocking; yields the events that arrive together. Closing the iterator hangs up."""
        return self.blocking.iterate(self.adrive(steps))

    async def adrive(self, steps: Steps[Event]) -> AsyncGenerator[Sequence[Event], None]:
        """Carry out the steps on the running loop; yields the events that arrive together. Closing the iterator hangs up."""
        line = _Line(await self._aclient(), self.tokens, Slot(self._limiter), self._conversations, self._web)
        events: list[Event] = []
        try:
            step = advance(steps, None)
            while step is not None:
                if isinstance(step, Emit):
                    events += step.events
                    step = advance(steps, None)
                    continue
                if events and not line.ended(step):  # the end that is known leaves with the text before it
                    yield events
                    events = []
                step = advance(steps, await line.perform(step))
        except StackspotError:
            if events:
                yield events
            raise
        else:
            if events:
                yield events
        finally:
            await line.hang_up()

    async def _aclient(self) -> HttpClient:
        """Return the running loop's client."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            client = HttpClient(self._tls)
            self._clients[loop] = client, _kept_open(self._clients, loop, client)
            await anext(self._clients[loop][1])
        return self._clients[loop][0]


def _ask_token(tls: ssl.SSLContext, account: AccountSettings) -> Token:
    """Make the token call; raises IdentityError, or ConfigurationError where a credential is missing."""
    account.require_credentials()
    url = token_url(account)
    try:
        answer = asyncio.run(_answered(tls, url, token_form(account)))  # its thread has no loop
    except (httpx.HTTPError, httpx.InvalidURL, *TIMEOUTS) as error:
        raise IdentityUnavailable(
            f"The identity service cannot be reached: {describe_network_error(error, url)}. Check STACKSPOT_IDM_URL and the proxy."
        ) from error
    with contextlib.suppress(ValueError):
        return read_token(answer.status_code, answer.json(), account)
    return read_token(answer.status_code, None, account)


async def _answered(tls: ssl.SSLContext, url: str, form: dict[str, str]) -> httpx.Response:
    """Post a form; only on a loop can the whole be limited, where httpx limits each of its parts."""
    async with time_limit(TOKEN_TIMEOUT), httpx.AsyncClient(verify=tls, timeout=TOKEN_TIMEOUT) as client:
        return await client.post(url, data=form)


async def _kept_open(
    clients: _Clients, loop: asyncio.AbstractEventLoop, client: HttpClient
) -> AsyncGenerator[None, None]:
    """Close the client with its loop: a loop ends its asynchronous generators before it closes."""
    try:
        yield
    finally:
        del clients[loop]
        await client.aclose()


def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Trust the authorities of certifi (or of SSL_CERT_FILE), of the system, and of a file of the operator's.

    Raises ConfigurationError for a file that is missing or holds no certificate.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        raise _no_certificates("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""), error) from None
    context.load_default_certs()
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ValueError) as error:
            raise _no_certificates("STACKSPOT_CA_BUNDLE", ca_bundle, error) from None
    return context


def _no_certificates(name: str, file: str, error: Exception) -> ConfigurationError:
    said = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else "it holds no certificate"
    return ConfigurationError(
        f"{name} is {file!r}: it is no file of PEM certificates ({said or type(error).__name__}). "
        "Name a file that holds at least one."
    )


def _after_fork(begin_anew: Callable[[], None]) -> None:
    """Have a method called in the child of every fork, for as long as its object lives."""
    if sys.platform != "win32":
        method = weakref.WeakMethod(begin_anew)
        os.register_at_fork(after_in_child=lambda: (known := method()) and known())


class _Line:
    """The connection of one exchange on the running loop."""

    def __init__(
        self, client: HttpClient, tokens: TokenCache, place: Slot, conversations: Conversations, web: PublicFileFetcher
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._place = place
        self._conversations = conversations
        self._web = web
        self._answer: HttpResponse | None = None

    async def perform(self, step: Step[Any]) -> object:
        """Return the step's answer, or the error it ended with."""
        try:
            match step:
                case AcquireToken(refused, patience):
                    async with time_limit(patience):
                        return await _kept(self._tokens.request(refused))
                case AcquireSlot(patience):
                    await _kept(self._place.request(patience))
                case ReportRateLimit(seconds):
                    self._place.throttle(seconds)
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                case TakeConversation() | SaveConversation() if self._conversations.instant:
                    return looked_up(self._conversations, step)
                case TakeConversation() | SaveConversation():
                    return await asyncio.to_thread(looked_up, self._conversations, step)
                case FetchPublicFile():
                    async with time_limit(step.timeout):
                        return await asyncio.wrap_future(self._web.request(step))
                case Send(timeout=timeout):
                    async with time_limit(timeout):  # any byte starts the client's own limit again
                        return await self._send(step)
                case Read(timeout):
                    async with time_limit(timeout):
                        return None if self._answer is None else await self._answer.read()
        except NETWORK_ERRORS as error:
            return translate_network_error(error, step)
        return None

    def ended(self, step: Step[Any]) -> bool:
        """Tell whether the answer is at its end, and a step would find that, or note it, without waiting."""
        if isinstance(step, SaveConversation):
            return self._conversations.instant
        return isinstance(step, Read) and self._answer is not None and self._answer.ended

    async def _send(self, step: Send) -> ResponseHead:
        await self._close()
        self._answer = answer = await self._client.post(step.url, *encode_body(step), _timeout(step))
        return ResponseHead(answer.status, answer.headers, b"" if answer.status == 200 else await _whole(answer))

    async def _close(self) -> None:
        if self._answer is not None:
            await self._answer.aclose()

    async def hang_up(self) -> None:
        self._place.leave()
        await self._close()


async def _kept(promise: concurrent.futures.Future[Promised]) -> Promised:
    """Return what was promised; to be told of a promise that is kept already would take a round of the loop."""
    return promise.result() if promise.done() else await asyncio.wrap_future(promise)


def _timeout(step: Send) -> httpx.Timeout:
    return httpx.Timeout(step.timeout, connect=min(CONNECT_TIMEOUT, step.timeout), pool=None)


async def _whole(answer: HttpResponse) -> bytes:
    body = b""
    while len(body) < REFUSAL_BYTES and (chunk := await answer.read()) is not None:
        body += chunk
    return body
