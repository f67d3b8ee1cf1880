"""Check that the hosts of the settings are reachable: StackSpot, Redis, proxies. Uses no quota."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import httpx
import redis

from ..errors import ConfigurationError
from ..settings import Settings
from ..stackspot.http.network_errors import describe_network_error
from .environment import PROXIES, Fault, masked, proxy_fault
from .probe import TIMEOUT

_REFUSALS = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)


async def unreachable(settings: Settings, tls: ssl.SSLContext | None, *, agents: bool) -> list[Fault]:
    """Probe the hosts concurrently; without `tls` or `agents`, skip those of StackSpot."""
    probes: list[Coroutine[Any, Any, Fault | None]] = []
    if tls is not None and agents:
        probes.append(_host("STACKSPOT_INFERENCE_URL", settings.account.inference_url, tls))
        probes += [_host("STACKSPOT_FILES_URL", settings.account.files_url, tls)] if settings.uploads.enabled else []
    if settings.redis.configured:
        probes.append(asyncio.to_thread(_redis, settings))
    probes += [_proxy(name, value) for name, value in _proxies(os.environ).items()]
    return [fault for fault in await asyncio.gather(*probes) if fault]


async def _host(name: str, url: str, tls: ssl.SSLContext) -> Fault | None:
    """Send a GET request; a response of any status shows that the host is reachable."""
    try:
        async with httpx.AsyncClient(verify=tls, timeout=TIMEOUT) as client, client.stream("GET", url):
            return None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = describe_network_error(error, url)
        return Fault(
            name, f"{name} is {masked(url)!r}: it cannot be reached ({reason}). Correct it, or check the network."
        )
    except (ValueError, ImportError):  # an invalid proxy has a fault of its own
        return None


def _redis(settings: Settings) -> Fault | None:
    from ..stackspot.state.redis_client import RedisClient  # noqa: PLC0415  loaded only if Redis is used

    name = "REDIS_URL" if settings.redis.url else "REDIS_HOST"
    shown = masked(settings.redis.url) or f"{settings.redis.host}:{settings.redis.port}"
    try:
        RedisClient(settings.redis, settings.account.name, time.monotonic, "", "").redis.ping()
    except ConfigurationError as error:
        return Fault(name, error.message)
    except _REFUSALS:
        cure = "correct the user and the password, in REDIS_URL or REDIS_USERNAME and REDIS_PASSWORD."
        return Fault(name, f"{name} is {shown!r}: Redis refuses the credentials: {cure}")
    except (redis.RedisError, OSError, ValueError) as error:
        what = f"Redis does not answer there ({type(error).__name__})"
        return Fault(name, f"{name} is {shown!r}: {what}. Start it, or correct the address.")
    return None


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the valid proxies by variable, each URL once."""
    found: dict[str, str] = {}
    for name in PROXIES:
        value = environ.get(name, "").strip()
        if value and value not in found.values() and not proxy_fault(name, value):
            found[name] = value
    return found


async def _proxy(name: str, value: str) -> Fault | None:
    url = httpx.URL(value)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(url.host, port), TIMEOUT)
    except (OSError, asyncio.TimeoutError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = f"{name} is {masked(value)!r}: the proxy cannot be reached ({reason})."
        return Fault(name, f"{message} Correct it, or start the proxy.")
    writer.close()
    return None
