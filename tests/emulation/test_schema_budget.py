"""JSON Schemas that are made to take forever, and any others: the verdict is that of jsonschema, or there is none."""

from __future__ import annotations

import itertools
import json
import logging
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry

from custom_handler.emulation import json_schema
from custom_handler.emulation.json_output import JsonFormat
from custom_handler.emulation.json_schema import schema_error, value_error
from custom_handler.emulation.prompt.tool_example import MAX_PARTS, example, resolve_reference
from custom_handler.emulation.prompt.tools import tools_section
from custom_handler.emulation.schema_budget import MAX_STEPS, Allowance, Budget, BudgetExceeded, bounded
from custom_handler.request.chat_request import Tool


@pytest.fixture(autouse=True)
def allowance(monkeypatch):
    """An allowance that is full again for each check."""
    monkeypatch.setattr(json_schema, "allowance", Allowance(itertools.count(step=10).__next__))


def linked(length: int, link: Any, **keywords: Any) -> dict[str, Any]:
    """A chain of definitions, each of which applies the next one as `link` says."""
    definitions = {f"d{number}": link({"$ref": f"#/$defs/d{number + 1}"}) for number in range(length)}
    definitions[f"d{length}"] = {"type": "object"}
    return {"$ref": "#/$defs/d0", "$defs": definitions, **keywords}


def nested(value: Any, levels: int, within: Any) -> Any:
    for _ in range(levels):
        value = within(value)
    return value


TWICE = {
    "allOf": lambda ref: {"allOf": [ref, ref]},
    "anyOf": lambda ref: {"anyOf": [{"type": "string"}, ref, ref]},
    "oneOf": lambda ref: {"oneOf": [ref, ref]},
    "not": lambda ref: {"not": {"not": {"allOf": [ref, ref]}}},
    "if": lambda ref: {"if": ref, "then": ref},
    "another dialect": lambda ref: {
        "allOf": [{"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [ref, ref]}]
    },
}
ANY = {"a": 1, "b": 2}
DOUBLING = {
    f"{name} {length}": (linked(length, link), ANY) for name, link in TWICE.items() for length in (22, 40, 200)
} | {
    f"unevaluated {length}": (
        linked(length, lambda ref: {"dependentSchemas": {"a": ref, "b": ref}}, unevaluatedProperties=False),
        ANY,
    )
    for length in (22, 40, 200)
}
TREE = {
    "$defs": {
        "node": {
            "allOf": [{"properties": {"c": {"$ref": "#/$defs/node"}}}, {"properties": {"c": {"$ref": "#/$defs/node"}}}]
        }
    },
    "$ref": "#/$defs/node",
}
LARGE = {
    "recursion": (TREE, nested({}, 30, lambda inner: {"c": inner})),
    "contains": (
        nested({"type": "null"}, 6, lambda inner: {"contains": inner}),
        nested([1], 5, lambda item: [item] * 9),
    ),
    "anchors": (
        {
            "$defs": {f"d{n}": {"$anchor": f"a{n}", "type": "object"} for n in range(2000)},
            "allOf": [{"$ref": f"#a{n}"} for n in range(2000)],
        },
        ANY,
    ),
    "long pattern": ({"type": "string", "pattern": "(a|b)*" * 10_000}, "ab"),
    "slow pattern": ({"pattern": r"^(\w+\s?)*$"}, "a" * 60 + "!"),
    "slow alternatives": ({"pattern": "^(a|a)*$"}, "a" * 60 + "!"),
    "slow patterns": ({"patternProperties": {rf"^(\w+\s?)*{n}$": {} for n in range(40)}}, {"a" * 60 + "!": 1}),
    "many items": ({"items": {"type": "integer", "minimum": 0, "maximum": 9, "not": {"const": 12}}}, [1] * 50_000),
    "long messages": ({"allOf": [{"anyOf": [{"type": "string"}] * 50}] * 50}, {"a": "x" * 100_000}),
}


@pytest.mark.parametrize("name", [*DOUBLING, *LARGE])
def test_a_schema_that_would_take_forever_is_not_checked(name, caplog):
    caplog.set_level(logging.INFO)
    schema, value = (DOUBLING | LARGE)[name]
    schema_error.cache_clear()
    try:
        assert schema_error(json.dumps(schema)) == ""
    except RecursionError:
        pytest.fail("a chain of references is not nested deep")
    fault = value_error(value, schema)
    assert fault == "" or (name == "slow pattern" and "does not match" in fault)  # `regex` may be clever
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "name", [name for name in DOUBLING if " 22" in name and "anyOf" not in name and "oneOf" not in name]
)
def test_it_takes_the_steps_of_its_budget_and_no_more(name):
    schema, value = DOUBLING[name]
    budget = Budget(schema)
    made = bounded(jsonschema.Draft202012Validator, budget, ["unevaluatedProperties"])(schema, registry=Registry())
    if name.startswith("unevaluated"):
        assert budget.steps > 0
        return
    with pytest.raises(BudgetExceeded):
        list(made.iter_errors(value))
    assert budget.steps >= -MAX_STEPS


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"uniqueItems": True}, [{"a": n, "b": [n]} for n in range(2000)], [{"a": 1}] * 2),
        ({"uniqueItems": True}, [1, True, "1", [1], {"1": 1}, None, 0, False], [1, 1.0]),
        ({"enum": [{"a": n} for n in range(2000)]}, {"a": 1999}, {"a": 2000}),
        ({"enum": [1, "a", None, [1, 2]]}, [1, 2], True),
        ({"const": {"a": [1, 2.0]}}, {"a": [1.0, 2]}, {"a": [2, 1]}),
        ({"const": 0}, 0.0, False),
    ],
    ids=["many objects", "kinds of values", "a long enum", "a mixed enum", "const", "zero and false"],
)
def test_equality_is_that_of_json_schema(schema, good, bad):
    assert value_error(good, schema) == ""
    assert value_error(bad, schema) != ""


