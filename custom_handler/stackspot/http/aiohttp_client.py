"""HTTP on an event loop, over aiohttp.

aiohttp parses in C as bytes arrive, and buffers what is not yet read. `read` returns all of it: a
lone piece at once, more the longer the reader is busy, so the work per answer falls under load.
Beyond 128 kB the socket is not read: a slow client slows its agent. Errors are httpx's.
"""

from __future__ import annotations

import asyncio
import functools
import io
import socket
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx

BUFFER = 64 * 1024  # aiohttp stops reading at twice this size
MAX_WRITE = 1024 * 1024  # aiohttp warns of a larger body in one write
RESOLVER_THREADS = 8
KEEPALIVE = 30.0  # gateways commonly close a connection after 60 idle seconds

_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (  # the first match counts
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)


class HttpClient:
    """The connection pool of one event loop."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._resolver = _Resolver()
        connector = aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=KEEPALIVE, resolver=self._resolver)
        cookies = aiohttp.DummyCookieJar()  # callers must not share cookies
        traces = aiohttp.TraceConfig()
        traces.on_request_headers_sent.append(_call_note_sent)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=cookies, read_bufsize=BUFFER, trace_configs=[traces]
        )
        self._proxy = functools.lru_cache(maxsize=100)(_environment_proxy)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        timeout: httpx.Timeout,
        *,
        note_sent: Callable[[], None],
    ) -> HttpResponse:
        """Send a request, and return its response after the headers; raises httpx's errors.

        `note_sent` is called once there is a connection, when the headers are sent.
        """
        try:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout.connect, sock_read=timeout.read)
            body = io.BytesIO(content) if len(content) > MAX_WRITE else content
            response = await self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                timeout=limits,
                proxy=self._proxy(url),
                allow_redirects=False,
                trace_request_ctx=note_sent,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _as_httpx(error, url, timeout) from error
        return HttpResponse(response, url, timeout)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._resolver.close()


class HttpResponse:
    """A response whose headers arrived, and whose body is read in pieces."""

    def __init__(self, response: aiohttp.ClientResponse, url: str, timeout: httpx.Timeout) -> None:
        self._response = response
        self._url = url
        self._timeout = timeout
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    @property
    def arrived(self) -> bool:
        """Whether the whole body has arrived, so that no read waits."""
        return self._response.content.is_eof()

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self._response.content.at_eof()

    async def read(self) -> bytes | None:
        """Return the bytes that arrived, or None at the end of the body; raises httpx's errors."""
        try:
            return await self._response.content.readany() or None
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx(error, self._url, self._timeout) from error

    async def aclose(self) -> None:
        """Close the connection, unless the body has been read to its end."""
        self._response.close()
        await asyncio.sleep(0)  # the loop closes the socket in its next iteration


async def _call_note_sent(session: aiohttp.ClientSession, context: Any, params: object) -> None:  # noqa: ARG001
    # The response keeps this context: with the callback it would keep the call, which has the
    # response, so that only the garbage collector could free them. aiohttp may send twice.
    note_sent, context.trace_request_ctx = context.trace_request_ctx, None
    if note_sent is not None:
        note_sent()


class _Resolver(aiohttp.abc.AbstractResolver):
    """Resolve names on threads of its own, so that no other blocking work delays a connection."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="stackspot-resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the addresses of a host."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, _addresses, host, port, family)
        except RuntimeError:  # the interpreter exits: executors accept no work
            return _addresses(host, port, family)

    async def close(self) -> None:
        """End the threads that are idle; one that waits for an address ends with it."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[aiohttp.abc.ResolveResult]:
    wanted = 0 if host == "localhost" else socket.AI_ADDRCONFIG  # which hides localhost on Windows without a network
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=wanted)
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        {"hostname": host, "host": str(at[0]), "port": port, "family": kind, "proto": proto, "flags": flags}
        for kind, _, proto, _, at in found
    ]


def _environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment sets for a URL."""
    # aiohttp would look it up on a thread for every request, and read .netrc.
    parts = httpx.URL(url)
    if not parts.host or urllib.request.proxy_bypass(parts.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme, proxies.get("all"))


def _as_httpx(error: Exception, url: str, timeout: httpx.Timeout) -> httpx.RequestError:
    # A malformed URL; its text may contain the proxy's password. SSLErrors are ValueErrors too.
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return httpx.UnsupportedProtocol("no address of HTTP, here or of the proxy")
    # aiohttp's own text of this error contains the proxy's URL, with its password.
    message = f"{error.status} {error.message}" if isinstance(error, aiohttp.ClientResponseError) else str(error)
    kind = next((kind for known, kind in _ERRORS if isinstance(error, known)), httpx.ConnectError)
    return kind(message, request=httpx.Request("POST", url, extensions={"timeout": timeout.as_dict()}))
