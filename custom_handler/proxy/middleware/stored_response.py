"""Keep the responses of /v1/responses as their clients receive them, before the last byte is sent.

So a request that follows at once finds the response. A streamed response is complete with the
event that ends it; https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from ...request.response_turn import ResponseTurn

Keep: TypeAlias = Callable[[ResponseTurn, dict[str, Any]], Awaitable[None]]

_ENDS = tuple(f'"response.{name}"'.encode() for name in ("completed", "incomplete", "failed"))
_END_TYPES = {name.decode().strip('"') for name in _ENDS}


async def keep_stream(events: bytes, turn: ResponseTurn, keep: Keep) -> None:
    """Keep the response of a stream whose end is among these events."""
    if not turn.is_kept or not any(name in events for name in _ENDS):
        return
    for line in events.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data" and (event := _object(value)) is not None and event.get("type") in _END_TYPES:
            await _keep(event.get("response"), turn, keep)


async def keep_whole(body: bytes, turn: ResponseTurn, keep: Keep) -> bytes:
    """Keep a whole response; return it with the id of the response that it continues."""
    if (response := _object(body)) is None or response.get("object") != "response":
        return body
    if turn.previous is not None:
        response["previous_response_id"] = turn.previous
        body = json.dumps(response, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if turn.is_kept:
        await _keep(response, turn, keep)
    return body


async def _keep(response: Any, turn: ResponseTurn, keep: Keep) -> None:
    if isinstance(response, dict) and isinstance(response.get("id"), str):
        await keep(turn, response)


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
