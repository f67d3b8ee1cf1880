"""Tools in fewer words: what the prompt loses, what it never loses, and that calls are held against the client's schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from custom_handler.emulation.answer import AnswerAssembler
from custom_handler.emulation.pending_call import INVALID_ARGUMENTS
from custom_handler.emulation.prompt.compact_tools import (
    ARGUMENT_CHARACTERS,
    MOST,
    TOOL_CHARACTERS,
    compact_schema,
    shortened,
)
from custom_handler.emulation.prompt.render import render
from custom_handler.emulation.prompt.tools import tools_section
from custom_handler.request.chat_request import ChatRequest, Tool
from tests.support.growth import is_linear

SENTENCE = "Reads one file of the project."
LONG = " ".join([SENTENCE] * 40)
OPTIONAL = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None, "title": "Line"}
SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "title": "ReadArguments",
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "description": LONG, "examples": ["a"], "x-order": 1},
        "default": {"type": "string", "enum": ["a", "b", ""], "default": "a"},
        "line": OPTIONAL,
        "lines": {
            "type": "array",
            "items": {"type": "object", "title": "L", "properties": {"x-a": {"type": "number"}}},
        },
        "all": {"type": "boolean", "default": False},
    },
    "required": ["title", "default"],
}


def line(schema: dict[str, Any], description: str = "", **more: Any) -> dict[str, Any]:
    """Return the tool as the prompt describes it."""
    section = tools_section([Tool("read", description, schema, **more)], parallel=True, compact=True)
    told: dict[str, Any] = json.loads(next(line for line in section.split("\n") if line.startswith('{"name"')))
    return told


def test_names_types_values_and_required_stay() -> None:
    told = line(SCHEMA, LONG)
    properties = told["parameters"].pop("properties")
    assert told["parameters"] == {"type": "object", "required": ["title", "default"]}
    description = properties["title"].pop("description")
    assert properties == {
        "title": {"type": "string"},
        "default": {"type": "string", "enum": ["a", "b", ""], "default": "a"},
        "line": {"type": ["integer", "null"], "minimum": 1},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"x-a": {"type": "number"}}}},
        "all": {"type": "boolean"},
    }
    for text, limit in ((told["description"], TOOL_CHARACTERS), (description, ARGUMENT_CHARACTERS)):
        assert text == " ".join([SENTENCE] * (len(text) // len(SENTENCE)))
        assert limit - len(SENTENCE) - 1 <= len(text) <= limit


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("", 10, ""),
        ("Short", 10, "Short"),
        ("One. Two. Three.", 10, "One. Two."),
        ("Lê um arquivo. É rápido.", 20, "Lê um arquivo."),
        ("Use it, e.g. A.py or i.e. This. Then go on.", 34, "Use it, e.g. A.py or i.e. This."),
        ("Version 2.5 is new. It reads.", 20, "Version 2.5 is new."),
        ("It is\nwrapped by hand. And more.", 25, "It is wrapped by hand."),
        ("One.\n\n  - a\n  - b\n  - c", 14, "One. - a - b - c"),
        ("One.\n\n# Usage\n\nAll of it is long.", 20, "One."),
        ("One. Usage:\n- a long item that is cut", 20, "One."),
        (
            "One. Do not:\n- a long item that stays. Why.\n- b\n\nThen a long text that is cut.",
            9,
            "One. Do not: - a long item that stays. - b",
        ),
        (
            "Nunca:\n1. apague algo que seja longo. Sim.\nE mais um texto longo.",
            9,
            "Nunca: 1. apague algo que seja longo.",
        ),
        ("One. Say it only where somebody asks for it. Two.", 9, "One. Say it only where somebody asks for it."),
        ("Um. Um texto longo demais. Não apague o que alguém usa.", 9, "Um. Não apague o que alguém usa."),
        ("One.\n\n```\nif not one:\n    return\n```\n\nIt must not fail. It is long.", 9, "One. It must not fail."),
        ("# Never\n\nA text that is too long.\n- a\n- an item that is too long", 9, "# Never - a"),
        ("Usage:\n- a long item that is cut", 20, "Usage: - a long…"),
        ("No end in sight of it", 10, "No end in…"),
        ("Unbroken" * 9, 10, "UnbrokenU…"),
        ('He says "yes." Then no.', 15, 'He says "yes."'),
        (
            "It reads.\n\nUse it. It is fast.\n- Now and again. It is slow.\n- Today.",
            26,
            "It reads. Use it. - Today.",
        ),
        ("It reads.\n\nUse it. It is fast.\n- Not twice.\n- Not now.", 24, "It reads. Use it. - Not twice. - Not now."),
        (
            "One.\n\n# Two or three\n\nSeven.\n\n```sh\nSeven\n```\n\nSeven:\n\n|a|\n\n<b>\n\nEight.",
            12,
            "One. Seven. Eight.",
        ),
        ("Much too long. No.\n- No. 2\n- Yes.", 12, "Much too… - No. - Yes."),
        ("One two three.\n" + "\n- Rule." * 9, 14, "One two three." + " - Rule." * 5),
    ],
)
def test_a_description_ends_with_a_sentence(text: str, limit: int, expected: str) -> None:
    assert shortened(text, limit) == expected


@pytest.mark.parametrize("text", ["It reads. " * 999, "It reads.\n\n" * 999, "- It reads.\n" * 999, "Unbroken" * 999])
def test_a_description_without_rules_has_a_limit(text: str) -> None:
    assert len(shortened(text, 50)) <= MOST * 50


@pytest.mark.parametrize("instance", [None, 0, 1, "a", 1.5, [], {}])
@pytest.mark.parametrize(
    "schema",
    [
        OPTIONAL,
        {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "type": "string"},
        {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}]},
        {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    ],
)
def test_a_short_schema_accepts_the_same_types(schema: dict[str, Any], instance: object) -> None:
    full, short = (jsonschema.Draft202012Validator(one).is_valid(instance) for one in (schema, compact_schema(schema)))
    assert full == short


@pytest.mark.parametrize("value", [0, 5, "x", True, ["a"]])
def test_a_default_that_says_something_stays(value: object) -> None:
    assert compact_schema({"default": value}) == {"default": value}


def test_a_schema_that_refers_to_itself_keeps_its_definitions() -> None:
    node = {"type": "object", "title": "N", "description": LONG, "properties": {"next": {"$ref": "#/$defs/node"}}}
    told = line({"type": "object", "properties": {"a": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    kept = told["parameters"]["$defs"]["node"]
    assert (kept["properties"], "title" in kept) == (node["properties"], False)
    assert len(kept["description"]) <= ARGUMENT_CHARACTERS


def test_the_grammar_of_a_custom_tool_is_not_cut() -> None:
    assert line({"type": "object"}, LONG, custom=True)["description"] == LONG


def test_other_models_get_the_whole_description() -> None:
    request = ChatRequest([{"role": "user", "content": "?"}], [Tool("read", LONG, SCHEMA)])
    assert LONG in render(request)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [('{"title": "a", "default": "a", "x": 1}', "'x'"), ('{"title": "a"}', "'default' is a required property")],
)
def test_calls_are_held_against_the_schema_of_the_client(arguments: str, reason: str) -> None:
    tool = Tool("read", LONG, SCHEMA, strict=True)
    request = ChatRequest([{"role": "user", "content": "?"}], [tool], compact_tools=True)
    assert "additionalProperties" not in render(request)
    answer = AnswerAssembler(request)
    answer.feed(f"FUNCTION_CALL_START\nread\narguments: {arguments}\nFUNCTION_CALL_END\n")
    answer.flush()
    assert answer.repair_reason() == INVALID_ARGUMENTS
    assert reason in answer.repair_instruction()


@pytest.mark.parametrize("unit", [" ", "\n", "\n ", "a. ", '."', "- ", "\n#", "A.\n\n", "("])
def test_the_cost_of_a_description_is_linear(unit: str) -> None:
    assert is_linear(lambda size: shortened(unit * size, 10**9), 40_000)
