"""Decodes JSON that another host has sent."""

from __future__ import annotations

import json


def decode_json(body: bytes | bytearray | str) -> object:
    """Return the value of a JSON text; raises ValueError, also where it is nested too deep.

    >>> decode_json(b'{"id": 1}')
    {'id': 1}
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise NestedTooDeepError from None


def decode_body(body: bytes) -> object:
    """Return the value of a response's body, or its text where it is no JSON.

    >>> decode_body(b"Bad Gateway")
    'Bad Gateway'
    """
    text = body.decode("utf-8", errors="replace")
    try:
        return decode_json(text)
    except ValueError:
        return text


class NestedTooDeepError(ValueError):
    """The JSON is nested deeper than the decoder's stack."""
