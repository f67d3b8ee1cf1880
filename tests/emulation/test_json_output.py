"""JSON answers: what is read as the JSON that was asked for, and why another one is not."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.json_output import InvalidJsonAnswer, JsonFormat
from custom_handler.errors import RequestError
from tests.support.growth import is_linear

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
RECIFE = '{"city": "Recife"}'


@dataclass(frozen=True, slots=True)
class Read:
    """An answer, and the JSON that is read; strict JSON goes out as the agent wrote it."""

    id: str
    text: str
    out: str
    schema: dict[str, Any] = field(default_factory=lambda: CITY)


READ = [
    Read("strict", RECIFE, RECIFE),
    Read("with white space around", f"\n\n {RECIFE} \n", RECIFE),
    Read("with white space within", '{\n  "city":\t"Recife"\n}', '{\n  "city":\t"Recife"\n}'),
    Read("behind a BOM", f"\ufeff{RECIFE}", RECIFE),
    Read("in a fence", f"```json\n{RECIFE}\n```", RECIFE),
    Read("in a fence without a language", f"```\n{RECIFE}\n```", RECIFE),
    Read("in a fence with CRLF", f"```json\r\n{RECIFE}\r\n```", RECIFE),
    Read("in an indented fence", f"  ```json\n  {RECIFE}\n  ```", RECIFE),
    Read("in a fence amid prose", f"Aqui está:\n```json\n{RECIFE}\n```\nPronto.", RECIFE),
    Read("amid prose", f"Claro! {RECIFE} Pronto.", RECIFE),
    Read("behind a thought", f"<think>{{a}} or {{b}}?</think>\n{RECIFE}", RECIFE),
    Read("in the first of two fences", f"```json\n{RECIFE}\n```\n```json\n{{}}\n```", RECIFE),
    Read("in the second of two fences", f"```python\nx = {{'b': 2}}\n```\nResposta:\n```json\n{RECIFE}\n```", RECIFE),
    Read("behind braces of prose", f"O conjunto {{x, y}} dá: {RECIFE}", RECIFE),
    Read("behind citations", f"Segundo [1] e [2]: {RECIFE}", RECIFE),
    Read("within braces of prose", f"{{ a resposta é {RECIFE} }}", RECIFE),
    Read("beside another object", f'{{"x": 1}} e {RECIFE}', RECIFE),
    Read("twice the same", f"{RECIFE}\n{RECIFE}", RECIFE),
    Read("twice the same, written otherwise", f"{RECIFE} ou {{'city': 'Recife'}}", RECIFE),
    Read("in a fence of tildes", f"~~~json\n{RECIFE}\n~~~", RECIFE),
    Read("behind a thought without its start", f'talvez {{"city": "Olinda"}}\n</think>\n{RECIFE}', RECIFE),
    Read("a thought's tag inside a string", '{"city": "</think>"}', '{"city": "</think>"}'),
    Read("a list amid prose", "São [1, 2,] ao todo.", "[1,2]", {"type": "array"}),
    Read("a list of lists", "[[1], [2]]", "[[1], [2]]", {"type": "array", "items": {"type": "array"}}),
    Read("a number", "42", "42", {"type": "integer"}),
    Read("a number in a fence", "O total:\n```\n42\n```", "42", {"type": "integer"}),
    Read("a string", '"Recife"', '"Recife"', {"type": "string"}),
    Read("a fence inside a string", '{"city": "```\\nx\\n```"}', '{"city": "```\\nx\\n```"}'),
    Read("a fence inside a string inside a fence", '```json\n{"city": "```\\nx```"}\n```', '{"city": "```\\nx```"}'),
    Read("a trailing comma", '{"city": "Recife",}', '{"city":"Recife"}'),
    Read("single quotes", "{'city': 'Recife'}", '{"city":"Recife"}'),
    Read("a comment", '{"city": "Recife" // capital\n}', '{"city":"Recife"}'),
    Read("a raw newline in a string", '{"city": "Re\ncife"}', '{"city":"Re\\ncife"}'),
    Read("Python's literals, in a fence", "```python\n{'a': True, 'b': None}\n```", '{"a":true,"b":null}', {}),
    Read("NaN is no JSON", '{"a": NaN}', '{"a":null}', {}),
    Read(
        "digits stay as written", '{"a": 0.10, "b": 12345678901234567890}', '{"a": 0.10, "b": 12345678901234567890}', {}
    ),
    Read("any object where no schema is", "{}", "{}", {}),
    Read("a list where the schema says so", "[1, 2]", "[1, 2]", {"type": "array"}),
    Read("references within the schema", RECIFE, RECIFE, {"$defs": {"C": CITY}, "$ref": "#/$defs/C"}),
    Read("a format is no rule", '{"a": "x"}', '{"a": "x"}', {"properties": {"a": {"format": "date"}}}),
    Read("a pattern as ECMAScript has it", '{"a": "é"}', '{"a": "é"}', {"properties": {"a": {"pattern": "^\\p{L}$"}}}),
    Read("an older draft", RECIFE, RECIFE, {"$schema": "http://json-schema.org/draft-07/schema#", **CITY}),
    Read("patterns of names", '{"x_a": 1}', '{"x_a": 1}', {"patternProperties": {"^x_": {"type": "integer"}}}),
    Read("a reference that leads nowhere", "{}", "{}", {"$ref": "#/$defs/lost"}),
]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.id)
def test_an_answer_is_read_as_meant(case):
    assert JsonFormat(case.schema).read(case.text) == case.out


@dataclass(frozen=True, slots=True)
class Wrong:
    """An answer that is not the JSON that was asked for, and what the agent is told about it."""

    id: str
    text: str
    said: str
    schema: dict[str, Any] = field(default_factory=lambda: CITY)


NO_OBJECT = "it is not one JSON object"
WRONG = [
    Wrong("nothing", "", NO_OBJECT),
    Wrong("prose", "Recife fica em Pernambuco.", NO_OBJECT),
    Wrong("cut off", '{"city": "Rec', NO_OBJECT),
    Wrong("two objects", f'{RECIFE} {{"city": "Olinda"}}', "it contains 2 different JSON objects, not one"),
    Wrong("the largest is meant", '[1] {"cidade": "Recife"}', "'city' is a required property"),
    Wrong("no list", "Recife", "it is not one JSON array", {"type": "array"}),
    Wrong("neither of two types", "Recife", "it is not one JSON value", {"type": ["array", "object"]}),
    Wrong("a decimal comma is no guess", '{"valor": 10,50}', NO_OBJECT, {}),
    Wrong("a list", "[]", "not an object", {}),
    Wrong("a list of one object is not that object", f"[{RECIFE}]", "not an object", {}),
    Wrong("a member is missing", "{}", "$: 'city' is a required property"),
    Wrong("a wrong type", '{"city": 7}', "$.city: 7 is not of type 'string'"),
    Wrong("a wrong type in a fence", '```json\n{"city": 7}\n```', "$.city: 7 is not of type 'string'"),
    Wrong("a pattern", '{"a": "x"}', "does not match", {"properties": {"a": {"pattern": "^y$"}}}),
    Wrong("a pattern of names", '{"x_a": "b"}', "$.x_a:", {"patternProperties": {"^x_": {"type": "integer"}}}),
    Wrong("a name too many", '{"a": 1}', "unexpected", {"properties": {}, "additionalProperties": False}),
    Wrong("deeper than any parser goes", '{"a":' * 100_000, NO_OBJECT),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_an_answer_that_is_wrong_is_refused_with_the_reason(case):
    with pytest.raises(InvalidJsonAnswer) as raised:
        JsonFormat(case.schema).read(case.text)
    assert case.said in str(raised.value)


def test_the_reason_is_short_however_long_the_answer_is():
    with pytest.raises(InvalidJsonAnswer) as raised:
        JsonFormat(CITY).read(json.dumps({"city": ["x" * 100_000]}))
    assert len(str(raised.value)) <= 1000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"type": 3},
        {"properties": []},
        {"properties": {"a": {"required": "b"}}},
        {"pattern": "("},
        {"$schema": []},
        {"$schema": 3},
        {"$id": 3},
        {"$ref": 3},
    ],
    ids=json.dumps,
)
def test_a_schema_that_is_none_is_refused_with_its_field(schema):
    with pytest.raises(RequestError) as raised:
        JsonFormat(schema)
    assert raised.value.param == "response_format.json_schema.schema"
    assert raised.value.message.startswith("response_format.json_schema.schema is no JSON Schema: ")


def test_a_schema_that_is_nested_too_deep_is_refused():
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"not": schema}
    with pytest.raises(RequestError, match="nested too deep"):
        JsonFormat(schema)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({}, "object"),
        (CITY, "object"),
        ({"properties": {}}, "object"),
        ({"type": "array", "items": {"type": "integer"}}, "array"),
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"$ref": "#/$defs/L", "$defs": {"L": {"type": "array"}}}, "array"),
        ({"anyOf": [{"type": "array"}, {"type": "object"}]}, "value"),
        ({"description": "anything"}, "value"),
    ],
    ids=json.dumps,
)
def test_the_prompt_asks_for_the_type_of_the_root(schema, kind):
    assert JsonFormat(schema).instruction().startswith(f"Reply with one JSON {kind} and nothing else")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["{", "[", '{"a":', "{a ", "```\n{\n", '{"a": "', "[1] ", "</think>"])
def test_the_cost_of_an_answer_without_the_json_is_linear(part):
    def read(count: int) -> None:
        with pytest.raises(InvalidJsonAnswer):
            JsonFormat(CITY).read("x" + part * count)

    assert is_linear(read, 20_000)


def test_the_prompt_shows_the_schema_in_compact_form():
    asked = JsonFormat(CITY).instruction()
    assert asked.endswith('\n{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}')
    assert "JSON Schema" not in JsonFormat({}).instruction()


def test_a_far_reference_is_never_fetched():
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)

        def listen() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            asked.append(connection.recv(100))
            connection.close()

        listener = threading.Thread(target=listen)
        listener.start()
        far = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        assert JsonFormat({"$ref": far}).read(RECIFE) == RECIFE
        listener.join()
    assert asked == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"a": {"pattern": "^(a|aa|aaa)+$"}}}, {"a": "a" * 60 + "!"}),
        ({"propertyNames": {"pattern": "^(a|aa|aaa)+$"}}, {"a" * 60 + "!": 1}),
        ({"patternProperties": {"^(a|aa|aaa)+$": {}}}, {"a" * 60 + "!": 1}),
        ({"patternProperties": {"^(a|aa|aaa)+$": {}}, "additionalProperties": False}, {"a" * 60 + "!": 1}),
        ({"patternProperties": {"^(a|aa|aaa)+$": {}}, "unevaluatedProperties": False}, {"a" * 60 + "!": 1}),
    ],
    ids=["a value", "a name", "names", "other names", "names not looked at"],
)
def test_a_pattern_that_takes_for_ever_is_given_up(schema, value):
    text = json.dumps(value)
    assert JsonFormat(schema).read(text) == text  # it would take longer than the test may run


def test_a_fence_full_of_space_costs_no_more_than_its_length():
    def read(count: int) -> None:
        with pytest.raises(InvalidJsonAnswer):
            JsonFormat({}).read("```json\n" + " " * count + "x")

    assert is_linear(read, 400_000)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(), VALUES, max_size=3), st.sampled_from(["{}", "```json\n{}\n```", " {}\n"]), st.booleans()
)
def test_all_valid_objects_are_returned_unchanged(value, around, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert JsonFormat({}).read(around.replace("{}", text)) == text


@given(st.text() | st.text("{}[]\"',:`\\\n a1", max_size=30))
def test_what_is_read_is_strict_json_and_nothing_else_is_raised(text):
    try:
        read = JsonFormat({}).read(text)
    except InvalidJsonAnswer:
        return
    assert isinstance(json.loads(read, parse_constant=pytest.fail), dict)
