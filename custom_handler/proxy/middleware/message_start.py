"""Set the input tokens in the first event of a stream of `/v1/messages`.

LiteLLM sends 0, because most providers count at the end only; clients such as Claude Code show how
full the context is by this figure.
"""

from __future__ import annotations

import json
import re

_FIRST = re.compile(rb"event: message_start\ndata: (?P<data>[^\n]+)")


class MessageStart:
    """Changes the `message_start` event of one stream."""

    def __init__(self) -> None:
        self._sent = False

    def stream(self, events: bytes, tokens: int) -> bytes:
        """Return events of a stream, with the tokens in the first one."""
        if self._sent or events.startswith(b":"):  # keepalive comments may precede the first event
            return events
        self._sent = bool(events)
        found = _FIRST.match(events)
        try:
            event = json.loads(found["data"]) if found else {}
            usage = event["message"]["usage"]
            usage["input_tokens"] = usage["input_tokens"] or tokens
        except (ValueError, KeyError, TypeError):  # an error, or a response that is no stream
            return events
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        return b"event: message_start\ndata: " + data + events[found.end() :] if found else events


def message_start_for(path: str) -> MessageStart | None:
    """Return what changes a stream of this route, None for a route that needs nothing.

    >>> message_start_for("/v1/chat/completions") is None
    True
    """
    return MessageStart() if path.rstrip("/").endswith("/messages") else None
