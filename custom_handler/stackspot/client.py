"""Performs the steps of a generator over HTTP, for asynchronous and blocking callers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import ssl
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import httpx

from ..errors import IdentityUnavailable, StackspotError
from ..instrumentation import Hook, no_hook
from ..request.context import report_allowance
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
from .agent_list import Agent, list_agents
from .http.agent_lists import AgentListRequests
from .http.aiohttp_client import HttpClient, HttpResponse
from .http.loop_thread import LoopThread
from .http.multipart import encode_body
from .http.network_errors import NETWORK_ERRORS, TIMEOUTS, describe_network_error, translate_network_error
from .http.public_fetch import PublicFileFetcher
from .http.tls import tls_context
from .json_body import decode_json
from .limiter import Limiter
from .quick_command_limits import quick_command_limiter
from .quotas import AGENTS, QUICK_COMMANDS
from .reservation import end_reservation
from .slot import Slot, Slots
from .state.backend import open_state
from .state.conversations import ConversationStore
from .state.ledger import Quota
from .state.store_threads import StoreThreads
from .tokens import Token, TokenCache, TokenFetcher, read_token, token_form, token_url
from .uploads import UploadCache

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit

CONNECT_TIMEOUT = 10.0
TOKEN_TIMEOUT = 30.0
MAX_ERROR_BODY = 64 * 1024
MAX_TOKEN_BODY = 256 * 1024

Event = TypeVar("Event")
Result = TypeVar("Result")

_Clients: TypeAlias = dict[asyncio.AbstractEventLoop, tuple[HttpClient, AsyncGenerator[None, None]]]


class StackspotClient:
    """Connections to StackSpot: one pool for each event loop, and one for all blocking callers.

    `reload` reads credentials again that were rejected; `tls` is shared with other accounts.

    >>> def hello():
    ...     yield Emit(["Hello,"])
    ...     yield Emit(["world"])
    >>> list(StackspotClient(Settings()).run(hello()))
    [['Hello,', 'world']]
    """

    def __init__(
        self,
        settings: Settings,
        hook: Hook = no_hook,
        reload: Callable[[], AccountSettings] | None = None,
        fetcher: PublicFileFetcher | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls or tls_context(settings.account.ca_bundle)  # once, for it reads all certificates of the machine
        request_token = functools.partial(_request_token, self._tls)
        self.tokens = TokenCache(TokenFetcher(settings.account, request_token, reload).fetch, hook)
        self._agent_lists = AgentListRequests(self._tls, settings.account.agents_url, self.tokens)
        window, self._conversations = open_state(settings)
        self._limiter = Limiter(settings.limits, window, hook)
        self.limiters = {AGENTS: self._limiter, QUICK_COMMANDS: quick_command_limiter(settings)}
        self._fetcher = fetcher or PublicFileFetcher(self._tls)
        self.uploads = UploadCache()
        self._reset_connections()
        call_after_fork(self._reset_after_fork)

    def _reset_connections(self) -> None:
        self._clients: _Clients = {}
        self.loop_thread = LoopThread(self._clients)
        self._store = StoreThreads()

    def _reset_after_fork(self) -> None:
        """Drop connections and state in a child process, which cannot share them."""
        self.loop_thread.abandon()
        self._reset_connections()
        self.tokens.reset_after_fork()
        for limiter in self.limiters.values():
            limiter.reset_after_fork()
        self._conversations.reset_after_fork()
        self.uploads.reset_after_fork()

    def quota(self, *, quick_commands: bool = False) -> Quota:
        """Return the limits of the account and what is used of them; may block on Redis.

        With `quick_commands`, those of its Quick Commands are part of it.
        """
        quota = self._limiter.quota()
        return replace(quota, quick_commands=self.limiters[QUICK_COMMANDS].quota()) if quick_commands else quota

    async def list_agents(self, visibility: str) -> list[Agent]:
        """Return the account's agents of one visibility; uses no quota. Raises StackspotError."""
        return await list_agents(self._agent_lists.get, visibility)

    def run(self, steps: Steps[Event]) -> Generator[Sequence[Event], None, None]:
        """Do what `arun` does for a blocking caller."""
        return self.loop_thread.iterate(self.arun(steps))

    async def arun(self, steps: Steps[Event]) -> AsyncGenerator[Sequence[Event], None]:
        """Perform the steps, and yield in one batch the events that arrived together.

        Closing the iterator closes the connection. Raises StackspotError.
        """
        connection = _Connection(
            await self._client(), self.tokens, Slots(self.limiters), self._conversations, self._store, self._fetcher
        )
        events: list[Event] = []
        try:
            step = advance(steps, None)
            while step is not None:
                if isinstance(step, Emit):
                    events += step.events
                    step = advance(steps, None)
                    continue
                if events and not connection.finishes_at_once(step):  # an end that arrived joins the last batch
                    yield events
                    events = []
                step = advance(steps, await connection.perform(step))
        except StackspotError:
            if events:
                yield events
            raise
        else:
            if events:
                yield events
        finally:
            await connection.close()

    async def _client(self) -> HttpClient:
        """Return the running loop's client."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            client = HttpClient(self._tls)
            self._clients[loop] = client, _close_with_loop(self._clients, loop, client)
            await anext(self._clients[loop][1])
        return self._clients[loop][0]


def _request_token(tls: ssl.SSLContext, account: AccountSettings) -> Token:
    """Make a token request; raises IdentityError and ConfigurationError."""
    account.require_credentials()
    url = token_url(account)
    try:
        status, body = asyncio.run(_post_form(tls, url, token_form(account)))  # its thread has no loop
    except (httpx.HTTPError, httpx.InvalidURL, *TIMEOUTS) as error:
        raise IdentityUnavailable(
            f"The identity service cannot be reached: {describe_network_error(error, url)}. Check STACKSPOT_IDM_URL and the proxy."
        ) from error
    try:
        decoded = decode_json(body)
    except ValueError:
        decoded = body.decode(errors="replace")
    return read_token(status, decoded, account)


async def _post_form(tls: ssl.SSLContext, url: str, form: dict[str, str]) -> tuple[int, bytes]:
    """Post a form, and return the status and the start of the body.

    On a loop, because httpx's own timeouts limit only single reads and writes.
    """
    headers = {"accept-encoding": "identity"}  # a packed body could unpack to any size
    body = b""
    async with (
        time_limit(TOKEN_TIMEOUT),
        httpx.AsyncClient(verify=tls, timeout=TOKEN_TIMEOUT) as client,
        client.stream("POST", url, data=form, headers=headers) as response,
    ):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_TOKEN_BODY:
                break
        return response.status_code, body[:MAX_TOKEN_BODY]


async def _close_with_loop(
    clients: _Clients, loop: asyncio.AbstractEventLoop, client: HttpClient
) -> AsyncGenerator[None, None]:
    """Close the client with its loop, which closes its asynchronous generators before itself."""
    try:
        yield
    finally:
        del clients[loop]
        await client.aclose()


def call_after_fork(method: Callable[[], None]) -> None:
    """Call a method in the child of every fork while its object exists."""
    if sys.platform != "win32":
        reference = weakref.WeakMethod(method)
        os.register_at_fork(after_in_child=lambda: (bound := reference()) and bound())


@dataclass(slots=True)
class _Connection:
    """The resources of one call: its slots, its current response, and what all calls share."""

    client: HttpClient
    tokens: TokenCache
    slots: Slots
    conversations: ConversationStore
    store: StoreThreads
    fetcher: PublicFileFetcher
    response: HttpResponse | None = None
    last_slot: Slot | None = None  # of the request that is sent next
    was_sent: bool = False  # the last request, at least its headers

    async def perform(self, step: Step[Any]) -> object:
        """Return the result of the step, or the error that it failed with."""
        try:
            match step:
                case AcquireToken(rejected, timeout):
                    return await _result_of(self.tokens.request(rejected), timeout)
                case AcquireSlot():
                    await self._acquire_slot(step)
                case ReportRateLimit(seconds, quota):
                    self.slots[quota].throttle(seconds)
                    report_allowance(self.slots[quota].allowance)
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                case TakeConversation(fingerprint):
                    return await self._call_store(self.conversations.take, fingerprint)
                case SaveConversation(fingerprint, conversation_id):
                    await self._call_store(self.conversations.put, fingerprint, conversation_id)
                case FetchPublicFile():
                    async with time_limit(step.timeout):
                        return await asyncio.wrap_future(self.fetcher.request(step))
                case Send(timeout=timeout):
                    async with time_limit(timeout):  # each received byte restarts the client's own timeout
                        return await self._send(step)
                case Read(timeout):
                    return None if self.response is None else await _read(self.response, timeout)
        except NETWORK_ERRORS as error:
            failed = translate_network_error(error, step)
            if isinstance(step, Send | Read):
                failed.was_sent = self.was_sent
            return failed
        return None

    def finishes_at_once(self, step: Step[Any]) -> bool:
        """Return whether the step ends the answer, by a read or a save, without waiting."""
        if isinstance(step, SaveConversation):
            return self.conversations.is_local
        return isinstance(step, Read) and self.response is not None and self.response.ended

    async def _acquire_slot(self, step: AcquireSlot) -> None:
        """Wait for the slot; report the allowance before too: the response may start meanwhile."""
        slot = self.last_slot = self.slots[step.quota]
        try:
            end_reservation()
            admitted = slot.request(step.timeout, step.caller)
            report_allowance(slot.allowance)
            await _result_of(admitted)
        finally:
            report_allowance(slot.allowance)

    async def _call_store(self, method: Callable[..., Result | None], *arguments: str) -> Result | None:
        return method(*arguments) if self.conversations.is_local else await self.store.run(method, *arguments)

    async def _send(self, step: Send) -> ResponseHead:
        await self._close_response()
        self.was_sent = False
        timeout = httpx.Timeout(step.timeout, connect=min(CONNECT_TIMEOUT, step.timeout), pool=None)
        self.response = response = await self.client.send(
            step.method, step.url, *encode_body(step), timeout, note_sent=self._note_sent
        )
        body = b"" if response.status == 200 else await _read_error_body(response)
        return ResponseHead(response.status, response.headers, body)

    def _note_sent(self) -> None:
        self.was_sent = True
        if self.last_slot is not None:
            self.last_slot.note_sent()

    async def _close_response(self) -> None:
        if self.response is not None:
            await self.response.aclose()

    async def close(self) -> None:
        """Free the slots, and close the connection."""
        self.slots.release()
        await self._close_response()


async def _result_of(future: concurrent.futures.Future[Result], timeout: float | None = None) -> Result:
    """Await a future for `timeout` seconds; one that is done costs no iteration of the loop."""
    if future.done():
        return future.result()
    async with time_limit(timeout):
        return await asyncio.wrap_future(future)


async def _read(response: HttpResponse, timeout: float) -> bytes | None:
    if response.arrived:  # a timer costs more than the read
        return await response.read()
    async with time_limit(timeout):
        return await response.read()


async def _read_error_body(response: HttpResponse) -> bytes:
    body = b""
    while len(body) < MAX_ERROR_BODY and (chunk := await response.read()) is not None:
        body += chunk
    return body
