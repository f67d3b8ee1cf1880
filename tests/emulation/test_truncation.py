"""Stop sequences and the limit of tokens: what goes out, and when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.truncation import CHARACTERS_PER_TOKEN, LengthLimit, StopSequences


@dataclass(frozen=True, slots=True)
class Stopped:
    """A text, its stop sequences, and what of it goes out."""

    id: str
    stops: tuple[str, ...]
    text: str
    out: str
    hit: bool = True


STOPPED = [
    Stopped("none", (), "abc", "abc", hit=False),
    Stopped("not there", ("x",), "abc", "abc", hit=False),
    Stopped("in the midst", ("b",), "abc", "a"),
    Stopped("at the beginning", ("abc",), "abcdef", ""),
    Stopped("at the end", ("def",), "abcdef", "abc"),
    Stopped("twice", ("\n",), "a\nb\nc", "a"),
    Stopped("the one completed first wins", ("bcdef", "cd"), "abcdef", "ab"),
    Stopped("of two completed at once the longer", ("cd", "bcd"), "abcdef", "a"),
    Stopped("the order in the list does not matter", ("bcd", "cd"), "abcdef", "a"),
    Stopped("begun and not completed", ("bcx",), "abcd", "abcd", hit=False),
    Stopped("begun at the end", ("cde",), "abcd", "abcd", hit=False),
    Stopped("begun anew within itself", ("aab",), "aaab", "a"),
    Stopped("a marker of an agent framework", ("\nObservation:",), "Action: x\nObservation: y", "Action: x"),
    Stopped("of characters beyond the first plane", ("😀!",), "a😀😀!b", "a😀"),
    Stopped("of characters that mean something in patterns", (".*", "(["), "a.b([c.*", "a.b"),
]


def cut(stops: tuple[str, ...], pieces: list[str]) -> tuple[str, bool]:
    sequences = StopSequences(stops)
    out = "".join(map(sequences.feed, pieces))
    return out + sequences.flush(), sequences.hit


@pytest.mark.parametrize("case", STOPPED, ids=lambda case: case.id)
def test_a_text_ends_before_its_stop_sequence_however_it_was_cut(case):
    assert cut(case.stops, [case.text]) == (case.out, case.hit)
    assert cut(case.stops, list(case.text)) == (case.out, case.hit)


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3).map(tuple),
    st.text("ab\n", max_size=20),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_no_cut_changes_where_a_text_stops(stops, text, places):
    bounds = sorted(min(place, len(text)) for place in places)
    pieces = [text[start:end] for start, end in pairwise([0, *bounds, len(text)])]
    whole = cut(stops, [text])
    assert cut(stops, pieces) == whole
    assert whole[1] == any(stop in text for stop in stops)
    assert text.startswith(whole[0])
    assert not any(stop in whole[0] for stop in stops)


def test_only_a_possible_stop_sequence_is_held():
    sequences = StopSequences(("STOP",))
    assert sequences.feed("no ST") == "no "
    assert sequences.feed("ART") == "START"
    assert sequences.feed("S") == ""
    assert sequences.flush() == "S"


def test_behind_a_stop_sequence_nothing_goes_out():
    sequences = StopSequences(("x",))
    assert (sequences.feed("axb"), sequences.feed("c"), sequences.flush()) == ("a", "", "")


def test_what_was_flushed_begins_no_stop_sequence_any_more():
    sequences = StopSequences(("ab",))
    assert (sequences.feed("a"), sequences.flush(), sequences.feed("b")) == ("", "a", "b")


def test_without_a_limit_everything_passes():
    length = LengthLimit(None)
    assert (length.feed("a" * 10_000), length.hit) == ("a" * 10_000, False)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_limit_cuts_at_the_same_character_for_every_cut(size):
    length = LengthLimit(3)
    text = "".join(map(chr, range(100, 150)))
    out = "".join(length.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert (out, length.hit) == (text[: 3 * CHARACTERS_PER_TOKEN], True)


def test_a_text_as_long_as_the_limit_is_not_cut_off():
    length = LengthLimit(2)
    assert length.feed("a" * 2 * CHARACTERS_PER_TOKEN) == "a" * 2 * CHARACTERS_PER_TOKEN
    assert not length.hit
    assert (length.feed("b"), length.hit) == ("", True)
