"""Makes up arguments that fit a tool's schema, to show the syntax of a call with a tool that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEPTH = 4


def example(schema: Mapping[str, Any]) -> Any:
    """Return arguments for a tool with these parameters."""
    return _example({"type": "object"} | dict(schema), schema, DEPTH)


def _example(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    """Make up a value that fits the schema, which is a part of `root`."""
    schema = followed(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(options := schema.get(key), list) and options:
            return options[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list) and options and isinstance(options[0], Mapping) and depth:
            return _example(options[0], root, depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _example_object(schema, root, depth)
    if kind == "array":
        items = schema.get("items")
        return [_example(items, root, depth - 1)] if isinstance(items, Mapping) and depth else []
    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(str(kind), "text")


def followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference such as `#/$defs/City` stands for; one that leads nowhere is left as it is."""
    for _ in range(len(root)):
        if not isinstance(reference := schema.get("$ref"), str) or not reference.startswith("#/"):
            return schema
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return schema
        schema = target
    return schema


def _example_object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not depth:
        return {}
    required = schema.get("required")
    shown = required if isinstance(required, list) and required else list(properties)[:1]
    return {
        name: _example(properties[name], root, depth - 1) for name in shown if isinstance(properties.get(name), Mapping)
    }
