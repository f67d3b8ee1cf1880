"""The lenient reader: what it reads, what it refuses, and that neither depends on how the text was cut."""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_handler.emulation.lenient_json import MAX_LEVELS, LenientJsonError, LenientJsonParser
from tests.support.growth import is_linear

TABLE = Path(__file__).parent.parent / "cases" / "lenient_json.jsonl"


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    text: str
    drop: frozenset[str]
    fault: bool
    expect: dict


@dataclass(frozen=True, slots=True)
class Outcome:
    written: str
    done: bool
    fault: bool
    read: int  # characters, of an object that is done


def load_case(line: str) -> Case:
    row = json.loads(line)
    fault = row["expect"].get("fault", False)
    return Case(row["id"], row["text"], frozenset(row.get("drop", ())), fault, row["expect"])


CASES = [load_case(line) for line in TABLE.read_text("utf-8").splitlines()]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def cut_evenly(text: str, size: int) -> list[int]:
    return [*range(size, len(text), size), len(text)]


def cut_at_random(text: str, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [*sorted(chance.sample(range(len(text)), chance.randint(0, min(8, len(text))))), len(text)]


def read(text: str, cuts: Iterable[int] | None = None, drop: frozenset[str] = frozenset()) -> Outcome:
    reader, written, at = LenientJsonParser(drop), [], 0
    for cut in [len(text)] if cuts is None else cuts:
        try:
            at = reader.feed(text, at, cut)
        except LenientJsonError:
            return Outcome("".join(written) + reader.take(), reader.done, fault=True, read=0)
        written.append(reader.take())
        if reader.done:
            break
        assert at == cut
    return Outcome("".join(written), reader.done, fault=False, read=at)


def parse_strictly(text: str):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@each_case
def test_a_case_is_parsed_as_in_the_table(case: Case):
    outcome = read(case.text, drop=case.drop)
    assert outcome.fault is case.fault
    assert outcome.done is not case.fault
    if "value" in case.expect:
        assert parse_strictly(outcome.written) == case.expect["value"]
    if "written" in case.expect:
        assert outcome.written == case.expect["written"]


@each_case
def test_a_case_comes_out_the_same_however_it_is_cut(case: Case):
    whole = read(case.text, drop=case.drop)
    for size in (1, 2, 3, 7):
        assert read(case.text, cut_evenly(case.text, size), case.drop) == whole
    for seed in range(20):
        assert read(case.text, cut_at_random(case.text, seed), case.drop) == whole


@each_case
def test_what_is_written_depends_on_the_characters_read_only(case: Case):
    for end in range(len(case.text) + 1):
        prefix = case.text[:end]
        assert read(prefix, cut_evenly(prefix, 1), case.drop) == read(prefix, None, case.drop)


@pytest.mark.parametrize(
    "text", ["", "{", '{"a', '{"a"', '{"a":', '{"a": 1', '{"a": "x', '{"a": "x"', '{"a": [1, ', '{"a": 1 // }']
)
def test_an_object_without_its_closing_brace_is_not_done(text: str):
    outcome = read(text)
    assert not outcome.done
    assert not outcome.fault


def test_a_string_is_written_while_it_arrives_a_number_when_done():
    reader = LenientJsonParser()
    reader.feed('{"a": "some words')
    assert reader.take() == '{"a":"some words'
    reader.feed('", "b": 12')
    assert reader.take() == '","b":'
    reader.feed("3 ")
    assert reader.take() == "123"


def test_a_quote_waits_for_what_follows_it():
    reader = LenientJsonParser()
    reader.feed('{"a": "word" \n')
    assert reader.take() == '{"a":"word'
    reader.feed("y")
    assert reader.take() == r"\" \ny"


def test_what_was_written_before_a_fault_can_still_be_taken():
    reader = LenientJsonParser()
    with pytest.raises(LenientJsonError, match="no string, number or literal"):
        reader.feed('{"a": "x", "b": 01}')
    assert reader.take() == '{"a":"x","b":'


def test_only_the_given_part_of_the_text_is_read():
    reader = LenientJsonParser()
    assert reader.feed('call({"a": 1}, {"b": 2})', 5, 10) == 10
    assert reader.feed('call({"a": 1}, {"b": 2})', 10) == 13
    assert reader.done
    assert reader.take() == '{"a":1}'


def test_an_object_that_is_done_reads_nothing_more():
    reader = LenientJsonParser()
    reader.feed("{}")
    assert reader.feed("{}") == 0
    assert reader.take() == "{}"
    assert reader.take() == ""


def test_a_key_that_is_longer_than_the_limit_is_not_dropped():
    short, long = "k" * 4000, "k" * 5000
    text = json.dumps({short: 1, long: 2, "z": 3})
    for size in (1, 100, len(text)):
        outcome = read(text, cut_evenly(text, size), frozenset((short, long)))
        assert json.loads(outcome.written) == {long: 2, "z": 3}


def test_a_number_without_an_end_is_a_fault():
    assert read('{"a": ' + "1" * 4096 + "}").done
    assert read('{"a": ' + "1" * 4097 + "}").fault


def test_levels_are_limited():
    text = '{"a": ' + "[ " * (MAX_LEVELS - 1) + "] " * (MAX_LEVELS - 1) + "}"
    assert read(text).written == text.replace(" ", "")
    text = '{"a": ' * MAX_LEVELS + "1" + "}" * MAX_LEVELS
    assert read(text, cut_evenly(text, 16)).written == text.replace(" ", "")
    assert parse_strictly(read(text).written)
    assert read('{"a": ' * (MAX_LEVELS + 1)).fault
    assert read('{"a": ' + "[" * 100_000, cut_evenly("[" * 100_006, 16)).fault


MEGABYTE = 1_000_000


# A text of any size: what stands before, what is repeated, and what stands behind.
LONG_TEXTS = {
    "string": ('{"a": "', "x", '"}'),
    "lines": ('{"a": "', "line\n", '"}'),
    "escapes": ('{"a": "', r"\u4e2d", '"}'),
    "inner quotes": ('{"a": "', 'say "x" ', '"}'),
    "space behind a quote": ('{"a": "say "hi"', " ", 'there"}'),
    "escaped line ends behind a quote": ('{"a": "x"', r"\n", "}"),
    "space": ('{"a":', " ", "1}"),
    "stars": ('{"a": /*', "*", "/ 1}"),
    "line comment": ('{"a": 1 //', " *", "\n}"),
    "members": ('{"a": [', '{"k": 1, "l": "m"}, ', "]}"),
    "key": ('{"', "k", '": 1}'),
}


@pytest.mark.slow
@pytest.mark.parametrize(("before", "repeated", "behind"), LONG_TEXTS.values(), ids=LONG_TEXTS)
@pytest.mark.parametrize("size", [16, 2 * MEGABYTE])
def test_the_cost_grows_with_the_length_of_the_text(before: str, repeated: str, behind: str, size: int):
    def work(length: int) -> None:
        text = before + repeated * (length // len(repeated)) + behind
        assert read(text, cut_evenly(text, size), frozenset(("drop",))).done

    assert is_linear(work, MEGABYTE)


words = st.text() | st.lists(st.sampled_from(['"', "'", "\\", "{", "}", ",", ":", " ", "\n", "a", "“", "//"])).map(
    "".join
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
    max_leaves=20,
)
layouts = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    }
)
FRAGMENTS = [
    *("{", "}", "[", "]", ",", ":", '"', "'", "“", "”", "„", "‘", "’", "\\", "/", "*", "#", "\n", " ", "-", ".", "u"),
    *("//", "/*", "*/", '"a"', '"a":', "'b'", "b:", '"x"', '""', "1", "05", "1e5", "+.5", "true", "None", "NaN", "x y"),
    *(r"\n", r"\"", r"\u00e9", r"\ud83d", r"\ude00", r"\u12", r"\'", "\ud83d", "\ufeff", "\u00a0", "\x01", "é"),
    *('"a": "', '", "', '"}', '"]', '": ', "{'a': '", '{"a": [', ', "b": {', "// c\n", "/* c */"),
]
scribbles = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)
drops = st.frozensets(st.sampled_from(["a", "b", ""]))


