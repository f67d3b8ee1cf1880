"""The JSON object with which the chat service and jobs return a completion."""

from __future__ import annotations

from typing import Any

from ..request.context import request_id
from .client import Completion
from .deployments import response_provider


def reply_body(completion: Completion, seconds: float) -> dict[str, Any]:
    """Return the object of a completion; `seconds` is the duration of the call."""
    message = completion.completion["choices"][0]["message"]
    text = message.get("content") or ""
    return {
        "content": text,
        "reply": text,
        "model": completion.completion.get("model"),
        "provider": response_provider(completion.headers),
        "usage": completion.completion.get("usage"),
        "latency_ms": round(seconds * 1000, 1),
        "request_id": request_id(),
        **{name: message[name] for name in ("tool_calls", "annotations") if message.get(name)},
    }
