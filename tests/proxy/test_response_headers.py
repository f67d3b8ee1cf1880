"""Headers are added to the response of the current request."""

from __future__ import annotations

import asyncio
from typing import Any

from custom_handler.proxy.middleware.wrap import wrap
from custom_handler.request.context import add_response_header


class App:
    """An application that adds headers in a task of its own, as the proxy does."""

    def __init__(self, own: dict[str, str] | None = None, **added: str) -> None:
        self.middleware_stack: Any = self._serve
        self._own = own or {}
        self._added = added

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(self._add())
        headers = [(name.encode(), value.encode()) for name, value in self._own.items()]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})

    async def _add(self) -> None:
        for name, value in self._added.items():
            add_response_header(name.replace("_", "-"), value)


async def response_of(app: App, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": kind, "path": "/v1/messages", "headers": [(b"x-request-id", b"r")]}
    await app.middleware_stack(scope, receive, send)
    for message in sent:
        message["headers"] = [header for header in message.get("headers", ()) if header[0] != b"x-request-id"]
    return sent


async def test_an_added_header_is_in_the_response():
    app = App(retry_after="7")
    wrap(app)
    start, body = await response_of(app)
    assert start["headers"] == [(b"retry-after", b"7")]
    assert (body["type"], body["body"]) == ("http.response.body", b"no")


async def test_a_header_of_the_response_is_not_replaced():
    app = App({"retry-after": "3"}, retry_after="7")
    wrap(app)
    start, _ = await response_of(app)
    assert start["headers"] == [(b"retry-after", b"3")]


async def test_added_headers_belong_to_one_request():
    app = App(retry_after="7")
    plain = App()
    wrap(app)
    wrap(plain)
    (start, _), (other, _) = await asyncio.gather(response_of(app), response_of(plain))
    assert (start["headers"], other["headers"]) == ([(b"retry-after", b"7")], [])


async def test_no_header_is_added_to_a_socket():
    app = App(retry_after="7")
    wrap(app)
    start, _ = await response_of(app, "websocket")
    assert start["headers"] == []


def test_adding_a_header_outside_of_a_request_does_nothing():
    add_response_header("retry-after", "7")
    assert asyncio.run(response_of(App()))[0]["headers"] == []


def test_an_application_that_has_not_started_is_not_wrapped():
    class NotRunning:
        middleware_stack = None

    app = NotRunning()
    wrap(app)
    assert app.middleware_stack is None
