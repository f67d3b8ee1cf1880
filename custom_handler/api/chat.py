"""The chat service: `POST /chat`, whole or as it comes, and `GET /healthz`.

A stream's events: `meta` with the request's id; then the answer's text, piece by piece, in events without a name; then, where there
are any, `tool_calls` and `usage`; last `[DONE]`. A failure within it is an event `error`, the last one.
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
from .responses import ModelStream, api_router, cancel_on_disconnect, opened, response_headers, sse_event
from .schemas import ChatBody


def routes(router: ProxyClient, settings: ServiceSettings) -> APIRouter:
    """The routes of the chat service and of the LLM API service that ask a model."""
    part: APIRouter = api_router(tags=["chat service"])
    keyed = [Depends(require_key)]

    @part.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Say that the service runs; nothing is asked of a model."""
        return {"status": "ok", "model": settings.default_model}

    @part.post("/chat", dependencies=keyed)
    async def chat(request: Request, asked: ChatBody) -> Response:
        """Answer as a whole, or, with `params.stream`, as it comes."""
        if asked.params.stream:
            return await _streamed(request, asked, _events, "text/event-stream")
        began = time.perf_counter()
        answer = await cancel_on_disconnect(
            request, router.ask(asked.body(settings.default_model), forwarded_headers(request))
        )
        return JSONResponse(reply_body(answer, time.perf_counter() - began), headers=response_headers(answer.headers))

    @part.post("/chat/stream", dependencies=keyed)
    async def chat_stream(request: Request, asked: ChatBody) -> Response:
        """Answer as it comes, in server-sent events."""
        return await _streamed(request, asked, _events, "text/event-stream")

    @part.post("/chat/stream-text", dependencies=keyed)
    async def chat_stream_text(request: Request, asked: ChatBody) -> Response:
        """Answer as it comes, in plain text."""
        return await _streamed(request, asked, _text, "text/plain")

    async def _streamed(
        request: Request,
        asked: ChatBody,
        written: Callable[[CompletionStream], AsyncIterator[str]],
        media_type: str,
    ) -> Response:
        answer, stack = await opened(
            request, router.stream(asked.body(settings.default_model), forwarded_headers(request))
        )
        headers = response_headers(answer.headers) | {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return ModelStream(stack, written(answer), media_type=media_type, headers=headers)

    return part


async def _events(answer: CompletionStream) -> AsyncIterator[str]:
    yield sse_event({"request_id": request_id(), "provider": response_provider(answer.headers)}, "meta")
    fold = ChunkAccumulator()
    try:
        async for chunk in answer.chunks:
            if text := fold.feed(chunk):
                yield sse_event(text)
    except ProxyResponseError as refused:
        yield sse_event(refused.body(), "error")
        return
    for name, value in fold.told().items():
        yield sse_event(value, name)
    yield sse_event("[DONE]")


async def _text(answer: CompletionStream) -> AsyncIterator[str]:
    yield f"[request_id={request_id()}]\n"
    fold = ChunkAccumulator()
    try:
        async for chunk in answer.chunks:
            if text := fold.feed(chunk):
                yield text
    except ProxyResponseError as refused:
        yield f"\n[error={refused}]\n"
        return
    if fold.tool_calls:
        yield f"\n[tool_calls={json.dumps(fold.tool_calls, ensure_ascii=False)}]\n"
