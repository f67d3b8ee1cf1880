"""Tool calls out of an agent's text: every case whole and in pieces, and the invariants of any stream."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.tool_calls.parser import ToolCallParser, new_call_id
from custom_handler.events import ParsedPart, ToolCallArguments, ToolCallStart, Unreadable
from tests.support.growth import is_linear

CASES = Path(__file__).parents[1] / "cases"
Schemas = Mapping[str, Mapping[str, Any]]
NO_SCHEMAS: Schemas = {}
HEAD = 'FUNCTION_CALL_START\nwrite_file\narguments: {"path": "a.txt", "content": "'


def expanded(value: Any) -> Any:
    """Replace ⟦R:x*n⟧ by x repeated n times."""
    if isinstance(value, str):
        return re.sub(r"⟦R:(.*?)\*(\d+)⟧", lambda found: found[1] * int(found[2]), value)
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def cases() -> list[dict[str, Any]]:
    texts = (file.read_text(encoding="utf-8") for file in sorted(CASES.glob("tool_calls*.jsonl")))
    lines = [line for text in texts for line in text.split("\n") if line]  # splitlines would cut inside strings
    return [expanded(case) if case.get("expand") else case for case in map(json.loads, lines)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: content, calls as name and arguments, and the blocks to be mended."""

    content: str
    calls: tuple[tuple[str, str], ...]
    unreadable: tuple[str, ...] = ()


def events_of(
    pieces: Sequence[str], tools: Sequence[str], schemas: Schemas = NO_SCHEMAS
) -> tuple[list[ParsedPart], ToolCallParser]:
    ids = count()
    reader = ToolCallParser({name: schemas.get(name, {}) for name in tools}, lambda: f"call_{next(ids)}")
    return [event for piece in pieces for event in reader.feed(piece)] + reader.flush(), reader


def read(
    pieces: Sequence[str], tools: Sequence[str] = ("write_file", "get_weather"), schemas: Schemas = NO_SCHEMAS
) -> Reading:
    events, reader = events_of(pieces, tools, schemas)
    names: list[str] = []
    pieces_of: list[list[str]] = []
    for event in events:
        if isinstance(event, ToolCallStart):
            assert event.index == len(names), "indexes must count from 0 in order"
            names.append(event.name)
            pieces_of.append([])
        elif isinstance(event, ToolCallArguments):
            assert event.index == len(names) - 1, "arguments belong to the call that is open"
            pieces_of[event.index].append(event.arguments)
    arguments = list(map("".join, pieces_of))
    content = "".join(
        event.text if isinstance(event, Unreadable) else event
        for event in events
        if isinstance(event, str | Unreadable)
    )
    assert reader.calls == len(names)
    assert len({event.id for event in events if isinstance(event, ToolCallStart)}) == len(names)
    assert all(map(parses, arguments))
    unreadable = tuple(event.text for event in events if isinstance(event, Unreadable))
    return Reading(content, tuple(zip(names, arguments, strict=True)), unreadable)


def parses(written: str) -> bool:
    try:
        return isinstance(json.loads(written, parse_constant=pytest.fail), dict)
    except ValueError:
        return False


def cuts(text: str, seed: str) -> Iterator[list[str]]:
    """Yield the text whole, in pieces of equal size, and cut at seeded random places."""
    yield [text]
    for size in (1, 2, 3, 7, 16) if len(text) < 10_000 else (16,):
        yield [text[at : at + size] for at in range(0, len(text), size)]
    chance = random.Random(seed)
    for _ in range(3):
        places = sorted(chance.choices(range(len(text) + 1), k=min(8, len(text))))
        yield [text[start:end] for start, end in pairwise([0, *places, len(text)])]


def meets(reading: Reading, expect: dict[str, Any]) -> bool:
    def plain(content: str | None) -> str:
        return " ".join((content or "").split()) if expect["content_match"] == "normalized" else content or ""

    wanted = [(call["name"], call["arguments"]) for call in expect["tool_calls"]]
    got = [(name, json.loads(arguments)) for name, arguments in reading.calls]
    return plain(reading.content) == plain(expect["content"]) and got == wanted


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_case_is_read_as_meant_however_it_was_cut(case: dict[str, Any]) -> None:
    whole = read([case["text"]], case["tools"], case.get("schemas", {}))
    assert any(meets(whole, expect) for expect in [case["expect"], *case.get("alt", [])]), whole
    if "unreadable" in case:
        assert list(whole.unreadable) == case["unreadable"]
    for pieces in [*cuts(case["text"], case["id"]), case.get("chunks", [case["text"]])]:
        assert read(pieces, case["tools"], case.get("schemas", {})) == whole


