"""Keepalive comments of a stream say what is known of an answer that takes long."""

from __future__ import annotations

import asyncio
from typing import Any

from litellm.constants import STREAM_SSE_KEEPALIVE_PING_BYTES
from litellm.proxy.common_utils.sse_keepalive import SSE_COMMENT_PING_BYTES

from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.request.context import report_progress


def test_a_ping_becomes_the_progress_and_nothing_else_changes() -> None:
    sent: list[bytes] = []
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def write(body: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await write(SSE_COMMENT_PING_BYTES)
        report_progress("RUNNING 50 %")
        await write(SSE_COMMENT_PING_BYTES)
        await write(STREAM_SSE_KEEPALIVE_PING_BYTES)
        await write(b"data: 1\n\n", more=False)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    asyncio.run(ProxyWrapper(app)(scope, receive, send))
    event = b": RUNNING 50 %\n" + STREAM_SSE_KEEPALIVE_PING_BYTES
    assert sent == [b": ping\n\n", b": RUNNING 50 %\n\n", event, b"data: 1\n\n"]
