"""JSON Schemas that cost far more than their size suggests, each with a value to validate.

`make siege` sends each attack of ATTACKS on every route. A value is an object, like arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

LEVELS = (22, 40, 200)
ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Attack:
    """A schema, and the object that the agent answers."""

    name: str
    schema: Mapping[str, Any]
    value: Mapping[str, Any]


def chain(levels: int, link: Callable[[Json], Json], **keywords: Any) -> Json:
    """Return a chain of definitions, in which `link` makes each apply the next one."""
    definitions = {f"d{number}": link({"$ref": f"#/$defs/d{number + 1}"}) for number in range(levels)}
    definitions[f"d{levels}"] = {"type": "object"}
    return {"type": "object", "$ref": "#/$defs/d0", "$defs": definitions, **keywords}


def nested(value: Any, levels: int, within: Callable[[Any], Any]) -> Any:
    """Return a value that is put `levels` times into another one."""
    for _ in range(levels):
        value = within(value)
    return value


def of_rows(schema: Json, **keywords: Any) -> Json:
    """Return the schema of an object whose rows are valid against `schema`."""
    return {"type": "object", "properties": {ROWS: schema}, **keywords}


LINKS: Mapping[str, Callable[[Json], Json]] = {
    "allOf": lambda ref: {"allOf": [ref, ref]},
    "anyOf": lambda ref: {"anyOf": [{"type": "string"}, ref, ref]},
    "oneOf": lambda ref: {"oneOf": [ref, ref]},
    "not": lambda ref: {"not": {"not": {"allOf": [ref, ref]}}},
    "if/then/else": lambda ref: {"if": ref, "then": ref, "else": ref},
}
OBJECT: Json = {"a": 1, "b": 2}


def _chains() -> Iterator[Attack]:
    for levels in LEVELS:
        for name, link in LINKS.items():
            yield Attack(f"{name}, {levels} levels", chain(levels, link), OBJECT)
        unevaluated = chain(levels, lambda ref: {"dependentSchemas": {"a": ref, "b": ref}}, unevaluatedProperties=False)
        yield Attack(f"unevaluatedProperties, {levels} levels", unevaluated, OBJECT)


_NODE = {"properties": {"c": {"$ref": "#/$defs/n"}}}
_DYNAMIC = {"properties": {"c": {"$dynamicRef": "#n"}}}
_SUBJECT = "a" * 60 + "!"
_MANY = 5_000

_OTHERS = (
    Attack(
        "recursion",
        {"type": "object", "$defs": {"n": {"allOf": [_NODE, _NODE]}}, "$ref": "#/$defs/n"},
        nested({}, 30, lambda inner: {"c": inner}),
    ),
    Attack(
        "$dynamicRef",
        {"type": "object", "$defs": {"n": {"$dynamicAnchor": "n", "allOf": [_DYNAMIC, _DYNAMIC]}}, "$ref": "#n"},
        nested({}, 30, lambda inner: {"c": inner}),
    ),
    Attack(
        "contains",
        of_rows(nested({"type": "null"}, 6, lambda inner: {"contains": inner})),
        {ROWS: nested([1], 5, lambda item: [item] * 9)},
    ),
    Attack(
        "uniqueItems of 2,000 objects",
        of_rows({"type": "array", "uniqueItems": True}),
        {ROWS: [{"a": number, "b": [number]} for number in range(2_000)]},
    ),
    Attack(
        "enum of 5,000 objects",
        of_rows({"type": "array", "items": {"enum": [{"a": number} for number in range(_MANY)]}}),
        {ROWS: [{"a": _MANY - 1 - number} for number in range(300)]},
    ),
    # The longest that fits into a prompt: a longer one is rejected before validation.
    Attack("pattern of 0.9 MB", of_rows({"pattern": "(a|b)*" * 160_000}), {ROWS: "ab" * 20}),
    Attack("pattern of 100 kB", of_rows({"pattern": "(a|b)*" * 17_000}), {ROWS: "ab" * 20}),
    Attack("pattern with alternatives", of_rows({"pattern": "^(a|a)*$"}), {ROWS: _SUBJECT}),
    Attack("pattern with repetitions", of_rows({"pattern": "^(a|aa)+$"}), {ROWS: _SUBJECT}),
    Attack(
        "40 slow patterns",
        {"type": "object", "patternProperties": {f"^(a|a)*{'x' * number}$": {} for number in range(40)}},
        {"a" * 60 + "x" * 40 + "!": 1},
    ),
    Attack(
        "additionalProperties beside a slow pattern",
        {"type": "object", "patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False},
        {_SUBJECT: 1},
    ),
    Attack(
        "20,000 properties",
        {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(20_000)}},
        {f"p{number}": "x" for number in range(0, 20_000, 10)},
    ),
    Attack(
        "5,000 properties",
        {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(_MANY)}},
        {f"p{number}": "x" for number in range(_MANY)},
    ),
    Attack(
        "3,000 $ids",
        {
            "type": "object",
            "$id": "https://example.com/root",
            "$defs": {f"d{number}": {"$id": f"d{number}", "type": "object"} for number in range(3_000)},
            "allOf": [{"$ref": f"d{number}"} for number in range(0, 3_000, 5)],
        },
        OBJECT,
    ),
    Attack(
        "2,000 $anchors",
        {
            "type": "object",
            "$defs": {f"d{number}": {"$anchor": f"a{number}", "type": "object"} for number in range(2_000)},
            "allOf": [{"$ref": f"#a{number}"} for number in range(2_000)],
        },
        OBJECT,
    ),
    Attack(
        "long messages",
        {"type": "object", "allOf": [{"anyOf": [{"type": "string"}] * 50}] * 50},
        {"a": "x" * 100_000},
    ),
)

ATTACKS = (*_chains(), *_OTHERS)
PLAIN = Attack(
    "a plain schema",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    {"city": "Recife"},
)
