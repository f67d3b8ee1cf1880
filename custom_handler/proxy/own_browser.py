"""Tell a browser on the proxy's own machine from all other clients."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:  # `run` asks for names only, and starts in a fraction of a second
    from starlette.requests import Request

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def is_own_browser(request: Request) -> bool:
    """Return whether a page of this proxy, opened on this machine, sent the request.

    The peer is this machine, and no reverse proxy is in between: it would be the peer of all its
    clients. `Host` is a name of this machine, because a page of another site can have its own name
    resolved to 127.0.0.1 (DNS rebinding), and `Origin` is the address of this proxy.
    """
    headers = request.headers
    if request.client is None or not is_own_name(request.client.host):
        return False
    if any(name in _FORWARDED or name.startswith("x-forwarded-") for name in headers):
        return False
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    return len(hosts) == 1 and is_own_name(_name(hosts[0])) and origins == [f"{request.url.scheme}://{hosts[0]}"]


def is_own_name(name: str) -> bool:
    """Return whether the name or address of a host always means this machine.

    >>> [is_own_name(name) for name in ("localhost", "::1", "127.0.0.2", "0.0.0.0", "a.example")]
    [True, True, True, False, False]
    """
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _name(host: str) -> str:
    """Return the name of a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
