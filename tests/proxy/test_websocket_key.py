"""The key in the query of a WebSocket is moved to a header."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.proxy.middleware.wrap import ProxyWrapper

PATH = "/ws/chat/completions"


async def seen(query: bytes, *headers: tuple[bytes, bytes], kind: str = "websocket", path: str = PATH) -> Any:
    scope = {"type": kind, "path": path, "query_string": query, "headers": list(headers)}

    async def app(inner: Any, receive: Any, send: Any) -> None:
        assert inner is scope  # the access log of the server reads this object

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await ProxyWrapper(app, socket_paths=[PATH])(scope, receive, None)
    return scope["query_string"], [header for header in scope["headers"] if header[0] != b"x-request-id"]


@pytest.mark.parametrize(
    ("query", "left", "key"),
    [
        (b"api_key=sk-1", b"", b"sk-1"),
        (b"a=1&api_key=sk%2D1&b=", b"a=1&b=", b"sk-1"),
        (b"api_key=sk-1&api_key=sk-2", b"", b"sk-1"),
        (b"a=%C3%A9", b"a=%C3%A9", None),
        (b"api_key=", b"", None),
        (b"api_key=a%0D%0Ab", b"", None),
        (b"api_key=%C3%A9", b"", None),
        (b"", b"", None),
    ],
)
async def test_the_key_is_removed_from_the_query(query, left, key):
    expected = [(b"x-litellm-api-key", key)] if key else []
    assert await seen(query) == (left, expected)
    assert (await seen(query, path=f"/behind/a/prefix{PATH}"))[0] == left


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key"])
async def test_a_key_in_a_header_has_precedence(name):
    assert await seen(b"api_key=sk-1", (name, b"mine")) == (b"", [(name, b"mine")])


@pytest.mark.parametrize("elsewhere", [{"kind": "http"}, {"path": "/v1/realtime"}])
async def test_other_requests_keep_their_query(elsewhere):
    assert await seen(b"api_key=sk-1", **elsewhere) == (b"api_key=sk-1", [])
