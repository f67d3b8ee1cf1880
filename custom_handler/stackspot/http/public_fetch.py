"""Fetches files that a request names by URL, from public hosts only (SSRF protection).

A name is resolved once, all its addresses must be public, and the connection goes to one of them: a
second resolution could return another address. Redirects are not followed. No proxy is used, as it
would resolve the name itself; without a direct way out, files must be sent as data URIs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import httpx

from ...errors import RequestError
from ..agent_call import FetchPublicFile

HTTPS = 443

# NAT64 can contain any IPv4 address; only the newest Pythons know that the others are special.
_SPECIAL = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "192.0.0.0/24", "3fff::/20")))


def is_public(text: str) -> bool:
    """Return whether an address is public, in every notation.

    >>> is_public("8.8.8.8"), is_public("10.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
    return address.is_global and not (
        any(address in network for network in _SPECIAL)
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


def resolve(host: str) -> Sequence[str]:
    """Return all addresses of a host; raises OSError."""
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PublicFileFetcher:
    """Fetch files over https; `addresses` resolves a host, `allowed` accepts an address."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        addresses: Callable[[str], Sequence[str]] = resolve,
        allowed: Callable[[str], bool] = is_public,
        port: int = HTTPS,
    ) -> None:
        self._tls = tls
        self._addresses = addresses
        self._allowed = allowed
        self._port = port

    def request(self, step: FetchPublicFile) -> Future[bytes]:
        """Return a future of the file's bytes, or of RequestError.

        Each fetch has its own thread, because resolving a name blocks.
        """
        future: Future[bytes] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(target=self._fetch_into, args=(future, step), name="stackspot-fetch", daemon=True).start()
        return future

    def _fetch_into(self, future: Future[bytes], step: FetchPublicFile) -> None:
        try:
            future.set_result(self._fetch(step))
        except BaseException as error:  # noqa: BLE001  the waiting caller receives it
            future.set_exception(error)

    def _fetch(self, step: FetchPublicFile) -> bytes:
        try:
            url = httpx.URL(step.url)
            host = url.raw_host.decode("ascii")
        except httpx.InvalidURL:
            raise _fetch_error(step, "it is not a valid address") from None
        if url.scheme != "https" or url.userinfo or url.port is not None or not host:
            raise _fetch_error(step, "only https addresses without port and password are fetched")
        end = time.monotonic() + step.timeout
        url = url.copy_with(host=self._public_address(host, step), port=self._port)
        try:  # on a loop, because httpx's blocking client has no timeout for the whole transfer
            return asyncio.run(asyncio.wait_for(self._read(url, host, step), end - time.monotonic()))
        except asyncio.TimeoutError:
            raise fetch_timeout_error(step) from None
        except httpx.HTTPError as error:
            raise _fetch_error(step, f"it cannot be fetched ({type(error).__name__})") from None

    def _public_address(self, host: str, step: FetchPublicFile) -> str:
        """Resolve a name; all failures have one text, which reveals no private name."""
        try:
            found = self._addresses(host.strip("[]"))
            public = bool(found) and all(map(self._allowed, found))
        except (OSError, ValueError):
            public = False
        if not public:
            raise _fetch_error(step, "its host has no address in the public internet")
        return found[0]

    async def _read(self, url: httpx.URL, host: str, step: FetchPublicFile) -> bytes:
        """Return the body; a transport, unlike a client, does not log the (signed) URL."""
        headers = {"host": host, "accept-encoding": "identity"}  # a packed body could unpack to any size
        request = httpx.Request("GET", url, headers=headers, extensions={"sni_hostname": host})
        async with (
            httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport,
            contextlib.aclosing(await transport.handle_async_request(request)) as response,
        ):
            if response.status_code != 200:
                raise _fetch_error(step, f"it answers HTTP {response.status_code}, and redirects are not followed")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > step.max_bytes:
                    raise _fetch_error(step, f"it has more than {step.max_bytes} bytes (STACKSPOT_UPLOAD_BYTES)")
            return bytes(body)


def fetch_timeout_error(step: FetchPublicFile) -> RequestError:
    """Return the error for a URL that did not respond in time."""
    return _fetch_error(step, f"it takes longer than {step.timeout:g} s")


def _fetch_error(step: FetchPublicFile, what: str) -> RequestError:
    message = f"{step.param}: the address is not fetched, because {what}. Send the file as a data URI."
    return RequestError(message, param=step.param)