FRAGMENTS = [
    *(
        "FUNCTION_CALL_START",
        "FUNCTION_CALL_END",
        "TOOL_CALL_START",
        "TOOL_CALL_END",
        "FUNCTION_CALL",
        "_START",
        "function_call_start",
    ),
    *(
        "\n",
        "\r\n",
        " ",
        "\t",
        "```",
        "```json\n",
        "`",
        "**",
        "[",
        "]",
        "> ",
        "<think>",
        "</think>",
        "\ufeff",
        "é",
        "🙂",
    ),
    *(
        "get_weather",
        "write_file\n",
        "name: ",
        "arguments: ",
        "argumentos:",
        "functions.",
        "Ok.",
        "Tool result: ",
        "Observation:",
    ),
    *(
        "{",
        "}",
        '{"a": 1}',
        '{"city": "São Paulo"}',
        '"',
        "'",
        ",",
        ":",
        "\\",
        "null",
        "[1, 2",
        "//",
        "x" * 600,
        '{"a": "' + "y" * 600,
    ),
    'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END\n',
    'FUNCTION_CALL_START\nget_weather\narguments: {"valor": 10,50}\nFUNCTION_CALL_END\n',
    '"FUNCTION_CALL_END"',
    "END_FUNCTION_CALL",
    *("[user]", "[assistant]", "[assistant]\n", "</s>", "<|im_end|>", "<|im_start|>", "name = x", "~~~", "---"),
    *(
        "<tool_call>",
        '{"name": "get_weather", "arguments": {}}',
        "</tool_call>",
        "[TOOL_CALLS]",
        "<function=",
        "print(",
    ),
    *(
        "Action: get_weather\n",
        "Action Input:",
        "get_weather\n",
        "get_weather(",
        "x=1",
        ")",
        "FUNCTION_CALL\n",
        "\\_",
        "- ",
    ),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join), st.randoms(use_true_random=False))
def test_no_text_raises_and_no_cut_changes_the_result(text: str, chance: random.Random) -> None:
    whole = read([text])
    assert read(list(text)) == whole
    places = sorted(chance.randint(0, len(text)) for _ in range(5))
    assert read([text[start:end] for start, end in pairwise([0, *places, len(text)])]) == whole


def told_while_read(pieces: Sequence[str]) -> list[ParsedPart]:
    """The events with texts, and arguments, that follow each other joined: what a client sees, in its order."""
    joined: list[ParsedPart] = []
    for event in events_of(pieces, ("write_file", "get_weather"))[0]:
        match joined[-1:], event:
            case [str(before)], str(text):
                joined[-1] = before + text
            case [ToolCallArguments(index, before)], ToolCallArguments(_, arguments):
                joined[-1] = ToolCallArguments(index, before + arguments)
            case _:
                joined.append(event)
    return joined


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join), st.integers(1, 40))
def test_the_order_of_parts_is_the_same_for_every_cut(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert told_while_read(pieces) == told_while_read([text])


MEMBERS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=900),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(st.lists(MEMBERS, min_size=1, max_size=3), st.integers(1, 40), st.booleans(), st.sampled_from([None, 2]))
def test_all_valid_arguments_are_returned_unchanged(
    calls: list[Any], size: int, ascii_only: bool, indent: int | None
) -> None:
    written = (json.dumps(arguments, ensure_ascii=ascii_only, indent=indent) for arguments in calls)
    text = "\n".join(f"FUNCTION_CALL_START\nget_weather\narguments: {a}\nFUNCTION_CALL_END" for a in written)
    reading = read([text[at : at + size] for at in range(0, len(text), size)])
    assert [json.loads(arguments) for _, arguments in reading.calls] == calls
    assert reading.content == ""


@given(st.text())
def test_text_without_a_marker_comes_back_unchanged(text: str) -> None:
    assert read(list(text)) == Reading(text, ())


def test_prose_is_returned_at_once_except_leading_white_space() -> None:
    reader = ToolCallParser({"write_file": {}})
    text = "Era uma vez um agente. FUNC não é marcador, 2 < 3.\nE fim."
    out = ""
    for at, character in enumerate(text):
        out += "".join(event for event in reader.feed(character) if isinstance(event, str))
        held = text[len(out) : at + 1]
        assert held.isspace() or len(held.lstrip()) < 2 or "FUNCTION_CALL_START".startswith(held), held


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("The answer is 4.", "T"),
        ("Action is needed.", "Action"),
        ("Read the file first.", "Read"),
        ("[1] is a note.", "["),
        ("<b>bold</b>", "<"),
        ('{"a": 1}', '{"'),
        ("Call me later.", "Call"),
        ("[user guide] see", "[user"),
    ],
)
def test_only_what_may_start_a_call_is_held_at_the_start_of_a_line(line: str, held: str) -> None:
    reader = ToolCallParser({"Read": {}})
    assert reader.feed("Ok.\n" + held) == ["Ok."]
    assert "".join(map(str, reader.feed(line[len(held) :]))) == "\n" + line


def test_a_call_is_returned_only_when_it_is_complete() -> None:
    reader = ToolCallParser({"write_file": {}})
    assert reader.feed(HEAD + "x" * 100_000) == []
    assert reader.feed('"}\n') == []
    assert [type(event) for event in reader.feed("FUNCTION_CALL_END\n")] == [ToolCallStart, ToolCallArguments]


