"""Responses of the services: error objects, server-sent events, cancellation on disconnect."""

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
from ..proxy.validation.content_limits import MAX_FIELDS, too_many_fields

T = TypeVar("T")


class ErrorRoute(APIRoute):
    """A route whose errors are `{"error": {"message", "type", "code"}}`, and quote no values."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, with its errors as responses."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                if (count := await _count_fields(request)) > MAX_FIELDS:
                    return JSONResponse(error_body(too_many_fields(count), 422), 422)
                return await handler(request)
            except RequestValidationError as error:
                return JSONResponse(error_body(validation_message(error.errors()), 422), 422)
            except ProxyResponseError as error:
                return JSONResponse({"error": error.body()}, error.status, headers=response_headers(error.headers))
            except HTTPException as error:  # raised by FastAPI, for example for deeply nested JSON
                body = error_body(error.detail, error.status_code)
                return JSONResponse(body, error.status_code, headers=error.headers)

        return handle


async def _count_fields(request: Request) -> int:
    """Return the fields of a JSON object: FastAPI would list each one that it does not know."""
    if "json" not in request.headers.get("content-type", ""):
        return 0
    try:
        body = await request.json()  # which the handler uses again
    except (ValueError, RecursionError):
        return 0  # the handler says what is wrong
    return len(body) if isinstance(body, dict) else 0


api_router = functools.partial(APIRouter, route_class=ErrorRoute)
"""Create an APIRouter of the services."""


class ModelStream(StreamingResponse):
    """A streaming response that closes the model's stream (`stack`) at its end."""

    def __init__(self, stack: contextlib.AsyncExitStack, texts: AsyncIterator[str], **kwargs: Any) -> None:
        super().__init__(texts, **kwargs)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with self._stack:
            await super().__call__(scope, receive, send)


async def open_stream(
    request: Request, stream: contextlib.AbstractAsyncContextManager[CompletionStream]
) -> tuple[CompletionStream, contextlib.AsyncExitStack]:
    """Open a stream, and return it with the stack that closes it; raises ProxyResponseError."""
    stack = contextlib.AsyncExitStack()
    return await cancel_on_disconnect(request, stack.enter_async_context(stream)), stack


async def cancel_on_disconnect(request: Request, result: Awaitable[T]) -> T:
    """Return a result; cancel it and raise HTTPException (499) if the client disconnects first."""
    pending = asyncio.ensure_future(result)
    disconnect = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({pending, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not pending.done():
            raise HTTPException(499, "The client has left.")
        return pending.result()
    finally:
        disconnect.cancel()
        pending.cancel()


def sse_event(data: object, name: str = "") -> str:
    """Return a server-sent event; data other than text is serialized to JSON.

    >>> sse_event({"total_tokens": 3}, "usage")
    'event: usage\\ndata: {"total_tokens": 3}\\n\\n'
    """
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return f"event: {name}\n{lines}\n" if name else f"{lines}\n"


def response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy's headers about a call: its ids, cost, limits, cache and retry-after."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower().startswith(("x-litellm-", "x-ratelimit-", "x-stackspot-")) or name.lower() == "retry-after"
    }


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def validation_message(errors: Iterable[Mapping[str, Any]]) -> str:
    """Return the field and the message of each of pydantic's errors, without the values."""
    return "; ".join(map(_message, errors))


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return "what was sent is not valid JSON"
    path = ".".join(str(part) for part in error["loc"] if part != "body")
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