def cut_by(text: str, seed: int) -> list[list[int]]:
    return [cut_evenly(text, 1), cut_evenly(text, 3), cut_at_random(text, seed)]


@pytest.mark.slow
@given(st.dictionaries(words, values), layouts, st.text(max_size=5))
def test_strict_json_comes_out_equal_and_is_done_at_its_end(value: dict, layout: dict, behind: str):
    text = json.dumps(value, **layout)
    for cuts in (None, cut_evenly(text + behind, 1), cut_evenly(text + behind, 5)):
        outcome = read(text + behind, cuts)
        assert outcome.done
        assert outcome.read == len(text)
        assert parse_strictly(outcome.written) == value


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from("abcd"), values), st.frozensets(st.sampled_from("abcd")), layouts)
def test_dropped_members_are_all_that_is_missing(value: dict, drop: frozenset[str], layout: dict):
    outcome = read(json.dumps(value, **layout), drop=drop)
    assert parse_strictly(outcome.written) == {key: item for key, item in value.items() if key not in drop}


@pytest.mark.slow
@settings(max_examples=500)
@given(scribbles | st.text(), drops)
def test_any_text_is_strict_json_or_a_fault_or_not_done(text: str, drop: frozenset[str]):
    outcome = read("{" + text, drop=drop)
    if outcome.done:
        assert not drop & parse_strictly(outcome.written).keys()


@pytest.mark.slow
@settings(max_examples=500)
@given(scribbles | st.text(), drops, st.integers(0, 999))
def test_any_text_comes_out_the_same_however_it_is_cut(text: str, drop: frozenset[str], seed: int):
    text = "{" + text
    whole = read(text, drop=drop)
    for cuts in cut_by(text, seed):
        assert read(text, cuts, drop) == whole


@pytest.mark.slow
@settings(max_examples=500)
@given(scribbles, drops, st.integers(0, 999))
def test_a_value_is_the_same_for_every_cut(text: str, drop: frozenset[str], seed: int):
    text = '{"a": "' + text + '"}'
    whole = read(text, drop=drop)
    for cuts in cut_by(text, seed):
        assert read(text, cuts, drop) == whole
    if whole.done:
        parse_strictly(whole.written)
