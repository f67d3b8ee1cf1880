"""What requests leave is freed without the garbage collector, whose oldest generation is collected rarely."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import litellm
import pytest
from litellm import CustomLLM
from litellm.router import Router
from litellm.types.utils import GenericStreamingChunk

from custom_handler.proxy.garbage_collection import free_streams_at_their_end
from custom_handler.proxy.middleware.exchange import Exchange, Outcome
from custom_handler.request.context import RequestContext
from custom_handler.stackspot.http.aiohttp_client import HttpClient
from custom_handler.telemetry import call_log
from custom_handler.telemetry.call_log import CallLog
from tests.support.waiting import eventually_async

QUESTION = [{"role": "user", "content": "?"}]
STREAMS = {
    "CustomStreamWrapper",
    "FallbackStreamWrapper",
    "FallbackResponsesStreamWrapper",
    "LiteLLMCompletionStreamingIterator",
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Echo(CustomLLM):
    """A provider that streams a model's name nine times."""

    async def astreaming(self, model: str, *_: Any, **__: Any) -> AsyncIterator[GenericStreamingChunk]:
        for number in range(9):
            yield GenericStreamingChunk(
                text=model, is_finished=number == 8, finish_reason="stop", index=0, tool_use=None, usage=None
            )


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Router:
    """A router of the models `first` and `second`."""
    for name in ("_acompletion_streaming_iterator", "_aresponses_streaming_iterator"):
        monkeypatch.setattr(Router, name, getattr(Router, name))
    free_streams_at_their_end()
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "echo", "custom_handler": Echo()}])
    names = ("first", "second")
    return Router([{"model_name": name, "litellm_params": {"model": f"echo/{name}"}} for name in names])


def made_by_litellm() -> list[Any]:
    return [one for one in gc.get_objects() if type(one).__name__ in STREAMS]


async def test_a_stream_and_its_chunks_are_freed(router):
    gc.collect()
    before = len(made_by_litellm())
    stream: Any = await router.acompletion("first", QUESTION, stream=True)
    chunks = [weakref.ref(chunk) async for chunk in stream]
    assert len(chunks) > 1
    assert len(made_by_litellm()) > before
    del stream
    await eventually_async(lambda: not any(chunk() for chunk in chunks) and len(made_by_litellm()) == before)


async def test_a_stream_of_a_response_is_freed(router):
    gc.collect()
    before = len(made_by_litellm())
    stream: Any = await router.aresponses(model="first", input="?", stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"
    assert len(made_by_litellm()) > before
    del stream
    await eventually_async(lambda: len(made_by_litellm()) == before)


async def test_a_stream_that_is_freed_leaves_another_one_whole(router):
    streams: list[Any] = [await router.acompletion(name, QUESTION, stream=True) for name in ("first", "second")]
    assert await text_of(streams.pop(0)) == "first" * 9
    assert await text_of(streams.pop(0)) == "second" * 9


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
    assert (await exchange.body.receive())["body"] == b"{}"
    await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
    await exchange.send({"type": "http.response.body", "body": b"{}"})
    kept = weakref.ref(exchange)
    del exchange
    assert kept() is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/key/generate"])
async def test_the_record_of_a_call_does_not_stay_in_its_scope(monkeypatch, path):
    class Scope(dict[str, Any]):
        """A scope that can be referred to weakly."""

    monkeypatch.setattr(call_log, "REPORT_TIMEOUT", 0)
    calls, scope = CallLog(), Scope(scope_of(path))
    calls.request_started(scope)
    calls.request_ended(scope, Outcome(200))
    kept = weakref.ref(scope)
    del scope
    await eventually_async(lambda: kept() is None)