def test_a_plain_schema_is_still_checked_for_a_long_answer():
    item = {"type": "object", "properties": {name: {"type": "string"} for name in "abcdef"}, "required": list("abcdef")}
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": item}}, "required": ["rows"]}
    rows = [dict.fromkeys("abcdef", "x") for _ in range(300)]
    assert value_error({"rows": rows}, schema) == ""
    assert value_error({"rows": [*rows, {"a": 1}]}, schema).startswith("$.rows[300]")


def test_a_schema_that_is_too_long_is_sent_and_not_checked(caplog):
    schema = {"properties": {f"name-{number}": {"type": "string"} for number in range(20_000)}, "type": 5}
    asked = JsonFormat(schema)
    assert asked.instruction().endswith(json.dumps(schema, separators=(",", ":")))
    assert asked.read('{"name-1": 1}') == '{"name-1": 1}'
    assert "not checked: it has more than 200000 characters" in caplog.text
    assert "name-1" not in caplog.text


def test_an_unchecked_answer_is_logged_without_content(caplog):
    assert value_error({"a": "secret"}, {"$ref": "https://example.com/secret"}) == ""
    assert "its schema cannot be applied" in caplog.text
    assert "secret" not in caplog.text


CLOSED = {"properties": {"a": {}}, "unevaluatedProperties": False}
CLOSED_BY_PATTERN = {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED | {"examples": [{"$ref": "#"}], "properties": {"a": {"enum": ["$ref", {"$dynamicRef": "#a"}, 1]}}},
        CLOSED | {"properties": {"a": {}, "$ref": {"type": "string"}}},
        CLOSED | {"description": 'say "$ref" or "patternProperties"'},
        CLOSED_BY_PATTERN | {"properties": {"a": {}}},
        CLOSED_BY_PATTERN | {"additionalProperties": {"const": 1}},
    ],
)
def test_a_closed_object_is_checked_with_any_texts_and_names(schema):
    assert value_error({"a": 1}, schema) == ""
    assert value_error({"a": 1, "b": 2}, schema) != ""


def test_a_schema_among_values_is_found_by_a_reference():
    hidden = {"unevaluatedProperties": False, "$ref": "#/$defs/any"}
    for pointer in ("#/enum/0", "#/%65num/0"):
        schema = {"not": {"$ref": pointer}, "enum": [hidden], "$defs": {"any": {}}}
        assert json_schema._keywords({"enum": [hidden]}) == set()
        assert json_schema._keywords(schema) == {"$ref"}
    values = {"enum": [{"patternProperties": {"a": {}}}], "$ref": "#/%65num/0"}
    assert json_schema._keywords(values) == {"$ref", "patternProperties"}


