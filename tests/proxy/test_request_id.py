"""The name of a request, in its answer and in the log."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest
from starlette.datastructures import Headers

from custom_handler.proxy.middleware.request_id import RequestIdFilter, RequestIdMiddleware, request_id


async def served(*headers: tuple[bytes, bytes], kind: str = "http", answer: str = "http.response.start") -> Any:
    """Serve one request; return the name inside, the header inside and the headers of the answer."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(inside=request_id(), header=Headers(scope=scope).get("x-request-id"))
        await send({"type": answer, "headers": [(b"x-request-id", b"the proxy's")]})

    async def send(message: Any) -> None:
        seen["answer"] = Headers(raw=message["headers"]).getlist("x-request-id")

    await RequestIdMiddleware(app)({"type": kind, "headers": list(headers)}, None, send)
    return seen


@pytest.mark.parametrize("given", ["a", "a" * 128, "trace 1/2", "~!"])
async def test_a_sane_name_of_the_callers_is_kept(given):
    seen = await served((b"x-request-id", given.encode()))
    assert seen == {"inside": given, "header": given, "answer": [given]}


@pytest.mark.parametrize(
    "given",
    [b"", b" ", b"a" * 129, b"a\r\nset-cookie: b", b"a\n", b"a\tb", b"\xe9", b"\x7f", " \u00e7".encode()],
)
async def test_a_name_that_is_not_sane_is_replaced(given):
    seen = await served((b"x-request-id", given))
    assert uuid.UUID(seen["inside"]).version == 4
    assert seen["header"] == seen["inside"]
    assert seen["answer"] == [seen["inside"]]


async def test_a_request_without_a_name_gets_one_of_its_own():
    first, second = await served(), await served()
    assert first["inside"] != second["inside"]


@pytest.mark.parametrize("answer", ["websocket.accept", "websocket.http.response.start"])
async def test_a_socket_is_named_in_its_handshake(answer):
    seen = await served((b"x-request-id", b"mine"), kind="websocket", answer=answer)
    assert seen["answer"] == ["mine"]


async def test_the_name_is_in_the_log_while_its_request_is_served():
    record: Any = logging.makeLogRecord({})
    assert request_id() == ""
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"
    record = logging.makeLogRecord({})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        RequestIdFilter().filter(record)

    await RequestIdMiddleware(app)({"type": "http", "headers": [(b"x-request-id", b"mine")]}, None, None)
    assert record.request_id == "mine"


async def test_the_start_of_the_application_has_no_name():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request_id())

    await RequestIdMiddleware(app)({"type": "lifespan"}, None, None)
    assert seen == [""]
