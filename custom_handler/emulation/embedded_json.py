"""Finds the JSON values in an agent's answer, among prose and code fences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import regex

from .lenient_json import LenientJsonError, LenientJsonParser

_PIECE = 4096  # characters between two looks at the budget
_MAX_VALUES = 20
_MAX_FAULTS = 200

_FENCED = regex.compile(r"^[ \t]*+(```+|~~~+)[^\n`]*+\n(.*?)^[ \t]*+\1", regex.DOTALL | regex.MULTILINE)
_THOUGHT = regex.compile(r"\A.*</think(?:ing)?>", regex.DOTALL | regex.IGNORECASE)  # agents leave the opening tag out
_OPENING = regex.compile(r"[{\[]")

_Found = tuple[Any, str]  # a value, and its strict JSON: as written, if that is strict


def _reject(constant: str) -> None:
    raise ValueError(constant)


_STRICT = json.JSONDecoder(parse_constant=_reject)


def parse(body: str) -> _Found | None:
    """Return the value that is the whole of a text, as models write JSON; None if it is none."""
    try:
        return json.loads(body, parse_constant=_reject), body
    except (ValueError, RecursionError):
        found, end = _lenient(body, 0, len(body))
        return found if not body[end:].strip() else None


def without_thought(text: str) -> str:
    """Return a text without what the model thought before its answer."""
    return _THOUGHT.sub("", text, count=1).strip()


def embedded(text: str) -> Iterator[_Found]:
    """Yield the values that are a code fence, or a list or an object outside a larger one.

    The work is limited: it is linear in the length of the text.
    """
    fences = [found.span(2) for found in _FENCED.finditer(text)][:_MAX_VALUES]
    values = 0
    for start, end in fences:
        if (found := parse(text[start:end].strip())) is not None and not isinstance(found[0], dict | list):
            values += 1
            yield found
    at, faults, budget = 0, 0, 4 * len(text)
    while values < _MAX_VALUES and faults < _MAX_FAULTS and budget > 0 and (opening := _OPENING.search(text, at)):
        start = opening.start()
        found, at = _value_at(text, start, start + budget)
        budget -= at - start
        if found is None:
            faults, at = faults + 1, start + 1
        else:
            values += 1
            yield found


def _value_at(text: str, start: int, limit: int) -> tuple[_Found | None, int]:
    """Return the list or object that begins at `start`, and where parsing ended."""
    try:
        value, end = _STRICT.raw_decode(text, start)
    except json.JSONDecodeError as error:
        found, end = _lenient(text, start, limit)
        return found, max(end, error.pos)
    except (ValueError, RecursionError):
        return _lenient(text, start, limit)
    return (value, text[start:end]), end


def _lenient(text: str, start: int, limit: int) -> tuple[_Found | None, int]:
    parser = LenientJsonParser(lists=True)
    at = start
    try:
        while not parser.done and at < min(limit, len(text)):
            at = parser.feed(text, at, min(at + _PIECE, len(text)))
        strict = parser.take() if parser.done else ""
        return ((json.loads(strict), strict) if strict else None), at
    except (LenientJsonError, ValueError, RecursionError):
        return None, min(at + _PIECE, len(text))
