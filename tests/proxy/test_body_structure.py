"""The number of values of a JSON body is counted before it is parsed, and nothing within strings is."""

from __future__ import annotations

import json

import pytest

from custom_handler.proxy.middleware.body_structure import (
    MAX_OBJECTS,
    MAX_STRINGS,
    MAX_VALUES,
    ValueCounter,
)

PIECES = (1 << 30, 65_536, 997)


def has_too_many_values(body: bytes) -> bool:
    """Count a body whole and in pieces, which must make no difference."""
    results = set()
    for size in PIECES:
        counter = ValueCounter()
        results.add(any(counter.exceeds(body[start : start + size]) for start in range(0, len(body), size)))
    assert len(results) == 1
    return results.pop()


QUOTING = ['"', "\\", '\\"', '\\\\"', "[{", '"[', "\\n[", "é[", "]}", ","]


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(
    ("limit", "make"),
    [
        (MAX_OBJECTS, lambda count: [{} for _ in range(count - 1)]),
        (MAX_OBJECTS, lambda count: [[] for _ in range(count - 1)]),
        (MAX_OBJECTS, lambda count: {"messages": [{"role": "user", "content": "a"} for _ in range(count - 2)]}),
        (MAX_OBJECTS, lambda count: {"messages": [{"content": [{"text": '"'} for _ in range(count - 4)]}]}),
        (MAX_STRINGS, lambda count: ["a"] * count),
        (MAX_STRINGS, lambda count: {f"{number}": 0 for number in range(count)}),
        (MAX_VALUES, lambda count: [0] * count),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_values_are_limited_exactly(limit, make, excess, separators):
    body = json.dumps(make(limit + excess), separators=separators).encode()
    assert has_too_many_values(body) is bool(excess)


@pytest.mark.parametrize("text", QUOTING)
@pytest.mark.parametrize("ascii_", [True, False])
def test_nothing_within_a_string_is_counted(text, ascii_):
    body = json.dumps({"text": text * (2 * MAX_VALUES // len(text))}, ensure_ascii=ascii_).encode()
    assert not has_too_many_values(body)


@pytest.mark.parametrize("text", QUOTING)
def test_strings_hide_no_objects(text):
    body = json.dumps([{"a": text} for _ in range(MAX_OBJECTS)], ensure_ascii=False).encode()
    assert has_too_many_values(body)


def test_an_ordinary_large_body_passes():
    tools = [{"name": f"t{number}", "parameters": {"properties": {"a": {"type": "string"}}}} for number in range(500)]
    messages = [{"role": "user", "content": [{"type": "text", "text": '{"a": ["x"]}\n' * 100}]} for _ in range(2_000)]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000_000}}
    assert not has_too_many_values(json.dumps({"messages": messages, "tools": tools, "image": image}).encode())


def test_text_that_is_no_json_is_no_error():
    for body in (b"\xff" * 100_000, b'"' * 100_001, b"\\" * 100_001, b"a=b&" * 50_000):
        has_too_many_values(body)


@pytest.mark.parametrize(
    "body", [b'["' + text.encode() + b'","[' + b'\\"]' * 9 + b'"]' for text in ("\\\\", '\\"', 'a\\\\\\"[', "")]
)
def test_a_cut_between_any_two_bytes_makes_no_difference(body):
    found = set()
    for cut in range(len(body) + 1):
        counter = ValueCounter()
        counter.exceeds(body[:cut])
        counter.exceeds(body[cut:])
        found.add((counter._objects, counter._quotes, counter._commas, counter._in_string))
    assert found == {(1, 4, 1, False)}
