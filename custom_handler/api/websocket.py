"""`WS /ws/chat/completions`: questions, streamed answers, and the history of the session.

    client  {"question": …, "session_id": …, "model"?: …, "params"?: {…}}
    server  {"type": "start", "session_id": …, …}
            {"type": "token", "text": …} …
            {"type": "end", "full_text": …, …}
            {"type": "error", "message": …, …}       after any failure; the socket stays open

A session belongs to one socket and ends with it. A socket answers one question at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, WebSocket
from litellm.proxy._types import ProxyException
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from ..proxy.auth import require_key
from ..proxy.chunk_accumulator import ChunkAccumulator
from ..proxy.client import ProxyClient, ProxyResponseError, forwarded_headers
from ..proxy.deployments import response_provider
from ..proxy.middleware.request_id import HEADER as REQUEST_ID
from ..request.correlation_id import correlation_id
from ..settings import ServiceSettings
from .responses import validation_message
from .schemas import Params, Text
from .sessions import HistoryLimits, Sessions

logger = logging.getLogger(__name__)

PATH = "/ws/chat/completions"


class Question(BaseModel):
    """The message of a client."""

    model_config = ConfigDict(extra="forbid")

    question: Text
    session_id: Annotated[str, Field(min_length=1, max_length=128)]
    model: Text | None = None
    params: Params = Field(default_factory=Params)


def routes(
    client: ProxyClient,
    settings: ServiceSettings,
    authenticate: Callable[[HTTPConnection], Awaitable[object]] = require_key,
) -> APIRouter:
    """Return the route; `authenticate` raises the proxy's error for a connection without a key."""
    router = APIRouter()

    @router.websocket(PATH)
    async def chat(websocket: WebSocket) -> None:
        try:
            await authenticate(websocket)
        except ProxyException as error:
            await websocket.send_denial_response(JSONResponse({"error": error.to_dict()}, int(error.code or 401)))
            return
        await websocket.accept()
        await ChatSocket(websocket, client, settings).run()

    return router


class ChatSocket:
    """One WebSocket: its sessions, and the task that answers the current question."""

    def __init__(self, websocket: WebSocket, client: ProxyClient, settings: ServiceSettings) -> None:
        self._websocket = websocket
        self._client = client
        self._settings = settings
        self._headers = forwarded_headers(websocket)
        correlation = correlation_id(self._headers)
        self._sessions = Sessions(HistoryLimits(settings.session_turns, settings.session_bytes), correlation)
        self._answer_task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer questions until the client disconnects; then cancel the running call."""
        try:
            while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
                await self._handle(message.get("text") or message.get("bytes") or "")
        except WebSocketDisconnect:
            pass
        finally:
            if self._answer_task is not None:
                self._answer_task.cancel()
                await asyncio.wait({self._answer_task})

    async def _handle(self, text: str | bytes) -> None:
        size = len(text.encode() if isinstance(text, str) else text)
        if size > self._settings.message_bytes:
            await self._send_error(413, f"The message has {size} bytes; {self._settings.message_bytes} are allowed.")
            return
        try:
            question = Question.model_validate_json(text)
        except ValidationError as error:
            await self._send_error(422, validation_message(error.errors()))
            return
        if self._answer_task is not None and not self._answer_task.done():
            await self._send_error(409, "A question is being answered: wait for its end, or open another socket.")
            return
        self._answer_task = asyncio.create_task(self._answer(question))

    async def _answer(self, question: Question) -> None:
        ids = {"session_id": question.session_id, "request_id": str(uuid.uuid4())}
        with contextlib.suppress(WebSocketDisconnect):
            try:
                await self._stream(question, ids)
            except ProxyResponseError as error:
                await self._send_error(error.body()["code"], str(error), **ids)
            except Exception as error:  # noqa: BLE001  the socket stays open after any error
                logger.error("A question failed: %s", type(error).__name__)
                await self._send_error(500, "The proxy failed on this question.", **ids)

    async def _stream(self, question: Question, ids: dict[str, str]) -> None:
        session = self._sessions[question.session_id]
        model = question.model or self._settings.default_model
        body = {**question.params.completion_fields(), "model": model, "messages": session.messages(question.question)}
        headers = {"correlation-id": session.correlation_id, **self._headers, REQUEST_ID: ids["request_id"]}
        completion = ChunkAccumulator()
        async with self._client.stream(body, headers) as stream:
            start = {
                "model": model,
                "provider": response_provider(stream.headers),
                "correlation_id": session.correlation_id,
            }
            await self._send("start", **ids, **start)
            async for chunk in stream.chunks:
                if text := completion.feed(chunk):
                    await self._send("token", text=text)
        if completion.text:
            session.add_turn(question.question, completion.text)
        end = {"finish_reason": completion.finish_reason, **completion.final_fields()}
        await self._send("end", full_text=completion.text, **ids, **end)

    async def _send_error(self, code: int | str, message: str, **ids: str) -> None:
        await self._send("error", message=message, code=str(code), **ids)

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._websocket.send_json({"type": kind, **fields})