@pytest.mark.parametrize(
    "reference", [{"$ref": "d1"}, {"$ref": "#a1"}, {"$id": "x", "$ref": "#/properties/b", "properties": {"b": {}}}]
)
def test_a_reference_by_id_costs_a_search_of_the_schema(reference):
    def named(count: int) -> dict[str, Any]:
        definitions = {f"d{n}": {"$id": f"d{n}", "type": "object"} for n in range(count)}
        anchors = {f"a{n}": {"$anchor": f"a{n}", "type": "object"} for n in range(count)}
        allof = [reference] * 10 + [{"required": ["c"]}]
        return {"$defs": definitions | anchors, "allOf": allof, "type": "object"}

    assert "'c' is a required property" in value_error({"a": 1}, named(20))
    schema = named(3_000)
    made = bounded(jsonschema.Draft202012Validator, Budget(schema))(schema, registry=Registry())
    with pytest.raises(BudgetExceeded):
        list(made.iter_errors({"a": 1}))


def test_a_slow_pattern_beside_additional_properties_is_stopped(caplog):
    schema = {"additionalProperties": False, "patternProperties": {"^(a|a)*$": {}}}
    assert value_error({"a" * 60 + "!": 1}, schema) == ""
    assert "not checked" in caplog.text


NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 1.5]) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=3)
    by_name = st.dictionaries(NAMES, inner, max_size=3)
    optional = {
        "type": st.sampled_from(TYPES),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": st.integers(-1, 2),
        "maxLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$", "^(ab?)*$"]),
        "uniqueItems": st.booleans(),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "properties": by_name,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
        "additionalProperties": inner,
        "propertyNames": inner,
        "dependentSchemas": by_name,
        "items": inner,
        "prefixItems": lists,
        "contains": inner,
        "allOf": lists,
        "anyOf": lists,
        "oneOf": lists,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
    }
    return st.fixed_dictionaries({}, optional=optional)


SCHEMAS = st.recursive(st.booleans() | st.just({}), keywords, max_leaves=8)


@pytest.mark.slow
@settings(deadline=None, max_examples=300, database=None)
@given(SCHEMAS, SCHEMAS, SCHEMAS, VALUES)
def test_any_schema_ends_and_its_verdict_is_that_of_jsonschema(schema, first, second, value):
    root = {"allOf": [schema], "$defs": {"a": first, "b": second}}
    budget = Budget(root)
    kind = jsonschema.Draft202012Validator
    try:
        found = bounded(kind, budget)(root, registry=Registry()).is_valid(value)
    except (BudgetExceeded, RecursionError):
        return
    assert found is kind(root, registry=Registry()).is_valid(value)


def test_an_example_of_multiplying_properties_stays_small():
    wide = {f"p{number}": {"$ref": "#"} for number in range(1000)}
    made = example({"type": "object", "properties": wide, "required": list(wide)})
    assert json.dumps(made).count("{") <= MAX_PARTS + 1


def test_a_long_chain_of_references_is_not_followed_to_its_end():
    root = {"$defs": {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(10_000)}}
    assert resolve_reference({"$ref": "#/$defs/d0"}, root) == {"$ref": "#/$defs/d20"}
    long = {"$ref": "#/" + "a/" * 10_000}
    assert resolve_reference(long, {}) == long


@pytest.mark.parametrize("name", DOUBLING)
def test_a_tool_with_such_a_schema_is_rendered_as_it_is(name):
    schema, _ = DOUBLING[name]
    section = tools_section([Tool("work", "", schema)], parallel=True)
    assert '"work"' in section
    assert len(section) < 3 * len(json.dumps(schema)) + 2000


def test_a_regular_expression_is_checked_as_one():
    assert json_schema.schema_error('{"pattern": "(a"}') != ""
    assert json_schema.schema_error(json.dumps({"pattern": "(" * 100_000})) == ""  # too long to be compiled


def test_many_checks_at_the_same_time_do_not_add_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(json_schema, "allowance", Allowance(lambda: now[0]))
    schema, value = DOUBLING["allOf 22"]
    plain = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    used: list[int] = []
    kept = json_schema.Budget  # type: ignore[attr-defined]

    def noted(*arguments: Any) -> Budget:
        budget = kept(*arguments)
        used.append(budget.granted)
        return budget

    monkeypatch.setattr(json_schema, "Budget", noted)
    for _ in range(16):
        assert value_error(value, schema) == ""
        assert value_error({"a": "x"}, plain) != ""  # a plain schema is checked meanwhile
    assert sum(used) < 4 * MAX_STEPS
    now[0] += 1.0
    value_error(value, schema)
    assert used[-1] == MAX_STEPS
