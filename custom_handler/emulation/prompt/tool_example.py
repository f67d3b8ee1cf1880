"""Generates example arguments from a tool's schema, which the prompt shows in a sample call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEPTH = 4
MAX_PARTS = 200  # of an example: required properties can multiply with each level
MAX_HOPS = 20  # from one reference to the next
MAX_REFERENCE_CHARACTERS = 500


def example(schema: Mapping[str, Any]) -> Any:
    """Return arguments for a tool with these parameters."""
    return _Example(schema).value({"type": "object"} | dict(schema), DEPTH)


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
            items = schema.get("items")
            return [self.value(items, depth - 1)] if isinstance(items, Mapping) and deeper else []
        return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "text")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        required = schema.get("required")
        shown = required if isinstance(required, list) and required else list(properties)[:1]
        example: dict[str, Any] = {}
        for name in shown:
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
