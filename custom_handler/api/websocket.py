"""`WS /ws/chat/completions`: questions in, their answers out as they come, with what was said before.

    in    {"question": …, "session_id": …, "model"?: …, "params"?: {…}}
    out   {"type": "start", "session_id": …, …}   {"type": "token", "text": …} …   {"type": "end", "full_text": …, …}
          {"type": "error", "message": …, …}       whatever went wrong; the socket stays open

A session is the socket's own: it ends with it, and no other key sees it. One question at a time.
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
from .sessions import Bounds, Sessions

logger = logging.getLogger(__name__)

PATH = "/ws/chat/completions"


class Question(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid")

    question: Text
    session_id: Annotated[str, Field(min_length=1, max_length=128)]
    model: Text | None = None
    params: Params = Field(default_factory=Params)


def routes(
    router: ProxyClient, settings: ServiceSettings, let_in: Callable[[HTTPConnection], Awaitable[object]] = require_key
) -> APIRouter:
    """The socket; `let_in` raises the proxy's error for a connection without a key."""
    part = APIRouter()

    @part.websocket(PATH)
    async def chat(websocket: WebSocket) -> None:
        try:
            await let_in(websocket)
        except ProxyException as error:
            await websocket.send_denial_response(JSONResponse({"error": error.to_dict()}, int(error.code or 401)))
            return
        await websocket.accept()
        await ChatSocket(websocket, router, settings).run()

    return part


class ChatSocket:
    """One socket: its sessions, and the question that is being answered."""

    def __init__(self, websocket: WebSocket, router: ProxyClient, settings: ServiceSettings) -> None:
        self._websocket = websocket
        self._router = router
        self._settings = settings
        self._headers = forwarded_headers(websocket)
        given = correlation_id(self._headers)
        self._sessions = Sessions(Bounds(settings.session_turns, settings.session_bytes), given)
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Take questions until the client leaves; then the running call ends at once."""
        try:
            while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
                await self._take(message.get("text") or message.get("bytes") or "")
        except WebSocketDisconnect:
            pass
        finally:
            if self._answering is not None:
                self._answering.cancel()
                await asyncio.wait({self._answering})

    async def _take(self, text: str | bytes) -> None:
        size = len(text.encode() if isinstance(text, str) else text)
        if size > self._settings.message_bytes:
            await self._refuse(413, f"The message has {size} bytes; {self._settings.message_bytes} are allowed.")
            return
        try:
            question = Question.model_validate_json(text)
        except ValidationError as error:
            await self._refuse(422, validation_message(error.errors()))
            return
        if self._answering is not None and not self._answering.done():
            await self._refuse(409, "A question is being answered: wait for its end, or open another socket.")
            return
        self._answering = asyncio.create_task(self._answer(question))

    async def _answer(self, asked: Question) -> None:
        about = {"session_id": asked.session_id, "request_id": str(uuid.uuid4())}
        with contextlib.suppress(WebSocketDisconnect):
            try:
                await self._stream(asked, about)
            except ProxyResponseError as refused:
                await self._send("error", message=str(refused), code=refused.body()["code"], **about)
            except Exception as error:  # noqa: BLE001  the socket stays open, whatever it is
                logger.error("A question ended with %s", type(error).__name__)
                await self._send("error", message="The proxy failed on this question.", code="500", **about)

    async def _stream(self, asked: Question, about: dict[str, str]) -> None:
        session = self._sessions[asked.session_id]
        model = asked.model or self._settings.default_model
        body = {**asked.params.body(), "model": model, "messages": session.ask(asked.question)}
        headers = {"correlation-id": session.correlation_id, **self._headers, REQUEST_ID: about["request_id"]}
        fold = ChunkAccumulator()
        async with self._router.stream(body, headers) as answer:
            known = {
                "model": model,
                "provider": response_provider(answer.headers),
                "correlation_id": session.correlation_id,
            }
            await self._send("start", **about, **known)
            async for chunk in answer.chunks:
                if text := fold.feed(chunk):
                    await self._send("token", text=text)
        if fold.text:
            session.keep(asked.question, fold.text)
        await self._send("end", full_text=fold.text, **about, finish_reason=fold.finish_reason, **fold.told())

    async def _refuse(self, code: int, message: str) -> None:
        await self._send("error", message=message, code=str(code))

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._websocket.send_json({"type": kind, **fields})
