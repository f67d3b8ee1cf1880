"""Carries the steps of an exchange out over HTTP, once blocking and once awaiting: the only part that touches the network."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any, TypeVar

import httpx

from ..errors import AgentFailed, AgentTimeout, AgentUnreachable, IdentityUnavailable, StackspotError
from ..measures import Tell, nobody
from ..settings import Settings
from .async_http import Answer, AsyncHttp
from .auth import Token, TokenStore, read_token, token_form, token_url
from .exchange import Emit, Head, NeedToken, Send, Step, Steps

CONNECT_TIMEOUT = 10.0
SILENCE_TIMEOUT = 120.0
TOKEN_TIMEOUT = 30.0
REFUSAL_BYTES = 64 * 1024

Event = TypeVar("Event")


class Transport:
    """The connections to Stackspot, kept alive between calls: one pool for all threads, and one for each event loop."""

    def __init__(self, settings: Settings, tell: Tell = nobody) -> None:
        self._settings = settings
        self._tls = httpx.create_ssl_context()  # reads all the certificates of the machine: once is enough
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=60.0)
        self._client: httpx.Client | None = None
        self._aclients: dict[asyncio.AbstractEventLoop, tuple[AsyncHttp, AsyncGenerator[None, None]]] = {}
        self.tokens = TokenStore(self._fetch_token, tell)

    def drive(self, steps: Steps[Event]) -> Iterator[Sequence[Event]]:
        """Carry out the steps, blocking; yields the events that arrive together. Closing the iterator hangs up."""
        if self._client is None:
            self._client = httpx.Client(verify=self._tls, limits=self._limits)
            weakref.finalize(self, self._client.close)
        line = _Line(self._client, self.tokens)
        try:
            step = _advance(steps, None)
            while step is not None:
                if isinstance(step, Emit):
                    yield step.events
                    step = _advance(steps, None)
                else:
                    step = _advance(steps, line.perform(step))
        finally:
            line.hang_up()

    async def adrive(self, steps: Steps[Event]) -> AsyncGenerator[Sequence[Event], None]:
        """Carry out the steps on the running loop; the async twin of `drive`."""
        line = _AsyncLine(await self._aclient(), self.tokens)
        try:
            step = _advance(steps, None)
            while step is not None:
                if isinstance(step, Emit):
                    yield step.events
                    step = _advance(steps, None)
                else:
                    step = _advance(steps, await line.perform(step))
        finally:
            await line.hang_up()

    async def _aclient(self) -> AsyncHttp:
        """Return the running loop's client."""
        loop = asyncio.get_running_loop()
        if loop not in self._aclients:
            client = AsyncHttp(self._tls)
            self._aclients[loop] = client, self._kept_open(loop, client)
            await anext(self._aclients[loop][1])
        return self._aclients[loop][0]

    async def _kept_open(self, loop: asyncio.AbstractEventLoop, client: AsyncHttp) -> AsyncGenerator[None, None]:
        """Close the client with its loop: a loop ends its asynchronous generators before it closes."""
        try:
            yield
        finally:
            del self._aclients[loop]
            await client.aclose()

    def _fetch_token(self) -> Token:
        """Make the token call; raises IdentityError, or ConfigurationError where a credential is missing."""
        self._settings.require_credentials()
        url = token_url(self._settings)
        try:
            answer = httpx.post(url, data=token_form(self._settings), timeout=TOKEN_TIMEOUT, verify=self._tls)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IdentityUnavailable(f"The identity service cannot be reached: {_reason(error, url)}.") from error
        with contextlib.suppress(ValueError):
            return read_token(answer.status_code, answer.json(), self._settings)
        return read_token(answer.status_code, None, self._settings)


class OpenedAnswer(AsyncIterator[Sequence[Event]]):
    """An answer that is waited for until it begins, so that what fails before is raised before a client is told 200.

    An agent may take longer to begin than a client can be left without a sign: after `patience` seconds the answer counts as
    opened, and its first events, or its error, come when it is read.
    """

    def __init__(self, batches: AsyncGenerator[Sequence[Event], None]) -> None:
        self._batches = batches
        self._first: asyncio.Task[Sequence[Event]] | None = None

    async def wait(self, patience: float) -> None:
        """Wait for the first events; raises StackspotError."""
        self._first = asyncio.ensure_future(anext(self._batches))
        try:
            done, _ = await asyncio.wait({self._first}, timeout=patience)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if done and (error := self._first.exception()) is not None:
            raise error

    async def __anext__(self) -> Sequence[Event]:
        """Return the events that arrived together."""
        if (first := self._first) is not None:
            self._first = None
            return await first
        return await anext(self._batches)

    async def aclose(self) -> None:
        """Hang up."""
        if (first := self._first) is not None:
            self._first = None
            first.cancel()
            await asyncio.wait({first})
        await self._batches.aclose()


