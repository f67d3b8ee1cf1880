"""A service's call of a model through the front proxy of the application that it lives in."""

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


class FakeProxy:
    """An application with a configurable response, which records the request."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.body: dict[str, Any] = {}
        self.answer: Response = JSONResponse({"choices": []}, headers={"x-litellm-model-id": "m"})
        self.closed = asyncio.Event()
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
                self.closed.set()

        self.answer = StreamingResponse(lines(), media_type="text/event-stream")


@pytest.fixture
async def proxy():
    return FakeProxy()


def body_with(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}


async def test_a_completion_has_the_headers_of_the_response(proxy):
    answer = await ProxyClient.in_process(proxy.app).ask(
        body_with(seed=1, an_unknown_name=2), {"authorization": "Bearer k"}
    )
    assert answer.completion == {"choices": []}
    assert answer.headers["x-litellm-model-id"] == "m"
    assert proxy.body == body_with(seed=1, an_unknown_name=2, stream=False)
    assert (b"authorization", b"Bearer k") in proxy.scope["headers"]
    assert proxy.scope[INTERNAL_CALL] is True


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"], ids=["NaN", "Infinity", "half a pair"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_values_that_json_cannot_represent_are_rejected(proxy, value, streamed):
    client = ProxyClient.in_process(proxy.app)
    call = client.stream(body_with(x=value), {}).__aenter__() if streamed else client.ask(body_with(x=value), {})
    with pytest.raises(ProxyResponseError, match="NaN, Infinity or half a surrogate pair") as raised:
        await call
    assert (raised.value.status, proxy.scope) == (422, {})


async def test_a_stream_yields_chunks_and_requests_the_usage(proxy):
    proxy.stream('{"n": 1}', '{"n": 2}', "[DONE]")
    async with ProxyClient.in_process(proxy.app).stream(body_with(), {}) as answer:
        assert [chunk["n"] async for chunk in answer.chunks] == [1, 2]
    assert proxy.body["stream_options"] == {"include_usage": True}


async def test_leaving_a_stream_closes_it(proxy):
    proxy.stream('{"n": 1}', endless=True)
    async with ProxyClient.in_process(proxy.app).stream(body_with(), {}) as answer:
        assert (await anext(answer.chunks))["n"] == 1
        assert not proxy.closed.is_set()
    assert proxy.closed.is_set()


async def test_cancelling_a_call_without_response_ends_it(proxy):
    started, ended = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        started.set()
        try:
            await receive()
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(ProxyClient.in_process(app).ask(body_with(), {}))
    await started.wait()
    call.cancel()
    await asyncio.wait({call})
    assert call.cancelled()
    assert ended.is_set()


async def test_a_cancelled_call_is_a_disconnect_for_the_application():
    started, events = asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        started.set()
        events.append((await receive())["type"])
        for number in range(3):
            await send({"type": "http.response.start", "status": 200 + number, "headers": []})
        events.append("ended by itself")

    call = asyncio.create_task(ProxyClient.in_process(app).ask(body_with(), {}))
    await started.wait()
    call.cancel()
    await asyncio.wait({call}, timeout=5)
    assert call.cancelled()
    assert events == ["http.disconnect", "ended by itself"]


async def test_background_tasks_after_a_response_are_not_cancelled(proxy):
    async def later():
        await asyncio.sleep(0)
        proxy.background.set()

    proxy.answer = JSONResponse({}, background=BackgroundTask(later))
    await ProxyClient.in_process(proxy.app).ask(body_with(), {})
    await asyncio.wait_for(proxy.background.wait(), 60)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "Too many", "code": "429"}}, "Too many"),
        ({"error": "Too many"}, "Too many"),
        ({"detail": "Too many"}, "Too many"),
        ({}, "the proxy answered 429"),
    ],
    ids=["error object", "error string", "detail", "empty"],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_response_keeps_its_status_and_headers(proxy, body, message, streamed):
    proxy.answer = JSONResponse(body, 429, headers={"retry-after": "7"})
    client = ProxyClient.in_process(proxy.app)
    call = client.stream(body_with(), {}).__aenter__() if streamed else client.ask(body_with(), {})
    with pytest.raises(ProxyResponseError, match=message) as raised:
        await call
    assert (raised.value.status, raised.value.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(("code", "status"), [("503", 503), (429, 429), ("context_length", 500), (None, 500)])
async def test_an_error_in_the_stream_ends_it(proxy, code, status):
    proxy.stream('{"n": 1}', json.dumps({"error": {"message": "gone", "code": code}}))
    async with ProxyClient.in_process(proxy.app).stream(body_with(), {}) as answer:
        assert await anext(answer.chunks) == {"n": 1}
        with pytest.raises(ProxyResponseError, match="gone") as raised:
            await anext(answer.chunks)
    assert raised.value.status == status


async def test_an_application_that_fails_without_response_is_a_502():
    async def app(scope, receive, send):
        raise ValueError

    with pytest.raises(ProxyResponseError, match="no answer") as raised:
        await ProxyClient.in_process(app).ask(body_with(), {})
    assert raised.value.status == 502


async def test_an_internal_call_has_the_client_and_lease_of_its_request(proxy):
    async def outer(scope, receive, send):
        await ProxyClient.in_process(proxy.app).ask(body_with(), forwarded_headers(Request(scope)))

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
    headers = dict(proxy.scope["headers"])
    assert proxy.scope["client"] == ("10.0.0.7", 5)
    assert proxy.scope["litellm.admission_lease"] == "lease"
    assert (headers[b"x-request-id"], headers[b"x-api-key"], headers[b"correlation-id"]) == (b"mine", b"k", b"c")
    assert (headers[b"host"], headers[b"tenant"]) == (b"proxy", b"t")
    assert int(headers[b"content-length"]) > 5


async def test_a_stream_without_done_is_an_error(proxy):
    proxy.stream('{"n": 1}')
    async with ProxyClient.in_process(proxy.app).stream(body_with(), {}) as answer:
        assert await anext(answer.chunks) == {"n": 1}
        with pytest.raises(ProxyResponseError, match="broke off"):
            await anext(answer.chunks)
