"""Returns the JSON types that a schema allows, as far as it says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .prompt.tool_example import resolve_reference

_MAX_SUBSCHEMAS = 500
_DATA = frozenset({"const", "default", "enum", "examples"})
_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
# With these, properties may be those of another schema, or be ruled by it.
_OPEN = frozenset(
    {"additionalProperties", "unevaluatedProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if"}
)


def allowed_types(schema: Any, root: Mapping[str, Any]) -> frozenset[str] | None:
    """Return JSON Schema's names of the types that `schema`, a part of `root`, allows.

    None if it does not say, or has too many branches.

    >>> sorted(allowed_types({"anyOf": [{"type": "array"}, {"type": "null"}]}, {}))
    ['array', 'null']
    """
    return _types(schema, root, iter(range(_MAX_SUBSCHEMAS)))


def closed(schema: Any) -> Any:
    """Return a strict tool's schema, whose objects have no other properties unless it says so.

    OpenAI demands that such a schema says so itself; where it does not, it is meant.

    >>> closed({"properties": {"a": {}}})
    {'properties': {'a': {}}, 'additionalProperties': False}
    """
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    parts: dict[str, Any] = {}
    for key, part in schema.items():
        by_name = key in _SCHEMAS_BY_NAME and isinstance(part, Mapping)
        inner = {name: closed(one) for name, one in part.items()} if by_name else closed(part)
        parts[key] = part if key in _DATA else inner
    if isinstance(schema.get("properties"), Mapping) and not schema.keys() & _OPEN:
        parts["additionalProperties"] = False
    return parts


def branches(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    """Return the schemas of allOf, anyOf or oneOf; an empty list without the keyword."""
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with the members of the schema that it refers to."""
    if not isinstance(schema, Mapping):
        return {}
    target = resolve_reference(schema, root)
    return target if target is schema else {**target, **{key: v for key, v in schema.items() if key != "$ref"}}


def _types(schema: Any, root: Mapping[str, Any], left: Iterator[int]) -> frozenset[str] | None:
    if next(left, None) is None:
        return None
    schema = resolved(schema, root)
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(map(str, kind))
    for keyword in ("anyOf", "oneOf"):
        if of_branches := [_types(branch, root, left) for branch in branches(schema, keyword)]:
            return None if None in of_branches else frozenset().union(*filter(None, of_branches))
    known = [kinds for branch in branches(schema, "allOf") if (kinds := _types(branch, root, left))]
    if known:
        return frozenset.intersection(*known)
    return frozenset({"object"}) if isinstance(schema.get("properties"), Mapping) else None