class _Line:
    """The connection of one exchange, blocking."""

    def __init__(self, client: httpx.Client, tokens: TokenStore) -> None:
        self._client = client
        self._tokens = tokens
        self._answer: httpx.Response | None = None

    def perform(self, step: Step[Any]) -> object:
        """Return the step's answer, or the error it ended with."""
        try:
            match step:
                case NeedToken(refused):
                    return self._tokens.request(refused).result()
                case Send():
                    return self._send(step)
                case _:
                    return next(self._chunks, None)
        except (httpx.HTTPError, httpx.InvalidURL, StackspotError) as error:
            return _told(error, step)

    def _send(self, step: Send) -> Head:
        self.hang_up()
        request = self._client.build_request(
            "POST", step.url, headers=step.headers, content=step.content, timeout=_timeout(step)
        )
        self._answer = answer = self._client.send(request, stream=True)
        self._chunks = answer.iter_bytes()
        return _head(answer, b"" if answer.status_code == 200 else _whole(self._chunks))

    def hang_up(self) -> None:
        if self._answer is not None:
            self._answer.close()


class _AsyncLine:
    """The connection of one exchange on the running loop; the async twin of `_Line`."""

    def __init__(self, client: AsyncHttp, tokens: TokenStore) -> None:
        self._client = client
        self._tokens = tokens
        self._answer: Answer | None = None

    async def perform(self, step: Step[Any]) -> object:
        """Return the step's answer, or the error it ended with."""
        try:
            match step:
                case NeedToken(refused):
                    return await asyncio.wrap_future(self._tokens.request(refused))
                case Send():
                    return await self._send(step)
                case _:
                    return None if self._answer is None else await self._answer.read()
        except (httpx.HTTPError, httpx.InvalidURL, StackspotError) as error:
            return _told(error, step)

    async def _send(self, step: Send) -> Head:
        await self.hang_up()
        self._answer = answer = await self._client.post(step.url, step.headers, step.content, _timeout(step))
        return Head(answer.status, answer.headers, b"" if answer.status == 200 else await _awhole(answer))

    async def hang_up(self) -> None:
        if self._answer is not None:
            await self._answer.aclose()


def _advance(steps: Steps[Event], answer: object) -> Step[Event] | None:
    """Hand the answer of the last step in, an error as an exception, and return the next step, or None after the last one."""
    try:
        return steps.throw(answer) if isinstance(answer, BaseException) else steps.send(answer)
    except StopIteration:
        return None


def _timeout(step: Send) -> httpx.Timeout:
    silence = min(SILENCE_TIMEOUT, step.timeout)
    return httpx.Timeout(silence, connect=min(CONNECT_TIMEOUT, silence), pool=None)


def _head(answer: httpx.Response, body: bytes) -> Head:
    return Head(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)


def _whole(chunks: Iterator[bytes]) -> bytes:
    body = b""
    while len(body) < REFUSAL_BYTES and (chunk := next(chunks, None)) is not None:
        body += chunk
    return body


async def _awhole(answer: Answer) -> bytes:
    body = b""
    while len(body) < REFUSAL_BYTES and (chunk := await answer.read()) is not None:
        body += chunk
    return body


def _told(error: Exception, step: Step[Any]) -> StackspotError:
    """Translate what the network did into an error that a client can be shown."""
    if isinstance(error, StackspotError):
        return error
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        silence = error.request.extensions["timeout"]["read"]
        return AgentTimeout(f"The agent sent nothing for {silence:.3g} s: try again, or ask for less at once.")
    if isinstance(step, Send):
        return AgentUnreachable(
            f"The agent cannot be reached: {_reason(error, step.url)}. Check STACKSPOT_INFERENCE_URL and the proxy."
        )
    return AgentFailed(f"The connection to the agent broke within its answer ({type(error).__name__}): try again.")


def _reason(error: Exception, url: str) -> str:
    with contextlib.suppress(httpx.InvalidURL):
        url = httpx.URL(url).host or url
    return f"{url}: {str(error) or type(error).__name__}"
