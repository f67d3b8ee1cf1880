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


class NestedTooDeepError(ValueError):
    """The JSON is nested deeper than the decoder's stack."""
