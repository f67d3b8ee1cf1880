"""Count the values of a JSON body before it is parsed.

30 MB of `[],` take orjson three seconds, and all that time no other request is served. The scan
takes some 30 ms for them.
"""

from __future__ import annotations

MAX_OBJECTS = 25_000  # objects and lists
MAX_STRINGS = 200_000  # names of fields, too
MAX_VALUES = 400_000  # OpenAI's API embeds up to 300,000 tokens in a request
SMALLEST = 2 * MAX_OBJECTS  # a shorter body cannot exceed a limit

TOO_MANY = (
    f"The request has more than {MAX_OBJECTS} objects and lists, {MAX_STRINGS} strings or {MAX_VALUES} "
    "values: send fewer messages, parts or tools."
)


def has_too_many_values(body: bytes) -> bool:
    r"""Return whether JSON exceeds a limit; what other text returns does not matter.

    >>> has_too_many_values(b"[" + b"[]," * MAX_OBJECTS + b"0]")
    True
    >>> has_too_many_values(b'["' + b"[]," * MAX_OBJECTS + b'\\"[]"]')
    False
    """
    if len(body) < SMALLEST or not _exceeds(body, body):
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 2 * MAX_STRINGS:
        return True
    return _exceeds(body, b"".join(body.split(b'"')[::2]))


def _exceeds(body: bytes, outside: bytes) -> bool:
    """Compare with the limits; `outside` is the part that is outside of strings, or more."""
    return (
        outside.count(b"[") + outside.count(b"{") > MAX_OBJECTS
        or outside.count(b",") >= MAX_VALUES
        or body.count(b'"') > 2 * MAX_STRINGS
    )
