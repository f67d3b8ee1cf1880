"""Items of the Responses API, in the form in which a later request can send them again.

https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..data_class import data_class

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_COMPRESSION = 1  # the fastest


@data_class
class StoredResponse:
    """A response as its client received it, and the input items of its whole conversation.

    The last `added` of `items` came with its own request, the others from earlier ones.
    """

    response: dict[str, Any]
    items: list[Any]
    added: int

    def conversation(self) -> list[Any]:
        """Return the input items of a request that continues this response."""
        return [*self.items, *map(without_null, self.output())]

    def own_items(self) -> list[Any]:
        """Return the items of this turn: those of its request, and its output."""
        return [*self.items[len(self.items) - self.added :], *map(without_null, self.output())]

    def output(self) -> list[Any]:
        """Return the output items."""
        output = self.response.get("output")
        return output if isinstance(output, list) else []


def encode(value: Any) -> bytes:
    """Return a JSON value as compressed bytes."""
    return zlib.compress(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), _COMPRESSION
    )


def decode(content: bytes) -> Any:
    """Return the JSON value of `encode`."""
    return json.loads(zlib.decompress(content))


def exceeds(value: Any, limit: int) -> bool:
    """Return whether a JSON value needs more than `limit` bytes; it looks at no more than these.

    >>> exceeds([{"a": "é" * 5}], 10), exceeds([{"a": "é"}], 10)
    (True, False)
    """
    size, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            size += len(one) if one.isascii() else len(one.encode("utf-8", "surrogatepass"))
        elif isinstance(one, Mapping):
            size += 2
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            size += 2
            waiting += one
        else:
            size += 4
        if size > limit:
            return True
    return False


def as_items(value: Any) -> list[Any]:
    """Return the field `input` of a request as a list of items."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return list(value) if isinstance(value, list) else []


def normalized(item: Any) -> Any:
    """Return an input item with its type, an id, and its text in a part, as OpenAI lists it.

    >>> item = normalized({"role": "user", "content": "Oi"})
    >>> item["type"], item["id"][:4], item["content"]
    ('message', 'msg_', [{'type': 'input_text', 'text': 'Oi'}])
    """
    if not isinstance(item, Mapping):
        return item
    kind = item.get("type") or ("message" if "role" in item else "item")
    changed = {**item, "type": kind, "id": item.get("id") or f"{_PREFIXES.get(str(kind), 'item')}_{uuid.uuid4().hex}"}
    if kind == "message":
        changed.setdefault("status", "completed")
        if isinstance(text := item.get("content"), str):
            is_output = item.get("role") == "assistant"
            part = {"type": "output_text", "text": text, "annotations": []} if is_output else None
            changed["content"] = [part or {"type": "input_text", "text": text}]
    return changed


def without_null(value: Any) -> Any:
    """Return a JSON value without the members of objects that are null.

    >>> without_null({"a": None, "b": [{"c": None}]})
    {'b': [{}]}
    """
    if isinstance(value, Mapping):
        return {name: without_null(member) for name, member in value.items() if member is not None}
    return [without_null(member) for member in value] if isinstance(value, list) else value


def referenced_id(item: Any) -> str | None:
    """Return the id that an item refers to, None for an item with content of its own.

    >>> referenced_id({"type": "item_reference", "id": "msg_1"}), referenced_id({"id": "msg_1"})
    ('msg_1', 'msg_1')
    >>> referenced_id({"role": "user", "content": "Oi", "id": "msg_1"})
    """
    if not isinstance(item, Mapping) or not item.keys() <= {"type", "id"}:
        return None
    identifier = item.get("id")
    is_reference = item.get("type") in ("item_reference", None) and isinstance(identifier, str)
    return identifier if is_reference else None


def by_id(items: Iterable[Any]) -> dict[str, Any]:
    """Return the items that have an id, by it."""
    return {
        item["id"]: item
        for item in items
        if isinstance(item, Mapping) and isinstance(item.get("id"), str) and item["id"]
    }
