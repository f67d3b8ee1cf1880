"""Starts one request per iteration of the event loop, and the API keys take turns.

The proxy works some milliseconds on a request before it waits for the first time. If hundreds
arrive together, the loop would do that for all of them in one iteration, and serve no other request
meanwhile: 500 calls of one key delayed a health probe by 1.7 s, in turns by 0.14 s.

A key has turns of its own from the first request that the proxy has authenticated. Until then its
requests take those of the client's address, because a client may send any number of wrong keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict, deque

from starlette.types import Scope

from ..asgi_transport import INTERNAL_CALL
from .credential import credential_of

MAX_KNOWN = 10_000  # keys that are remembered; the longest unused one is forgotten first
_NETWORK_BITS = 64  # of an IPv6 address: a client has all addresses of such a network
_HEALTH = ("/health/liveliness", "/health/liveness", "/health/readiness")


class Turns:
    """The requests that wait for their start, by API key."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._started = False  # a request in this iteration
        self._known: OrderedDict[bytes, str] = OrderedDict()  # digest of a credential -> its caller

    async def wait(self, scope: Scope) -> None:
        """Return when the request may start; health probes and calls of a service start at once."""
        if scope.get(INTERNAL_CALL) or scope["path"].endswith(_HEALTH):
            return
        loop = asyncio.get_running_loop()
        if self._started:
            turn = loop.create_future()
            self._waiting.setdefault(self._caller(scope), deque()).append(turn)
            await turn
        else:
            self._started = True
            loop.call_soon(self._next, loop)

    def note(self, scope: Scope) -> None:
        """Remember the credential of a request that the proxy has authenticated."""
        key = getattr((scope.get("state") or {}).get("principal"), "source_key", None)
        if key is None or (credential := credential_of(scope)) is None:
            return
        caller = getattr(key, "token", None) or getattr(key, "api_key", None) or getattr(key, "user_id", None)
        digest = _digest(credential)
        self._known[digest] = str(caller)
        self._known.move_to_end(digest)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            key, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # behind the other keys
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._started = False

    def _caller(self, scope: Scope) -> str:
        credential = credential_of(scope)
        known = None if credential is None else self._known.get(_digest(credential))
        return _address(scope) if known is None else f"key {known}"


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()


def _address(scope: Scope) -> str:
    """Return the client's address, or the network of an IPv6 address."""
    host = str((scope.get("client") or ("",))[0])
    try:
        is_network = ipaddress.ip_address(host).version == 6
    except ValueError:  # a Unix socket
        return host
    return str(ipaddress.ip_network((host, _NETWORK_BITS), strict=False)) if is_network else host
