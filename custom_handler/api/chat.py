"""The chat service: `POST /chat`, `/chat/stream`, `/chat/stream-text`, and `GET /healthz`.

The server-sent events of a stream: `meta` with the request id; the text in events without a name;
`tool_calls` and `usage`, if any; `[DONE]`. If the stream fails, its last event is `error`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from ..proxy.auth import require_key
from ..proxy.chunk_accumulator import ChunkAccumulator
from ..proxy.client import CompletionStream, ProxyClient, ProxyResponseError, forwarded_headers
from ..proxy.deployments import response_provider
from ..proxy.reply_body import reply_body
from ..request.context import request_id
from ..settings import ServiceSettings
from .responses import ModelStream, api_router, cancel_on_disconnect, open_stream, response_headers, sse_event
from .schemas import ChatBody


def routes(client: ProxyClient, settings: ServiceSettings) -> APIRouter:
    """Return the routes of the chat service and of the LLM API service that call a model."""
    router: APIRouter = api_router(tags=["chat service"])
    authenticated = [Depends(require_key)]

    @router.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Return that the service runs, without calling a model."""
        return {"status": "ok", "model": settings.default_model}

    @router.post("/chat", dependencies=authenticated)
    async def chat(request: Request, body: ChatBody) -> Response:
        """Return a JSON object, or server-sent events if `params.stream` is true."""
        if body.params.stream:
            return await _stream(request, body, _events, "text/event-stream")
        started = time.perf_counter()
        completion = await cancel_on_disconnect(
            request, client.ask(body.completion_body(settings.default_model), forwarded_headers(request))
        )
        reply = reply_body(completion, time.perf_counter() - started)
        return JSONResponse(reply, headers=response_headers(completion.headers))

    @router.post("/chat/stream", dependencies=authenticated)
    async def chat_stream(request: Request, body: ChatBody) -> Response:
        """Stream the answer as server-sent events."""
        return await _stream(request, body, _events, "text/event-stream")

    @router.post("/chat/stream-text", dependencies=authenticated)
    async def chat_stream_text(request: Request, body: ChatBody) -> Response:
        """Stream the answer as plain text."""
        return await _stream(request, body, _text, "text/plain")

    async def _stream(
        request: Request,
        body: ChatBody,
        serialize: Callable[[CompletionStream], AsyncIterator[str]],
        media_type: str,
    ) -> Response:
        stream, stack = await open_stream(
            request, client.stream(body.completion_body(settings.default_model), forwarded_headers(request))
        )
        headers = response_headers(stream.headers) | {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return ModelStream(stack, serialize(stream), media_type=media_type, headers=headers)

    return router


async def _events(stream: CompletionStream) -> AsyncIterator[str]:
    yield sse_event({"request_id": request_id(), "provider": response_provider(stream.headers)}, "meta")
    completion = ChunkAccumulator()
    try:
        async for chunk in stream.chunks:
            if text := completion.feed(chunk):
                yield sse_event(text)
    except ProxyResponseError as error:
        yield sse_event(error.body(), "error")
        return
    for name, value in completion.final_fields().items():
        yield sse_event(value, name)
    yield sse_event("[DONE]")


async def _text(stream: CompletionStream) -> AsyncIterator[str]:
    yield f"[request_id={request_id()}]\n"
    completion = ChunkAccumulator()
    try:
        async for chunk in stream.chunks:
            if text := completion.feed(chunk):
                yield text
    except ProxyResponseError as error:
        yield f"\n[error={error}]\n"
        return
    if completion.tool_calls:
        yield f"\n[tool_calls={json.dumps(completion.tool_calls, ensure_ascii=False)}]\n"
