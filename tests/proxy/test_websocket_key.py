"""A key in a socket's address, moved into a header."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.proxy.middleware.wrap import ProxyWrapper

PATH = "/ws/chat/completions"


async def seen(query: bytes, *headers: tuple[bytes, bytes], kind: str = "websocket", path: str = PATH) -> Any:
    scope = {"type": kind, "path": path, "query_string": query, "headers": list(headers)}

    async def app(inner: Any, receive: Any, send: Any) -> None:
        assert inner is scope  # the server's log reads this very object

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
async def test_the_key_leaves_the_address(query, left, key):
    expected = [(b"x-litellm-api-key", key)] if key else []
    assert await seen(query) == (left, expected)
    assert (await seen(query, path=f"/behind/a/prefix{PATH}"))[0] == left


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key"])
async def test_a_key_in_a_header_goes_first(name):
    assert await seen(b"api_key=sk-1", (name, b"mine")) == (b"", [(name, b"mine")])


@pytest.mark.parametrize("elsewhere", [{"kind": "http"}, {"path": "/v1/realtime"}])
async def test_the_rest_of_the_proxy_is_left_alone(elsewhere):
    assert await seen(b"api_key=sk-1", **elsewhere) == (b"api_key=sk-1", [])
