"""A service's call of a model through the front door of the application that it lives in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from custom_handler.proxy.asgi_transport import INTERNAL_CALL
from custom_handler.proxy.client import PATH, ProxyClient, ProxyResponseError, forwarded_headers
from custom_handler.request.context import RequestContext


class Door:
    """An application that answers as a test wants, and remembers what it was asked."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.body: dict[str, Any] = {}
        self.answer: Response = JSONResponse({"choices": []}, headers={"x-litellm-model-id": "m"})
        self.left = asyncio.Event()
        self.background = asyncio.Event()
        self.app = Starlette(routes=[Route(PATH, self._serve, methods=["POST"])])

    async def _serve(self, request: Request) -> Response:
        self.scope, self.body = dict(request.scope), await request.json()
        return self.answer

    def stream(self, *events: str, endless: bool = False) -> None:
        async def lines():
            try:
                for event in events:
                    yield f"data: {event}\n\n"
                if endless:
                    await asyncio.Event().wait()
            finally:
                self.left.set()

        self.answer = StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture
async def door():
    return Door()


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}


async def test_a_whole_answer_comes_with_its_headers(door):
    answer = await ProxyClient.inside(door.app).ask(asked(seed=1, an_unknown_name=2), {"authorization": "Bearer k"})
    assert answer.completion == {"choices": []}
    assert answer.headers["x-litellm-model-id"] == "m"
    assert door.body == asked(seed=1, an_unknown_name=2, stream=False)
    assert (b"authorization", b"Bearer k") in door.scope["headers"]
    assert door.scope[INTERNAL_CALL] is True


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"], ids=["NaN", "Infinity", "half a pair"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_json_cannot_say_is_refused_before_it_is_sent(door, value, streamed):
    router = ProxyClient.inside(door.app)
    call = router.stream(asked(x=value), {}).__aenter__() if streamed else router.ask(asked(x=value), {})
    with pytest.raises(ProxyResponseError, match="NaN, Infinity or half a surrogate pair") as raised:
        await call
    assert (raised.value.status, door.scope) == (422, {})


async def test_a_stream_comes_chunk_by_chunk_and_asks_for_its_usage(door):
    door.stream('{"n": 1}', '{"n": 2}', "[DONE]")
    async with ProxyClient.inside(door.app).stream(asked(), {}) as answer:
        assert [chunk["n"] async for chunk in answer.chunks] == [1, 2]
    assert door.body["stream_options"] == {"include_usage": True}


async def test_to_leave_a_stream_ends_it_at_once(door):
    door.stream('{"n": 1}', endless=True)
    async with ProxyClient.inside(door.app).stream(asked(), {}) as answer:
        assert (await anext(answer.chunks))["n"] == 1
        assert not door.left.is_set()
    assert door.left.is_set()


async def test_to_cancel_a_call_that_has_no_answer_yet_ends_it(door):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        try:
            await receive()
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(ProxyClient.inside(app).ask(asked(), {}))
    await begun.wait()
    call.cancel()
    await asyncio.wait({call})
    assert call.cancelled()
    assert ended.is_set()


async def test_who_leaves_is_gone_for_the_application_as_a_client_of_the_servers_is():
    begun, heard = asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        begun.set()
        heard.append((await receive())["type"])
        for number in range(3):
            await send({"type": "http.response.start", "status": 200 + number, "headers": []})
        heard.append("ended by itself")

    call = asyncio.create_task(ProxyClient.inside(app).ask(asked(), {}))
    await begun.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=5)
    assert call.cancelled()
    assert heard == ["http.disconnect", "ended by itself"]


async def test_what_follows_an_answer_is_not_cancelled(door):
    async def later():
        await asyncio.sleep(0)
        door.background.set()

    door.answer = JSONResponse({}, background=BackgroundTask(later))
    await ProxyClient.inside(door.app).ask(asked(), {})
    await asyncio.wait_for(door.background.wait(), 60)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"error": {"message": "Too many", "code": "429"}}, "Too many"),
        ({"error": "Too many"}, "Too many"),
        ({"detail": "Too many"}, "Too many"),
        ({}, "the proxy answered 429"),
    ],
    ids=["as the proxy says it", "as a text", "as FastAPI says it", "without a word"],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_before_the_answer_keeps_its_status_and_headers(door, told, message, streamed):
    door.answer = JSONResponse(told, 429, headers={"retry-after": "7"})
    router = ProxyClient.inside(door.app)
    call = router.stream(asked(), {}).__aenter__() if streamed else router.ask(asked(), {})
    with pytest.raises(ProxyResponseError, match=message) as raised:
        await call
    assert (raised.value.status, raised.value.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(("code", "status"), [("503", 503), (429, 429), ("context_length", 500), (None, 500)])
async def test_an_error_within_the_stream_ends_it(door, code, status):
    door.stream('{"n": 1}', json.dumps({"error": {"message": "gone", "code": code}}))
    async with ProxyClient.inside(door.app).stream(asked(), {}) as answer:
        assert await anext(answer.chunks) == {"n": 1}
        with pytest.raises(ProxyResponseError, match="gone") as raised:
            await anext(answer.chunks)
    assert raised.value.status == status


async def test_an_application_that_fails_before_its_answer_is_no_answer():
    async def app(scope, receive, send):
        raise ValueError

    with pytest.raises(ProxyResponseError, match="no answer") as raised:
        await ProxyClient.inside(app).ask(asked(), {})
    assert raised.value.status == 502


async def test_a_call_inside_comes_from_the_client_that_is_served_and_is_admitted_with_it(door):
    async def outer(scope, receive, send):
        await ProxyClient.inside(door.app).ask(asked(), forwarded_headers(Request(scope)))

    scope = {
        "type": "http",
        "client": ("10.0.0.7", 5),
        "litellm.admission_lease": "lease",
        "headers": [
            *(
                (b"x-request-id", b"mine"),
                (b"host", b"outer"),
                (b"content-length", b"5"),
                (b"accept-encoding", b"gzip"),
            ),
            *((b"x-api-key", b"k"), (b"correlation-id", b"c"), (b"tenant", b"t")),
        ],
    }
    with RequestContext(scope, "mine").served():
        await outer(scope, None, None)
    headers = dict(door.scope["headers"])
    assert door.scope["client"] == ("10.0.0.7", 5)
    assert door.scope["litellm.admission_lease"] == "lease"
    assert (headers[b"x-request-id"], headers[b"x-api-key"], headers[b"correlation-id"]) == (b"mine", b"k", b"c")
    assert (headers[b"host"], headers[b"tenant"]) == (b"proxy", b"t")
    assert int(headers[b"content-length"]) > 5


async def test_a_stream_that_breaks_off_is_told_from_one_that_ends(door):
    door.stream('{"n": 1}')
    async with ProxyClient.inside(door.app).stream(asked(), {}) as answer:
        assert await anext(answer.chunks) == {"n": 1}
        with pytest.raises(ProxyResponseError, match="broke off"):
            await anext(answer.chunks)
