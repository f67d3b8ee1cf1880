"""What requests leave is freed without the garbage collector, whose oldest generation is collected rarely."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litellm.router import Router

from custom_handler.proxy.garbage_collection import free_streams_at_their_end
from custom_handler.proxy.middleware.exchange import Exchange, Outcome
from custom_handler.request.context import RequestContext
from custom_handler.stackspot.http.aiohttp_client import HttpClient
from custom_handler.telemetry.call_log import CallLog
from tests.support.waiting import eventually_async

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_the_chunks_of_a_stream_of_the_router_are_freed(monkeypatch):
    monkeypatch.setattr(Router, "_acompletion_streaming_iterator", Router._acompletion_streaming_iterator)
    free_streams_at_their_end()
    parameters = {"model": "openai/any", "api_key": "any", "mock_response": "one two three four"}
    router = Router([{"model_name": "any", "litellm_params": parameters}])
    stream: Any = await router.acompletion("any", [{"role": "user", "content": "Hello"}], stream=True)
    chunks = [weakref.ref(chunk) async for chunk in stream]
    assert len(chunks) > 1
    del stream
    await eventually_async(lambda: all(chunk() is None for chunk in chunks))


async def test_a_stream_of_the_router_has_its_own_text(monkeypatch):
    """Two streams at once: what is deleted from the class of one is no other's."""
    monkeypatch.setattr(Router, "_acompletion_streaming_iterator", Router._acompletion_streaming_iterator)
    free_streams_at_their_end()
    names = ("first", "second")
    router = Router(
        [
            {"model_name": name, "litellm_params": {"model": "openai/any", "api_key": "any", "mock_response": name * 9}}
            for name in names
        ]
    )
    streams: list[Any] = [
        await router.acompletion(name, [{"role": "user", "content": "?"}], stream=True) for name in names
    ]
    texts = [await text_of(stream) for stream in streams]
    assert texts == [name * 9 for name in names]


async def text_of(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_a_response_of_the_platform_does_not_keep_the_call():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await writer.drain()
        writer.close()

    class Call:
        sent = 0

        def note_sent(self) -> None:
            self.sent += 1

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        http, call = HttpClient(ssl.create_default_context()), Call()
        response = await http.send("POST", url, {}, b"", httpx.Timeout(5), note_sent=call.note_sent)
        assert call.sent == 1
        kept = weakref.ref(call)
        del call
        assert kept() is None
        assert await response.read() == b"ok"
        await http.aclose()


async def receive() -> Any:
    return {"type": "http.request", "body": b"{}"}


async def send(message: Any) -> None: ...


def scope_of(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": path, "headers": []}


async def test_an_exchange_is_freed_with_its_request():
    exchange = Exchange(RequestContext(scope_of("/v1/models"), "id"), receive, send, cors=None, keep=None, links=None)
    assert (await exchange.receive())["body"] == b"{}"
    await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
    await exchange.send({"type": "http.response.body", "body": b"{}"})
    kept = weakref.ref(exchange)
    del exchange
    assert kept() is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/key/generate"])
def test_the_record_of_a_call_does_not_stay_in_its_scope(path):
    class Scope(dict[str, Any]):
        """A scope that can be referred to weakly."""

    calls, scope = CallLog(), Scope(scope_of(path))
    context = RequestContext(scope, "id")
    calls.request_started(scope)
    asyncio.run(end(calls, scope))
    calls.flush()
    kept = weakref.ref(scope)
    del scope, context
    assert kept() is None


async def end(calls: CallLog, scope: Any) -> None:
    calls.request_ended(scope, Outcome(200))
