"""JSON bodies and Server-Sent Events of LiteLLM's responses, as the middleware changes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def changed_body(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a JSON body after `change`; a body of another form stays as it is."""
    try:
        value = json.loads(body)
        change(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        return body
    return compact(value).encode()


def split(events: bytes) -> list[bytes]:
    """Return the Server-Sent Events of a write, each with the empty line behind it."""
    *whole, rest = events.split(b"\n\n")
    return [event + b"\n\n" for event in whole] + ([rest] if rest else [])


def data_of(event: bytes) -> dict[str, Any]:
    """Return the JSON object of an event, an empty one for another event."""
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            try:
                data = json.loads(line[5:])
            except ValueError:
                break
            return data if isinstance(data, dict) else {}
    return {}


def event_of(data: dict[str, Any], *, named: bool = False) -> bytes:
    """Return the event of a JSON object; `named`: its type is also the event's name."""
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {compact(data)}\n\n".encode()


def compact(value: Any) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
