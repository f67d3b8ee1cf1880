"""Generates example arguments from a tool's schema, which the prompt shows in a sample call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...request.chat_request import Tool

DEPTH = 4
MAX_PARTS = 200  # of an example: required properties can multiply with each level
MAX_HOPS = 20  # from one reference to the next
MAX_REFERENCE_CHARACTERS = 500
STRING = 'line\n"two"'  # shows how a newline and a quote are escaped
_ITEMS = {"string": ("text", "more"), "integer": (1, 2), "number": (1.5, 2.5), "boolean": (True, False)}
_LIMITS = frozenset({"const", "default", "enum", "examples", "format", "pattern", "minLength", "maxLength"})


def example_tool(tools: Sequence[Tool]) -> Tool:
    """Return the tool with a string among the fewest arguments, else the first.

    The first tool of a coding agent starts a subagent; as an example it would be called too often.
    """
    with_string = [tool for tool in tools if _plain_string(tool.parameters) is not None]
    return min(with_string, key=lambda tool: len(_shown_names(tool.parameters)), default=tools[0])


def example(schema: Mapping[str, Any]) -> Any:
    """Return arguments for a tool with these parameters."""
    value = _Example(schema).value({"type": "object"} | dict(schema), DEPTH)
    name = _plain_string(schema)
    return {**value, name: STRING} if name is not None and isinstance(value, dict) and name in value else value


def _shown_names(schema: Mapping[str, Any]) -> list[Any]:
    """Return the names of the properties that an example shows: the required ones, or the first."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return []
    return required if isinstance(required, list) and required else list(properties)[:1]


def _plain_string(schema: Mapping[str, Any]) -> str | None:
    """Return the name of the first shown property that may be any string."""
    properties = schema.get("properties")
    for name in _shown_names(schema):
        part = properties.get(name) if isinstance(properties, Mapping) and isinstance(name, str) else None
        if isinstance(part, Mapping) and part.get("type") == "string" and not part.keys() & _LIMITS:
            return str(name)
    return None


class _Example:
    """Generates values for the parts of one schema; beyond MAX_PARTS only empty ones."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_PARTS

    def value(self, schema: Mapping[str, Any], depth: int) -> Any:
        """Return a value for a part of the root schema."""
        self._left -= 1
        schema = resolve_reference(schema, self._root)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples"):
            if isinstance(options := schema.get(key), list) and options:
                return options[0]
        deeper = depth and self._left > 0
        for key in ("anyOf", "oneOf", "allOf"):
            if isinstance(options := schema.get(key), list) and options and isinstance(options[0], Mapping) and deeper:
                return self.value(options[0], depth - 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object":
            return self._object(schema, depth) if deeper else {}
        if kind == "array":
            return self._array(schema, depth) if deeper else []
        return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "text")

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        """Return two different items where they are simple: one item primes a list of one."""
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return []
        first, most = self.value(items, depth - 1), schema.get("maxItems")
        options = items.get("enum")
        values = options if isinstance(options, list) else _ITEMS.get(str(items.get("type")), ())
        if first not in values[:1] or not isinstance(first, str | int | float) or most in (0, 1):
            return [first]
        return list(values[:2])

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        example: dict[str, Any] = {}
        for name in _shown_names(schema):
            if self._left > 0 and isinstance(name, str) and isinstance(properties.get(name), Mapping):
                example[name] = self.value(properties[name], depth - 1)
        return example


def resolve_reference(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target of a reference such as `#/$defs/City`; the schema without a target."""
    for _ in range(MAX_HOPS):
        reference = schema.get("$ref")
        if (
            not isinstance(reference, str)
            or not reference.startswith("#/")
            or len(reference) > MAX_REFERENCE_CHARACTERS
        ):
            return schema
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return schema
        schema = target
    return schema
