"""Which arguments a tool's schema allows, and what it decides about wrappers and JSON in strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_handler.emulation.lenient_json import LenientJsonParser
from custom_handler.emulation.tool_calls.argument_schema import ArgumentSchema

X = {"type": "object", "properties": {"x": {"type": "integer"}}}
STEP = {"properties": {"step_id": {"type": "string"}}}

ALLOWED: dict[str, Any] = {
    "no parameters": {},
    "a bare object": {"type": "object"},
    "no properties, closed": {"type": "object", "additionalProperties": False},
    "listed": STEP,
    "additionalProperties true": {**X, "additionalProperties": True},
    "additionalProperties a schema": {**X, "additionalProperties": {"type": "string"}},
    "additionalProperties an empty schema": {**X, "additionalProperties": {}},
    "unevaluatedProperties true": {**X, "unevaluatedProperties": True},
    "patternProperties": {**X, "patternProperties": {"_id$": {}}},
    "a root $ref": {"$ref": "#/$defs/A", "$defs": {"A": STEP}},
    "a root $ref without a target": {"$ref": "#/$defs/B", "$defs": {"A": X}, **X},
    "a $ref elsewhere": {"$ref": "https://example.com/schema.json"},
    "a $ref by way of a $ref": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": STEP}},
    "in an allOf": {"allOf": [X, STEP]},
    "in an allOf beside properties": {**X, "allOf": [STEP]},
    "in an anyOf": {"anyOf": [X, STEP]},
    "in a oneOf": {"oneOf": [X, STEP]},
    "a branch that is bare": {"anyOf": [X, {"type": "object"}]},
    "a branch that is true": {"anyOf": [X, True]},
    "a branch that is open": {"oneOf": [X, {**X, "additionalProperties": True}]},
    "in an allOf in an anyOf": {"anyOf": [{"allOf": [X, {"$ref": "#/$defs/S"}]}], "$defs": {"S": STEP}},
    "a reference to itself without properties": {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}},
    },
}
DROPPED: dict[str, Any] = {
    "listed without it": X,
    "closed": {**X, "additionalProperties": False},
    "no properties listed": {"type": "object", "properties": {}},
    "a root $ref": {"$ref": "#/$defs/A", "$defs": {"A": X}},
    "an allOf": {"allOf": [X, {"properties": {"y": {}}}]},
    "each of an anyOf": {"anyOf": [X, {"properties": {"y": {}}}]},
    "branches that only require": {**X, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]},
    "deeper only": {"properties": {"a": STEP}},
    "definitions that refer to each other": {
        "allOf": [{"$ref": "#/$defs/A"}],
        "$defs": {"A": {**X, "allOf": [{"$ref": "#/$defs/B"}]}, "B": {"anyOf": [{"$ref": "#/$defs/A"}, X]}},
    },
}


@pytest.mark.parametrize("schema", ALLOWED.values(), ids=ALLOWED)
def test_an_argument_that_the_schema_may_mean_is_allowed(schema: Any) -> None:
    assert ArgumentSchema(schema).allows("step_id")
    assert not ArgumentSchema(schema).dropped_arguments() & {"step_id"}


@pytest.mark.parametrize("schema", DROPPED.values(), ids=DROPPED)
def test_an_argument_that_the_schema_rules_out_is_dropped(schema: Any) -> None:
    assert not ArgumentSchema(schema).allows("step_id")
    assert ArgumentSchema(schema).dropped_arguments() == {"step_id", "tool_execution_id"}


def test_a_schema_of_endless_branches_is_not_searched_to_its_end() -> None:
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    assert ArgumentSchema({"$ref": "#/$defs/d0", "$defs": definitions}).allows("step_id")


LISTS = {
    "type": "object",
    "properties": {
        "todos": {"type": "array", "items": {"type": "object", "properties": {"tags": {"type": ["array", "null"]}}}},
        "options": {"$ref": "#/$defs/Options"},
        "maybe": {"anyOf": [{"type": "array"}, {"type": "null"}]},
        "text": {"type": "string"},
        "either": {"anyOf": [{"type": "array"}, {"type": "string"}]},
        "untyped": {},
    },
    "$defs": {"Options": {"type": "object", "properties": {"list": {"type": "array"}}}},
}
INTEGER: Any = {"properties": {"x": {"type": "integer"}}}
FITTED = [
    ("a list", LISTS, '{"todos":"[{\\"id\\": 1.50}]"}', '{"todos":[{"id": 1.50}]}'),
    ("an object by reference", LISTS, '{"options":"{}"}', '{"options":{}}'),
    ("a list or null", LISTS, '{"maybe":" [1] "}', '{"maybe":[1]}'),
    ("within a list", LISTS, '{"todos":[{"tags":"[1]"},{"tags":[2.0]}]}', '{"todos":[{"tags":[1]},{"tags":[2.0]}]}'),
    ("within an object", LISTS, '{"text":"[1]","options":{"list":"[1e2]"}}', '{"text":"[1]","options":{"list":[1e2]}}'),
    ("once more wrapped", X, '{"arguments":{"x":1}}', '{"x":1}'),
    ("wrapped as a string", X, '{"arguments":"{\\"x\\": 1}"}', '{"x":1}'),
    ("wrapped with the name", X, '{"name":"f","arguments":{"x":1}}', '{"x":1}'),
    ("wrapped as input", X, '{"tool":"f","input":{"x":1}}', '{"x":1}'),
    ("wrapped under another word", X, '{"kwargs":{"x":1}}', '{"x":1}'),
    ("the schema with values", X, '{"type":"object","properties":{"x":1.50},"required":["x"]}', '{"x":1.50}'),
    ("values with their types", INTEGER, '{"x":{"type":"integer","value":1}}', '{"x":1}'),
    ("the schema, values with their types", INTEGER, '{"properties":{"x":{"type":"integer","value":1}}}', '{"x":1}'),
    ("a list in Python's syntax", LISTS, """{"todos":"['a', True]"}""", '{"todos":["a",true]}'),
    ("wrapped with the platform's arguments", X, '{"arguments":{"x":1,"step_id":"1"}}', '{"x":1}'),
]
LEFT = [
    ("a string where the schema has one", LISTS, '{"text":"[1]"}'),
    ("a string where the schema allows one", LISTS, '{"either":"[1]"}'),
    ("a string where the schema says nothing", LISTS, '{"untyped":"[1]"}'),
    ("an unknown member", LISTS, '{"other":"[1]"}'),
    ("a list where an object is due", LISTS, '{"options":"[1]"}'),
    ("a string that is no JSON", LISTS, '{"todos":"[1"}'),
    ("a string with NaN", LISTS, '{"todos":"[NaN]"}'),
    ("arguments that the tool declares", {"properties": {"arguments": {}}}, '{"arguments":{"x":1}}'),
    ("arguments of a tool that takes anything", {}, '{"arguments":{"x":1}}'),
    ("the name of another tool", X, '{"name":"g","arguments":{"x":1}}'),
    ("further members", X, '{"arguments":{"x":1},"y":2}'),
    ("a wrapped list", X, '{"arguments":[1]}'),
    ("the schema without values", INTEGER, '{"type":"object","properties":{"x":{"type":"integer"}}}'),
    ("an object of other arguments", X, '{"kwargs":{"y":1}}'),
    ("a value with its type where an object is due", LISTS, '{"options":{"type":"a","value":1}}'),
    ("code where a list is due", LISTS, """{"todos":"[open('a')]"}"""),
    ("ordinary arguments", X, '{"x":1.0}'),
]


@pytest.mark.parametrize(("schema", "written", "fitted"), [row[1:] for row in FITTED], ids=[row[0] for row in FITTED])
def test_what_the_schema_decides_is_undone(schema: Any, written: str, fitted: str) -> None:
    assert ArgumentSchema(schema).fit(written, ("f",)) == fitted


@pytest.mark.parametrize(("schema", "written"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT])
def test_what_the_schema_does_not_decide_is_left_as_written(schema: Any, written: str) -> None:
    assert ArgumentSchema(schema).fit(written, ("f",)) == written


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aé 1", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of drawing, on a machine that does other work
@given(st.dictionaries(st.sampled_from([*LISTS["properties"], "arguments", "name", "é"]), VALUES, max_size=4))
def test_arguments_with_real_lists_and_objects_never_change(arguments: dict[str, Any]) -> None:
    parser = LenientJsonParser()
    parser.feed(json.dumps(arguments))
    strict = parser.take()
    assert ArgumentSchema({**LISTS, "additionalProperties": True}).fit(strict) == strict


FILE = {"properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}}}
TWICE = {"properties": {"file_path": {}, "filePath": {}}}


@pytest.mark.parametrize(
    ("schema", "written", "fitted"),
    [
        (FILE, '{"filePath":"a\\u00e7","limit":1.50}', '{"file_path":"a\\u00e7","limit":1.50}'),
        (FILE, r'{"file\\_path":"a"}', '{"file_path":"a"}'),
        (FILE, '{"File-Path":"a","x":1}', '{"file_path":"a","x":1}'),
        (FILE, '{"arguments":{"FILE_PATH":"a"}}', '{"file_path":"a"}'),
        (FILE, '{"filePath":"a","file_path":"b"}', '{"filePath":"a","file_path":"b"}'),
        (FILE, '{"filePath":"a","FilePath":"b"}', '{"filePath":"a","FilePath":"b"}'),
        (FILE | {"additionalProperties": True}, '{"filePath":"a"}', '{"filePath":"a"}'),
        (TWICE, '{"FilePath":"a"}', '{"FilePath":"a"}'),
        ({}, '{"filePath":"a"}', '{"filePath":"a"}'),
    ],
)
def test_a_name_in_another_spelling_is_the_declared_one_where_the_schema_decides_it(schema, written, fitted):
    assert ArgumentSchema(schema).fit(written) == fitted
