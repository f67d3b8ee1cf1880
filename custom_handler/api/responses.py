"""How the services answer over HTTP: errors of one shape, answers that nobody waits for ended, streams opened first."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from ..proxy.client import CompletionStream, ProxyResponseError
from ..proxy.error_body import error_body

T = TypeVar("T")


class ErrorRoute(APIRoute):
    """A route whose errors have the proxy's shape, `{"error": {"message", "type", "code"}}`, and never repeat the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                return JSONResponse(error_body(validation_message(error.errors()), 422), 422)
            except ProxyResponseError as refused:
                return JSONResponse(
                    {"error": refused.body()}, refused.status, headers=response_headers(refused.headers)
                )
            except HTTPException as error:  # the framework's own, such as for JSON that is nested too deep to be read
                body = error_body(error.detail, error.status_code)
                return JSONResponse(body, error.status_code, headers=error.headers)

        return told


api_router = functools.partial(APIRouter, route_class=ErrorRoute)
"""Makes the APIRouter of a part of the services."""


class ModelStream(StreamingResponse):
    """A stream whose model has begun to answer; however it ends, the call ends with it."""

    def __init__(self, answer: contextlib.AsyncExitStack, texts: AsyncIterator[str], **kwargs: Any) -> None:
        super().__init__(texts, **kwargs)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        async with self._answer:
            await super().__call__(scope, receive, send)


async def opened(
    request: Request, answer: contextlib.AbstractAsyncContextManager[CompletionStream]
) -> tuple[CompletionStream, contextlib.AsyncExitStack]:
    """Open a stream while its client stays; raises Refused."""
    stack = contextlib.AsyncExitStack()
    return await cancel_on_disconnect(request, stack.enter_async_context(answer)), stack


async def cancel_on_disconnect(request: Request, answer: Awaitable[T]) -> T:
    """Wait for an answer, and cancel it if the client leaves before."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise HTTPException(499, "The client has left.")
        return answering.result()
    finally:
        leaving.cancel()
        answering.cancel()


def sse_event(data: object, name: str = "") -> str:
    """Write a server-sent event: a text as it is, anything else as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return f"event: {name}\n{lines}\n" if name else f"{lines}\n"


def response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep what the proxy says about a call: its limits, its cost, when to try again."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower().startswith(("x-litellm-", "x-ratelimit-")) or name.lower() == "retry-after"
    }


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def validation_message(errors: Iterable[Mapping[str, Any]]) -> str:
    """Tell where each fault that pydantic found is and what it is, without what was sent."""
    return "; ".join(map(_fault, errors))


def _fault(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return "what was sent is not valid JSON"
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    what = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
