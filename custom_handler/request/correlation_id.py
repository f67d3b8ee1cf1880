"""The correlation id, which names a caller's conversation for StackSpot, the logs and jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import RequestError

HEADERS = ("correlation-id", "x-correlation-id")
HEADER = HEADERS[0]
MISSING = "The header correlation-id is missing: send one value for all calls of a conversation."

_VALID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


def correlation_id(headers: Mapping[str, str]) -> str | None:
    """Return the caller's correlation id, valid or not; header names are in lower case.

    >>> correlation_id({"x-correlation-id": "b", "correlation-id": "a"})
    'a'
    """
    return next((headers[name] for name in HEADERS if name in headers), None)


def is_valid(value: str) -> bool:
    """Return whether a value has 1 to 128 printable ASCII characters, no blank at its ends."""
    return _VALID.fullmatch(value) is not None


def require_valid(given: str | None, *, required: bool) -> None:
    """Raise RequestError for an invalid correlation id, and for none where one is required."""
    if given is None and required:
        raise RequestError(MISSING)
    if given is not None and not is_valid(given):
        raise RequestError("The header correlation-id must have 1 to 128 printable ASCII characters.")
