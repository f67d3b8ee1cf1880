"""Mending is limited: an object that is too large or too deep is a fault, for the agent to repair."""

from __future__ import annotations

import json

import pytest

from custom_handler.emulation.lenient_json import MAX_LEVELS, LenientJsonError
from custom_handler.emulation.tool_calls.mended_json import MAX_TOKENS, read_object

SLIP = '{"a": 1 "b": '  # a missing comma


def read(text: str, *, closed: bool = True) -> object:
    return json.loads(read_object(text, 0, frozenset(), closed=closed)[0])


@pytest.mark.parametrize("end", ["}", ""])
def test_a_long_list_is_mended_up_to_a_number_of_tokens(end):
    items = (MAX_TOKENS - 40) // 2
    assert read(f"{SLIP}[{','.join('0' * items)}]{end}") == {"a": 1, "b": [0] * items}
    with pytest.raises(LenientJsonError):
        read(f"{SLIP}[{','.join('0' * MAX_TOKENS)}]{end}")


def test_the_length_of_strings_does_not_count():
    text = "x" * 2_000_000
    assert read(f'{SLIP}"{text}"}}') == {"a": 1, "b": text}


def test_levels_are_limited():
    levels = MAX_LEVELS - 1
    assert read(SLIP + "[" * levels + "]" * levels + "}")
    with pytest.raises(LenientJsonError):
        read(SLIP + "[" * MAX_LEVELS + "]" * MAX_LEVELS + "}")
    with pytest.raises(LenientJsonError):
        read(SLIP + "[" * 100_000)
