"""Fetches files from the public internet for whoever names them, and from nowhere else.

A name is resolved once, all of its addresses have to be public, and the connection is made to one of these: a second
resolution could answer otherwise. No redirect is followed. No proxy is asked, for it would resolve the name itself: where
only a proxy leads out, nothing can be fetched, and files have to come as data URIs.
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

# NAT64 holds an IPv4 address, any; the others are special, which Python knows in its newest releases only.
_SPECIAL = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "192.0.0.0/24", "3fff::/20")))


def is_public(text: str) -> bool:
    """Tell whether an address is one of the public internet, in no notation one of a private network."""
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
    """The public internet, over https; `addresses` resolves, `allowed` judges an address."""

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

    def request(self, wanted: FetchPublicFile) -> Future[bytes]:
        """Promise the bytes, or RequestError; a thread of its own fetches them, for resolving a name blocks."""
        promise: Future[bytes] = Future()
        promise.set_running_or_notify_cancel()
        threading.Thread(target=self._keep, args=(promise, wanted), name="stackspot-fetch", daemon=True).start()
        return promise

    def _keep(self, promise: Future[bytes], wanted: FetchPublicFile) -> None:
        try:
            promise.set_result(self._fetched(wanted))
        except BaseException as error:  # noqa: BLE001  whoever waits must hear of it
            promise.set_exception(error)

    def _fetched(self, wanted: FetchPublicFile) -> bytes:
        try:
            url = httpx.URL(wanted.url)
            host = url.raw_host.decode("ascii")
        except httpx.InvalidURL:
            raise _failure(wanted, "it is no address") from None
        if url.scheme != "https" or url.userinfo or url.port is not None or not host:
            raise _failure(wanted, "only https addresses without port and password are fetched")
        until = time.monotonic() + wanted.timeout
        url = url.copy_with(host=self._address(host, wanted), port=self._port)
        try:  # on a loop, only because a blocking client has no limit for the whole: a byte now and then could hold the thread
            return asyncio.run(asyncio.wait_for(self._read(url, host, wanted), until - time.monotonic()))
        except asyncio.TimeoutError:
            raise fetch_timeout_error(wanted) from None
        except httpx.HTTPError as error:
            raise _failure(wanted, f"it cannot be fetched ({type(error).__name__})") from None

    def _address(self, host: str, wanted: FetchPublicFile) -> str:
        """Resolve a name; one text for all that is wrong, or it would tell strangers which private names exist."""
        try:
            found = self._addresses(host.strip("[]"))
            public = bool(found) and all(map(self._allowed, found))
        except (OSError, ValueError):
            public = False
        if not public:
            raise _failure(wanted, "its host has no address in the public internet")
        return found[0]

    async def _read(self, url: httpx.URL, host: str, wanted: FetchPublicFile) -> bytes:
        """Read what is there, without a client: that would log the address, in which there may be a signature."""
        headers = {"host": host, "accept-encoding": "identity"}  # what is packed could unpack to any size
        request = httpx.Request("GET", url, headers=headers, extensions={"sni_hostname": host})
        async with (
            httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as direct,
            contextlib.aclosing(await direct.handle_async_request(request)) as answer,
        ):
            if answer.status_code != 200:
                raise _failure(wanted, f"it answers HTTP {answer.status_code}, and redirects are not followed")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > wanted.most:
                    raise _failure(wanted, f"it has more than {wanted.most} bytes (STACKSPOT_UPLOAD_BYTES)")
            return bytes(body)


def fetch_timeout_error(wanted: FetchPublicFile) -> RequestError:
    """Tell that an address did not answer in time."""
    return _failure(wanted, f"it takes longer than {wanted.timeout:g} s")


def _failure(wanted: FetchPublicFile, what: str) -> RequestError:
    """Tell which field names what cannot be fetched."""
    message = f"{wanted.where}: the address is not fetched, because {what}. Send the file as a data URI."
    return RequestError(message, param=wanted.where)
