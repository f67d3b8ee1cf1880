"""Writes strict JSON in pieces, for the lenient parser: scalars, members, and dropped members."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

TOKEN_LIMIT = 4096  # characters of a number, of a bare key and of a held key; longer ones are not dropped

_STRICT_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"([+-]?)(0|[1-9][0-9]*)?(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")

_LITERALS = {word: word.lower() for word in ("true", "True", "TRUE", "false", "False", "FALSE", "null", "NULL")}
_LITERALS |= dict.fromkeys(("None", "undefined", "NaN", "Infinity", "-Infinity", "+Infinity"), "null")


class LenientJsonError(ValueError):
    """The text cannot be parsed without a guess."""


def strict_scalar(word: str) -> str:
    if _STRICT_NUMBER.fullmatch(word):
        return word
    if word in _LITERALS:
        return _LITERALS[word]
    number = _NUMBER.fullmatch(word)
    if not number or not (number[2] or number[3]):
        raise LenientJsonError("a value that is no string, number or literal")
    fraction = "" if number[3] is None else "." + (number[3] or "0")
    return number[1].replace("+", "") + (number[2] or "0") + fraction + (number[4] or "")


def _discard(_: str) -> None:
    """Replace `write` while a dropped member is parsed."""


class StrictJsonWriter:
    """The strict JSON: each comma is written with the member after it; dropped members are not."""

    def __init__(self, drop: frozenset[str]) -> None:
        self._drop = drop
        self.ready: list[str] = []
        self._key = ""  # a comma and a key, held until the key is complete
        self._comma_due = self._comma_due_before = False
        self.write: Callable[[str], None] = self.ready.append

    def begin(self, piece: str, *, top_key: bool = False) -> None:
        if top_key and self._drop:
            self._comma_due_before = self._comma_due
            self.write = self._hold
        self.write("," + piece if self._comma_due else piece)
        self._comma_due = False

    def end_key(self) -> None:
        if self._key:
            self._release(dropped=json.loads(self._key.lstrip(",")) in self._drop)

    def end_value(self, *, top: bool) -> None:
        self._comma_due = True
        if top and self.write is _discard:
            self._comma_due = self._comma_due_before
            self.write = self.ready.append

    def _hold(self, piece: str) -> None:
        self._key += piece
        if len(self._key) > TOKEN_LIMIT:
            self._release()

    def take(self, end: int | None) -> str:
        """Return the pieces up to `end`, and remove them."""
        taken = "".join(self.ready[:end])
        del self.ready[:end]
        return taken

    def replace(self, start: int, piece: str) -> None:
        """Replace the pieces from `start`, unless they are not written."""
        if self.write is not _discard:
            self.ready[start:] = [piece]

    def _release(self, *, dropped: bool = False) -> None:
        self.write = _discard if dropped else self.ready.append
        self.write(self._key)
        self._key = ""
