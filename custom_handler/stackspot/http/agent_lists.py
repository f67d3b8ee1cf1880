"""GET requests for the lists of agents: limited in time and size, beside the chat's connections."""

from __future__ import annotations

import asyncio
import ssl
import sys

import httpx

from ...errors import AgentFailed, AgentUnreachable
from ..tokens import Token, TokenCache
from .network_errors import TIMEOUTS, describe_network_error

if sys.version_info >= (3, 11):
    from asyncio import timeout as time_limit
else:
    from async_timeout import timeout as time_limit

SECONDS = 30.0
MAX_BODY = 4 * 1024 * 1024


class AgentListRequests:
    """Send GET requests to the host of the lists, each over a connection of its own."""

    def __init__(self, tls: ssl.SSLContext, base_url: str, tokens: TokenCache) -> None:
        self._tls = tls
        self._base_url = base_url
        self._tokens = tokens

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; a refused token is renewed once. Raises StackspotError."""
        try:
            token = await asyncio.wrap_future(self._tokens.request())
            status, body = await self._get(path, token)
            if status == 401:
                status, body = await self._get(path, await asyncio.wrap_future(self._tokens.request(token)))
        except (httpx.HTTPError, httpx.InvalidURL, *TIMEOUTS) as error:
            raise AgentUnreachable(
                f"StackSpot's list of agents cannot be read: {describe_network_error(error, self._base_url)}. "
                "Check STACKSPOT_AGENTS_URL and the proxy."
            ) from None
        if len(body) > MAX_BODY:
            raise AgentFailed("StackSpot's list of agents has more than 4 MiB: check STACKSPOT_AGENTS_URL.")
        return status, body

    async def _get(self, path: str, token: Token) -> tuple[int, bytes]:
        """Return the status, and at most a little more than MAX_BODY of the body."""
        # A packed body could unpack to any size. Redirects would send the token elsewhere.
        headers = {
            "authorization": f"Bearer {token.value}",
            "accept": "application/json",
            "accept-encoding": "identity",
        }
        body = b""
        async with (
            time_limit(SECONDS),
            httpx.AsyncClient(verify=self._tls, timeout=SECONDS, follow_redirects=False) as client,
            client.stream("GET", self._base_url + path, headers=headers) as response,
        ):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY:
                    break
            return response.status_code, body