@pytest.mark.parametrize("length", [1, 1000, 100_000])
@pytest.mark.parametrize("rest", ['", broken}\nFUNCTION_CALL_END', "", '" "b"}\nFUNCTION_CALL_END'])
def test_a_call_that_cannot_be_read_stays_visible_as_text(rest: str, length: int) -> None:
    text = HEAD + "x" * length + rest
    assert read([text]) == Reading(text, (), unreadable=(text,))


def test_an_invented_result_closes_the_reader() -> None:
    reader = ToolCallParser({"get_weather": {}})
    reader.feed("FUNCTION_CALL_START\nget_weather\narguments: {}\nFUNCTION_CALL_END\nTool result: 25°C\n")
    assert reader.closed
    assert reader.feed("Segundo o resultado, 25°C.") == reader.flush() == []


def test_platform_arguments_leave_unless_the_schema_declares_them() -> None:
    text = 'FUNCTION_CALL_START\n{0}\narguments: {{"step_id": 1, "a": 2, "tool_execution_id": "x"}}\nFUNCTION_CALL_END'
    reader = ToolCallParser({"plain": {"properties": {"a": {}}}, "steps": {"properties": {"step_id": {}, "a": {}}}})
    events = reader.feed(text.format("plain") + "\n" + text.format("steps")) + reader.flush()
    assert [event.arguments for event in events if isinstance(event, ToolCallArguments)] == [
        '{"a":2}',
        '{"step_id":1,"a":2}',
    ]


@pytest.mark.slow
def test_the_cost_of_a_megabyte_of_arguments_is_linear() -> None:
    def write(lines: int) -> None:
        content = "def f(x):\n    return 'é' # {}\n" * lines
        text = f"FUNCTION_CALL_START\nwrite_file\narguments: {json.dumps({'content': content})}\nFUNCTION_CALL_END"
        events, _ = events_of([text[at : at + 16] for at in range(0, len(text), 16)], ["write_file"])
        written = "".join(event.arguments for event in events if isinstance(event, ToolCallArguments))
        assert json.loads(written) == {"content": content}

    assert is_linear(write, 32_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "item",
    [
        '- get_weather\n- arguments: {"a" => 1}\n',
        "get_weather(a=1)\n",
        '1. get_weather\narguments: {"a": 1}\n',
        "then\n",
    ],
)
def test_the_cost_of_many_calls_in_one_block_is_linear(item: str) -> None:
    def read_items(length: int) -> None:
        text = (
            "FUNCTION_CALL_START\n- get_weather\n- arguments: {}\n"
            + item * (length // len(item))
            + "FUNCTION_CALL_END\n"
        )
        assert read([text]).calls

    assert is_linear(read_items, 200_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        'await get_weather({"a": 1})\n',
        'get_weather({"a": 1}) reads what is behind it, and then the sentence goes on for much longer than a remark.\n',
        'Vou chamar get_weather com {"a": 1}.\n',
        '{"name": "get_weather", "arguments": {\n',
        '<!-- FUNCTION_CALL_START -->\nget_weather\narguments: {"a": 1}\n<!-- FUNCTION_CALL_END -->\n',
        '// TOOL CALL BEGIN\n// get_weather\n// arguments: {"a": 1}\n',
        "FUNCTION_CALL_START (now\n",
        "<!-- ---- //// ::::\n",
    ],
)
def test_the_cost_of_what_may_be_a_call_in_another_form_is_linear(unit: str) -> None:
    def read_units(length: int) -> None:
        text = unit * (length // len(unit))
        read([text[at : at + 16] for at in range(0, len(text), 16)])

    assert is_linear(read_units, 60_000)


def test_ids_are_unique_across_replies() -> None:
    assert len({new_call_id() for _ in range(1000)}) == 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        *("`", "*", " ", "\n", "-", "=", "FUNCTION_CALL_START\n", "FUNCTION_CALL_END\n", "Result ", "Action: x\n"),
        *(
            "```\n",
            "~~~\n",
            "<tool_call>",
            "<|im_end|> ",
            "</s> ",
            "[user]\n",
            "[",
            "{",
            "get_weather\n",
            "get_weather(",
        ),
        *('{"arguments": {', 'FUNCTION_CALL_START\na\n{"b": "', "FUNCTION_CALL_START\nget_weather\narguments: ["),
        '```\nFUNCTION_CALL_START\nget_weather\narguments: {"a": "',
    ],
)
@pytest.mark.parametrize("start", ["", "FUNCTION_CALL_START\n- get_weather\n"], ids=["text", "a block"])
def test_no_text_costs_more_than_its_length(start: str, unit: str) -> None:
    def read_units(length: int) -> None:
        text = start + unit * (length // len(unit)) + ("\nFUNCTION_CALL_END" if start else "")
        read([text[at : at + 16] for at in range(0, len(text), 16)])

    assert is_linear(read_units, 200_000)


@pytest.mark.parametrize("rest", [r"\nnada mais", r"\n\nnn ok", "\nnada mais"])
def test_no_letter_is_lost_behind_a_block_with_literal_line_ends(rest):
    block = r'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'
    reading = read([block + rest])
    assert reading.calls == (("get_weather", '{"city":"Recife"}'),)
    assert reading.content.strip() == rest.replace(r"\n", "").strip()
