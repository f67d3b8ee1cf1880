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
from ..proxy.chunk_accumulator import Fold
from ..proxy.client import AnswerStream, Refused, Router, caller_headers
from ..proxy.deployments import answered_by
from ..proxy.middleware.request_id import request_id
from ..proxy.reply_body import reply_body
from ..settings import Settings
from .responses import OpenedStream, Part, event, opened, passed_on, while_wanted
from .schemas import ChatRequest


def routes(router: Router, settings: Settings) -> APIRouter:
    """The routes of the chat service and of the LLM API service that ask a model."""
    part: APIRouter = Part(tags=["chat service"])
    keyed = [Depends(require_key)]

    @part.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Say that the service runs; nothing is asked of a model."""
        return {"status": "ok", "model": settings.default_model}

    @part.post("/chat", dependencies=keyed)
    async def chat(request: Request, asked: ChatRequest) -> Response:
        """Answer as a whole, or, with `params.stream`, as it comes."""
        if asked.params.stream:
            return await _streamed(request, asked, _events, "text/event-stream")
        began = time.perf_counter()
        answer = await while_wanted(request, router.ask(asked.body(settings.default_model), caller_headers(request)))
        return JSONResponse(reply_body(answer, time.perf_counter() - began), headers=passed_on(answer.headers))

    @part.post("/chat/stream", dependencies=keyed)
    async def chat_stream(request: Request, asked: ChatRequest) -> Response:
        """Answer as it comes, in server-sent events."""
        return await _streamed(request, asked, _events, "text/event-stream")

    @part.post("/chat/stream-text", dependencies=keyed)
    async def chat_stream_text(request: Request, asked: ChatRequest) -> Response:
        """Answer as it comes, in plain text."""
        return await _streamed(request, asked, _text, "text/plain")

    async def _streamed(
        request: Request,
        asked: ChatRequest,
        written: Callable[[AnswerStream], AsyncIterator[str]],
        media_type: str,
    ) -> Response:
        answer, stack = await opened(
            request, router.stream(asked.body(settings.default_model), caller_headers(request))
        )
        headers = passed_on(answer.headers) | {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return OpenedStream(stack, written(answer), media_type=media_type, headers=headers)

    return part


async def _events(answer: AnswerStream) -> AsyncIterator[str]:
    yield event({"request_id": request_id(), "provider": answered_by(answer.headers)}, "meta")
    fold = Fold()
    try:
        async for chunk in answer.chunks:
            if text := fold.feed(chunk):
                yield event(text)
    except Refused as refused:
        yield event(refused.body(), "error")
        return
    for name, value in fold.told().items():
        yield event(value, name)
    yield event("[DONE]")


async def _text(answer: AnswerStream) -> AsyncIterator[str]:
    yield f"[request_id={request_id()}]\n"
    fold = Fold()
    try:
        async for chunk in answer.chunks:
            if text := fold.feed(chunk):
                yield text
    except Refused as refused:
        yield f"\n[error={refused}]\n"
        return
    if fold.tool_calls:
        yield f"\n[tool_calls={json.dumps(fold.tool_calls, ensure_ascii=False)}]\n"
