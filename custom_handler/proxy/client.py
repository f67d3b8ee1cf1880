"""Asks a model through the proxy's own front door.

A service is a client of the proxy that happens to live in it: a call of its `/v1/chat/completions`, without a socket.
So keys, budgets, limits, fallbacks, hooks and logs apply as to any client's call, and nothing of them is written twice.

    router = Router.inside(litellm.proxy.proxy_server.app)        # or Router.over("http://proxy:4000"), from elsewhere
    answer = await router.ask({"model": …, "messages": …}, forwarded_headers(request))
    async with router.stream({"model": …, "messages": …}, forwarded_headers(request)) as answer:   # refused here, …
        async for chunk in answer.chunks: …                                                     # … or within the stream
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from ..request.context import request_id
from .asgi_transport import SERVICE_ROUTE, ASGIStreamTransport
from .middleware.request_id import HEADER as REQUEST_ID

PATH = "/v1/chat/completions"

_OF_THE_CONNECTION = {
    *("accept", "accept-encoding", "connection", "cookie", "expect", "host", "keep-alive", "origin", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
_OF_THE_MESSAGE = ("content-", "proxy-", "sec-")


class ProxyResponseError(Exception):
    """The proxy answered with an error: its status, what it said (`message`, `type`, `code`, …) and its headers."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(str(error.get("message") or f"the proxy answered {status}"))
        self.status = status
        self.error = dict(error)
        self.headers = headers

    def body(self) -> dict[str, Any]:
        """Return the error as the proxy sent it, completed to OpenAI's error object: `message`, `type`, `code`."""
        return {"type": None, **self.error, "message": str(self), "code": str(self.error.get("code") or self.status)}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer (an OpenAI `chat.completion`), and the headers that the proxy gave it."""

    completion: dict[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CompletionStream:
    """An answer that is coming (`chat.completion.chunk`s), and the headers that the proxy gave it."""

    chunks: AsyncIterator[dict[str, Any]]
    headers: Mapping[str, str]


class ProxyClient:
    """The chat completions of a proxy, asked for in a caller's name; raises Refused."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def inside(cls, app: ASGIApp) -> ProxyClient:
        """Ask the proxy that runs in this process."""
        return cls(httpx.AsyncClient(base_url="http://proxy", transport=ASGIStreamTransport(app)))

    @classmethod
    def over(cls, url: str) -> ProxyClient:
        """Ask a proxy over the network."""
        return cls(httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(None, connect=10.0)))

    async def ask(
        self, body: Mapping[str, Any], headers: Mapping[str, str], *, service_route: str | None = None
    ) -> Completion:
        """Return a whole answer; cancelling this ends the call.

        `service_route` is the route for the telemetry, where no request is being served.
        """
        request = self._request({**body, "stream": False}, headers)
        request.extensions[SERVICE_ROUTE] = service_route
        with _reached():
            response = await self._client.send(request)
        _raise_for(response)
        return Completion(response.json(), response.headers)

    @contextlib.asynccontextmanager
    async def stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncIterator[CompletionStream]:
        """Ask for an answer as it comes, its usage in the end; leaving the context ends the call."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        with _reached():
            response = await self._client.send(self._request(asked, headers), stream=True)
        async with contextlib.aclosing(response):
            if response.is_error:
                await response.aread()
                _raise_for(response)
            yield CompletionStream(_chunks(response), response.headers)

    def _request(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Request:
        named = {**headers, "content-type": "application/json"}
        return self._client.build_request("POST", PATH, content=encoded(body), headers=named)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Write a body as JSON; raises Refused for what Python's reader lets in and JSON cannot say."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        message = "What was sent holds NaN, Infinity or half a surrogate pair: leave it out, for JSON cannot say it."
        raise ProxyResponseError(422, {"message": message, "type": "invalid_request_error"}, {}) from None


def forwarded_headers(connection: HTTPConnection) -> dict[str, str]:
    """Take what a caller sent about itself and its call: its key, its correlation id, its tags, its trace."""
    own = {
        name: value
        for name, value in connection.headers.items()
        if name not in _OF_THE_CONNECTION and not name.startswith(_OF_THE_MESSAGE)
    }
    return own | ({REQUEST_ID: request_id()} if request_id() else {})


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        told = {"message": f"The proxy gave no answer ({type(error).__name__}).", "type": "connection_error"}
        raise ProxyResponseError(502, told, {}) from error


async def _chunks(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    with _reached():
        async for event in EventSource(response).aiter_sse():
            if event.data == "[DONE]":
                return
            chunk = json.loads(event.data)
            if error := chunk.get("error"):
                raise ProxyResponseError(_status(error), error, response.headers)
            yield chunk
    raise ProxyResponseError(502, {"message": "The answer broke off.", "type": "incomplete"}, response.headers)


def _raise_for(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        told = response.json()
    except ValueError:
        told = {}
    error = told.get("error") or told.get("detail") or {}
    named = error if isinstance(error, dict) else {"message": str(error)}
    raise ProxyResponseError(response.status_code, named, response.headers)


def _status(error: Mapping[str, Any]) -> int:
    code = str(error.get("code"))
    return int(code) if code.isdecimal() and 400 <= int(code) < 600 else 500
