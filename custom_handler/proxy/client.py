"""Call models through the proxy's API.

The services call `/v1/chat/completions` of the proxy in which they run, without a socket. So keys,
budgets, limits, fallbacks, hooks and logs apply as to any other client.

    client = ProxyClient.in_process(app)        # or ProxyClient.at("http://proxy:4000")
    completion = await client.ask({"model": …, "messages": …}, forwarded_headers(request))
    async with client.stream({"model": …, "messages": …}, forwarded_headers(request)) as stream:
        async for chunk in stream.chunks: …

All of them raise ProxyResponseError, a stream also between two chunks.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
from httpx_sse import EventSource
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from ..data_class import data_class
from ..request.context import request_id
from .asgi_transport import SERVICE_ROUTE, ASGIStreamTransport
from .middleware.request_id import HEADER as REQUEST_ID

PATH = "/v1/chat/completions"

_CONNECTION_HEADERS = {
    *("accept", "accept-encoding", "connection", "cookie", "expect", "host", "keep-alive", "origin", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
_MESSAGE_HEADERS = ("content-", "proxy-", "sec-")


class ProxyResponseError(Exception):
    """An error response of the proxy; `error` has the fields of its error object."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(str(error.get("message") or f"the proxy answered {status}"))
        self.status = status
        self.error = dict(error)
        self.headers = headers

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error object: the proxy's fields, with `message`, `type` and `code`."""
        return {"type": None, **self.error, "message": str(self), "code": str(self.error.get("code") or self.status)}


@data_class
class Completion:
    """An OpenAI `chat.completion`, and the headers of the proxy's response."""

    completion: dict[str, Any]
    headers: Mapping[str, str]


@data_class
class CompletionStream:
    """A stream of OpenAI `chat.completion.chunk`s, and the headers of the proxy's response."""

    chunks: AsyncIterator[dict[str, Any]]
    headers: Mapping[str, str]


class ProxyClient:
    """Calls a proxy's chat completions with a caller's headers; raises ProxyResponseError."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def in_process(cls, app: ASGIApp) -> ProxyClient:
        """Return a client of the proxy that runs in this process."""
        return cls(httpx.AsyncClient(base_url="http://proxy", transport=ASGIStreamTransport(app)))

    @classmethod
    def at(cls, url: str) -> ProxyClient:
        """Return a client of the proxy at a URL."""
        return cls(httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(None, connect=10.0)))

    async def ask(
        self, body: Mapping[str, Any], headers: Mapping[str, str], *, service_route: str | None = None
    ) -> Completion:
        """Return a completion; cancelling this cancels the call.

        `service_route` is the route that telemetry records outside of a request.
        """
        request = self._request({**body, "stream": False}, headers)
        request.extensions[SERVICE_ROUTE] = service_route
        with _translate_network_errors():
            response = await self._client.send(request)
        _raise_for_status(response)
        return Completion(response.json(), response.headers)

    @contextlib.asynccontextmanager
    async def stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncIterator[CompletionStream]:
        """Open a stream that ends with the usage; leaving the context cancels the call."""
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        with _translate_network_errors():
            response = await self._client.send(self._request(streamed, headers), stream=True)
        async with contextlib.aclosing(response):
            if response.is_error:
                await response.aread()
                _raise_for_status(response)
            yield CompletionStream(_chunks(response), response.headers)

    def _request(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Request:
        json_headers = {**headers, "content-type": "application/json"}
        return self._client.build_request("POST", PATH, content=encode_json(body), headers=json_headers)


def encode_json(body: Mapping[str, Any]) -> bytes:
    """Serialize a body; raises ProxyResponseError for values that JSON cannot represent.

    >>> encode_json({"model": "chat"})
    b'{"model":"chat"}'
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        message = "What was sent holds NaN, Infinity or half a surrogate pair: leave it out, for JSON cannot say it."
        raise ProxyResponseError(422, {"message": message, "type": "invalid_request_error"}, {}) from None


def forwarded_headers(connection: HTTPConnection) -> dict[str, str]:
    """Return the caller's headers about itself and its call: key, correlation id, tags, trace."""
    headers = {
        name: value
        for name, value in connection.headers.items()
        if name not in _CONNECTION_HEADERS and not name.startswith(_MESSAGE_HEADERS)
    }
    return headers | ({REQUEST_ID: request_id()} if request_id() else {})


@contextlib.contextmanager
def _translate_network_errors() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        fields = {"message": f"The proxy gave no answer ({type(error).__name__}).", "type": "connection_error"}
        raise ProxyResponseError(502, fields, {}) from error


async def _chunks(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    with _translate_network_errors():
        async for event in EventSource(response).aiter_sse():
            if event.data == "[DONE]":
                return
            chunk = json.loads(event.data)
            if error := chunk.get("error"):
                raise ProxyResponseError(_status(error), error, response.headers)
            yield chunk
    raise ProxyResponseError(502, {"message": "The answer broke off.", "type": "incomplete"}, response.headers)


def _raise_for_status(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        body = response.json()
    except ValueError:
        body = {}
    error = body.get("error") or body.get("detail") or {}
    fields = error if isinstance(error, dict) else {"message": str(error)}
    raise ProxyResponseError(response.status_code, fields, response.headers)


def _status(error: Mapping[str, Any]) -> int:
    code = str(error.get("code"))
    return int(code) if code.isdecimal() and 400 <= int(code) < 600 else 500
