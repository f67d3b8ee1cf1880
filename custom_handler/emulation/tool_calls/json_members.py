"""Splits compact strict JSON into its parts as text, so that digits and escapes stay as written."""

from __future__ import annotations

import json
from typing import Any

_DECODER = json.JSONDecoder(parse_int=float)


def members(text: str) -> dict[str, tuple[Any, str]]:
    """Return the members of an object, each as a value and as text; numbers are floats.

    >>> members('{"a":[1.50]}')
    {'a': ([1.5], '[1.50]')}
    """
    found: dict[str, tuple[Any, str]] = {}
    at = 1
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = at + 1
        value, at = _DECODER.raw_decode(text, start)
        found[key] = (value, text[start:at])
        at += text[at] == ","
    return found


def items(text: str) -> list[str]:
    """Return the items of a list as text.

    >>> items('[1.50,"a"]')
    ['1.50', '"a"']
    """
    found: list[str] = []
    at = 1
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        found.append(text[at:end])
        at = end + (text[end] == ",")
    return found
