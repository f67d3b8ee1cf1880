"""The JSON object in which the chat service and the jobs return an answer."""

from __future__ import annotations

from typing import Any

from ..request.context import request_id
from .client import Completion
from .deployments import response_provider


def reply_body(answer: Completion, seconds: float) -> dict[str, Any]:
    """Return an answer as the services send it; `seconds` is the duration of the call."""
    message = answer.completion["choices"][0]["message"]
    text = message.get("content") or ""
    return {
        "content": text,
        "reply": text,
        "model": answer.completion.get("model"),
        "provider": response_provider(answer.headers),
        "usage": answer.completion.get("usage"),
        "latency_ms": round(seconds * 1000, 1),
        "request_id": request_id(),
        **({"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}),
    }
