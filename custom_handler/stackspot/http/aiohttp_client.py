"""HTTP on an event loop, over aiohttp: what has arrived is taken together, and nothing waits for more.

aiohttp parses in C as the bytes come in, and keeps what nobody has taken. A lone piece is there to be taken at once; the longer its taker
is busy, the more is taken together, and so the work for an answer falls as the load rises. The connection is not read on
while 128 kB wait: a slow client slows its agent. Errors are httpx's.
"""

from __future__ import annotations

import asyncio
import functools
import io
import socket
import ssl
import urllib.request
from collections.abc import Mapping

import aiohttp
import httpx

BUFFER = 64 * 1024  # aiohttp stops reading at the double of it
WHOLE = 1024 * 1024
KEEPALIVE = 30.0  # gateways commonly close a connection that was idle for 60 s

_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (  # the first that fits
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientError, httpx.RemoteProtocolError),
)


class HttpClient:
    """The connections of one event loop, kept alive between calls."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        connector = aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=KEEPALIVE, resolver=_Resolver())
        # One caller's cookies are nobody else's.
        cookies = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=cookies, read_bufsize=BUFFER)
        self._proxy = functools.lru_cache(maxsize=100)(_environment_proxy)

    async def post(self, url: str, headers: Mapping[str, str], content: bytes, timeout: httpx.Timeout) -> HttpResponse:
        """Send a request, and return its answer once the head is there; raises httpx's errors."""
        try:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout.connect, sock_read=timeout.read)
            body = io.BytesIO(content) if len(content) > WHOLE else content  # aiohttp warns of more in one write
            answer = await self._session.post(
                url, data=body, headers=headers, timeout=limits, proxy=self._proxy(url), allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _as_httpx(error, url, timeout) from error
        return HttpResponse(answer, url, timeout)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class HttpResponse:
    """An answer whose head has come and whose body is coming."""

    def __init__(self, answer: aiohttp.ClientResponse, url: str, timeout: httpx.Timeout) -> None:
        self._answer = answer
        self._url = url
        self._timeout = timeout
        self.status = answer.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self._answer.content.at_eof()

    async def read(self) -> bytes | None:
        """Return all of the body that has arrived, or None at its end; raises httpx's errors."""
        try:
            return await self._answer.content.readany() or None
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx(error, self._url, self._timeout) from error

    async def aclose(self) -> None:
        """Hang up, unless the body has been read to its end."""
        self._answer.close()
        await asyncio.sleep(0)  # the loop closes the socket in its next round


class _Resolver(aiohttp.ThreadedResolver):
    """Resolve names also for a thread that outlives the main one, when executors take no more work."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the addresses of a host."""
        try:
            return await super().resolve(host, port, family)
        except RuntimeError:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            return [
                {"hostname": host, "host": str(at[0]), "port": port, "family": kind, "proto": proto, "flags": flags}
                for kind, _, proto, _, at in found
            ]


def _environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address."""
    # aiohttp would look it up for every request, on a thread, and look for a .netrc besides.
    parts = httpx.URL(url)
    if not parts.host or urllib.request.proxy_bypass(parts.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme, proxies.get("all"))


def _as_httpx(error: Exception, url: str, timeout: httpx.Timeout) -> httpx.RequestError:
    if isinstance(error, ValueError):  # an address that is none; its text may hold that of the proxy, with a password
        return httpx.UnsupportedProtocol("no address of HTTP, here or of the proxy")
    # aiohttp's own text of this error holds the proxy's address, with its password.
    said = f"{error.status} {error.message}" if isinstance(error, aiohttp.ClientResponseError) else str(error)
    kind = next((kind for known, kind in _ERRORS if isinstance(error, known)), httpx.ConnectError)
    return kind(said, request=httpx.Request("POST", url, extensions={"timeout": timeout.as_dict()}))
