"""The wrapper calls its observers in order, and lets only one response through."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.exceptions import HTTPException

from custom_handler.proxy.middleware.body_limit import MAX_BODY_BYTES
from custom_handler.proxy.middleware.wrap import CLIENT_DISCONNECTED, Outcome, ProxyWrapper


class Recorder:
    """An observer that records its calls."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events
        self.outcome = Outcome()

    def request_started(self, scope: Any) -> None:
        self.events.append(f"{self.name} started")

    def request_ended(self, scope: Any, outcome: Outcome) -> None:
        self.events.append(f"{self.name} ended")
        self.outcome = outcome


async def serve(app: Any, *observers: Recorder, received: tuple[Any, ...] = ()) -> list[Any]:
    messages = iter(received or ({"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}))
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/v1/chat/completions", "headers": []}
    await ProxyWrapper(app, observers)(scope, receive, send)
    return sent


async def respond(send: Any, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_the_first_observer_is_the_outermost():
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.append("proxy")
        await respond(send)

    await serve(app, Recorder("a", events), Recorder("b", events))
    assert events == ["a started", "b started", "proxy", "b ended", "a ended"]


@pytest.mark.parametrize(("responds", "status"), [(True, 200), (False, CLIENT_DISCONNECTED)])
async def test_a_disconnect_before_the_end_of_the_response_is_observed(responds, status):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if responds:
            await respond(send)
        await receive()

    await serve(app, observer := Recorder("a", []))
    assert (observer.outcome.status, observer.outcome.disconnected) == (status, not responds)


async def test_an_exception_of_the_proxy_is_observed_as_a_500():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    observer = Recorder("a", [])
    with pytest.raises(ValueError):
        await serve(app, observer)
    assert observer.outcome.status == 500


async def test_a_body_that_exceeds_the_limit_after_an_error_started_is_a_413():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await receive()
        with pytest.raises(HTTPException):
            await receive()
        await send({"type": "http.response.body", "body": b"{}"})

    half = {"type": "http.request", "body": b"x" * (MAX_BODY_BYTES // 2 + 1), "more_body": True}
    sent = await serve(app, received=(half, half))
    assert [message.get("status") for message in sent] == [413, None]
