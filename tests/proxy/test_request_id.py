"""The id of a request is in its response and in the log."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest
from starlette.datastructures import Headers

from custom_handler.proxy.middleware.request_id import RequestIdFilter
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.request.context import request_id


async def receive() -> Any:
    return {"type": "http.request", "body": b""}


async def served(*headers: tuple[bytes, bytes], kind: str = "http", answer: str = "http.response.start") -> Any:
    """Serve one request; return the id and header inside, and the headers of the response."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(inside=request_id(), header=Headers(scope=scope).get("x-request-id"))
        await send({"type": answer, "status": 200, "headers": [(b"x-request-id", b"the proxy's")]})

    async def send(message: Any) -> None:
        seen["answer"] = Headers(raw=message["headers"]).getlist("x-request-id")

    await ProxyWrapper(app)({"type": kind, "path": "/", "headers": list(headers)}, receive, send)
    return seen


@pytest.mark.parametrize(
    "given", ["a", "a" * 128, "trace/1:2", "1-5759e988-bd862e3fe1be46a994272793", "aGk+/w==", "01ARZ3@host~1"]
)
async def test_a_valid_id_of_the_caller_is_used(given):
    seen = await served((b"x-request-id", given.encode()))
    assert seen == {"inside": given, "header": given, "answer": [given]}


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b" ",
        b"a" * 129,
        b"a\r\nset-cookie: b",
        b"a\n",
        b"a\tb",
        b"\xe9",
        b"\x7f",
        " \u00e7".encode(),
        b"trace 1",
        b"a] custom_handler: forged",
        b"[a",
        b'a"b',
        b"a'b",
        b"a%0ab",
        b"{a}",
        b"a;b",
        b"a,b",
        b"~",
        b"-a",
        b"$(a)",
    ],
)
async def test_an_invalid_id_is_replaced(given):
    seen = await served((b"x-request-id", given))
    assert uuid.UUID(seen["inside"]).version == 4
    assert seen["header"] == seen["inside"]
    assert seen["answer"] == [seen["inside"]]


async def test_a_request_without_an_id_gets_one():
    first, second = await served(), await served()
    assert first["inside"] != second["inside"]


@pytest.mark.parametrize("answer", ["websocket.accept", "websocket.http.response.start"])
async def test_the_handshake_of_a_socket_has_its_id(answer):
    seen = await served((b"x-request-id", b"mine"), kind="websocket", answer=answer)
    assert seen["answer"] == ["mine"]


async def test_log_records_have_the_id_of_the_current_request():
    record: Any = logging.makeLogRecord({})
    assert request_id() == ""
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"
    record = logging.makeLogRecord({})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        RequestIdFilter().filter(record)

    await ProxyWrapper(app)({"type": "http", "path": "/", "headers": [(b"x-request-id", b"mine")]}, receive, None)
    assert record.request_id == "mine"


async def test_the_lifespan_of_the_application_has_no_id():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request_id())

    await ProxyWrapper(app)({"type": "lifespan"}, None, None)
    assert seen == [""]
