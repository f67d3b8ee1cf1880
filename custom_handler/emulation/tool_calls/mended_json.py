"""Mends JSON that LenientJsonParser rejects, where only one meaning is possible.

Mended are: a missing closing bracket, a missing comma before a key, doubled commas and braces,
`=>`, `=` or `::` for a colon, a value in parentheses, in backticks or in three
quotes, prefixes of Python strings, `1_000`, escaped quotes around all strings, and HTML entities.
Strings have to be delimited clearly: text with a word that is no literal is rejected.
"""

from __future__ import annotations

import html
import json

import regex

from ..lenient_json import MAX_LEVELS, LenientJsonError, LenientJsonParser
from . import python_syntax

_TOKEN = regex.compile(
    r"(?P<space>[\s\ufeff\u200b]++)|(?P<raw>(?P<mark_of_raw>\"\"\"|'''|`)(?P<inner>(?:(?!(?P=mark_of_raw))[^\\])*+)(?P=mark_of_raw))"
    r"|(?P<prefix>[rRfFuU])?(?P<string>\"(?:[^\"\\]|\\[\s\S])*+\"|'(?:[^'\\]|\\[\s\S])*+')"
    r"|(?P<number>-?\d[\d_]*+(?:\.\d++)?(?:[eE][+-]?\d++)?(?![\w.]))"
    r"|(?P<word>(?:true|false|null|True|False|None)(?!\w))|(?P<arrow>=>|=(?!=)|::)|(?P<mark>[{}\[\](),:])"
)
MAX_TOKENS = 50_000  # of an object that is mended: a tenth of a second; the agent is asked to repair a longer one
_STRAY_WORD = "a string is followed by neither a comma, a colon nor a closing bracket"
_CLOSER = {"{": "}", "[": "]", "(": ")"}
_ESCAPED = regex.compile(r"\{\s*+\\[\"']")
_ENTITY = regex.compile(r"\{\s*+&(?:quot|#34|#x22);")


def read_object(text: str, at: int, drop: frozenset[str], *, closed: bool) -> tuple[str, int]:
    """Return the object at `at` as strict JSON, and the position after it; raises LenientJsonError.

    `closed`: an end marker follows the text, so a value at its end is complete. O(n).
    """
    parser = LenientJsonParser(drop)
    try:
        end = parser.feed(text, at)
    except LenientJsonError as error:
        fault = error
    else:
        if parser.done:
            return parser.take(), end
        fault = LenientJsonError("the object has no end" if not _is_balanced(text, at) else _STRAY_WORD)
    return _mended(text, at, drop, closed=closed, error=fault)


def _is_balanced(text: str, at: int) -> bool:
    try:
        return python_syntax.balanced_end(text, at) > at
    except LenientJsonError:
        return False


def _mended(text: str, at: int, drop: frozenset[str], *, closed: bool, error: LenientJsonError) -> tuple[str, int]:
    if _ENTITY.match(text, at):
        written = html.unescape(text[at:])
        strict, end = read_object(written, 0, drop, closed=closed)
        if written[end:].strip():
            raise error
        return strict, len(text)
    if _ESCAPED.match(text, at):
        return _unescaped(text, at, drop, error)
    mender = _Mender(text, at, closed=closed)
    if not mender.run():
        mender = _Mender(text, at, closed=closed, all_doubled=True)
        if not text.startswith("{{", at) or not mender.run():
            raise error
    parser = LenientJsonParser(drop)
    mended = "".join(mender.out)
    if parser.feed(mended) != len(mended) or not parser.done:
        raise error
    return parser.take(), mender.at


def _unescaped(text: str, at: int, drop: frozenset[str], error: LenientJsonError) -> tuple[str, int]:
    """Read an object that was written as the inside of a JSON string."""
    try:
        written = json.loads(f'"{text[at:].strip()}"', strict=False)
    except ValueError:
        raise error from None
    parser = LenientJsonParser(drop)
    if parser.feed(written) != len(written) or not parser.done:
        raise error
    return parser.take(), len(text)


class _Mender:
    """Writes one object with its slips mended into `out`; `at` is the position after it."""

    def __init__(self, text: str, at: int, *, closed: bool, all_doubled: bool = False) -> None:
        self._all_doubled = all_doubled  # each brace, as in a template of Python's format
        self.out: list[str] = []
        self.at = at
        self._text = text
        self._closed = closed
        self._due: list[str] = []  # the open brackets
        self._before = ""  # the kind of the token before: a mark, "value", or "key"
        self._doubled = False

    def run(self) -> bool:
        """Return whether the object could be mended."""
        opening = regex.match(r"\{\s*+(?=\{\s*+[\"'])", self._text, pos=self.at)
        if opening is not None and not self._all_doubled:
            self._doubled = True
            self.at = opening.end()
        for _ in range(MAX_TOKENS):
            if self.at == len(self._text):
                break
            found = _TOKEN.match(self._text, self.at)
            if found is None or not self._take(found):
                return False
            self.at = found.end()
            if self._all_doubled and found[0] in "{}":
                if not self._text.startswith(found[0], self.at):
                    return False
                self.at += 1
            if not self._due and self.out:
                return self._end()
        if self.at < len(self._text) or not self._closed or self._doubled or self._before not in {"value", "}", "]"}:
            return False
        self.out += [_CLOSER[opening] for opening in reversed(self._due) if opening != "("]
        return "(" not in self._due

    def _end(self) -> bool:
        if not self._doubled:
            return True
        closing = regex.match(r"\s*+\}", self._text, pos=self.at)
        if closing is not None:
            self.at = closing.end()
        return closing is not None

    def _take(self, found: regex.Match[str]) -> bool:
        if found["space"]:
            self.out.append(found[0])
            return True
        if found["mark"] or found["arrow"]:
            return self._mark(":" if found["arrow"] else found[0])
        if found["raw"]:
            return "${" not in found[0] and self._value(json.dumps(found["inner"], ensure_ascii=False))
        if found["string"]:
            return self._string(found)
        written = found[0].replace("_", "") if found["number"] else found[0]
        return self._value(written)

    def _string(self, found: regex.Match[str]) -> bool:
        written, prefix = found["string"], (found["prefix"] or "").lower()
        if prefix == "r":
            written = json.dumps(written[1:-1], ensure_ascii=False)
        elif prefix == "f" and regex.search(r"[{}]", written):
            return False
        in_object = self._due and self._due[-1] == "{"
        is_key = in_object and self._before in {"{", ",", "value", "}", "]"}
        if is_key and self._before in {"value", "}", "]"}:
            if not regex.match(r"\s*+(?::|=>)", self._text, pos=found.end()):
                return False
            self.out.append(",")
        if is_key:
            self.out.append(written)
            self._before = "key"
            return not prefix
        return self._value(written)

    def _value(self, written: str) -> bool:
        if self._before not in {":", "[", ",", "("} or (self._before == "," and self._due[-1:] == ["{"]):
            return False
        self.out.append(written)
        self._before = "value"
        return True

    def _mark(self, mark: str) -> bool:
        if mark in _CLOSER:
            return self._open(mark)
        if mark in _CLOSER.values():
            return self._close(mark)
        if mark == "," and self._before in {",", "{"}:
            return True  # doubled, or before the first member
        if mark == ":" and self._before != "key":
            return False
        if mark == "," and (self._before not in {"value", "}", "]"} or self._due[-1:] == ["("]):
            return False
        self.out.append(mark)
        self._before = mark
        return True

    def _open(self, mark: str) -> bool:
        if self._due and self._before not in {":", "[", ",", "("}:
            return False
        if (not self._due and mark != "{") or len(self._due) == MAX_LEVELS:
            return False
        self._due.append(mark)
        if mark != "(":
            self.out.append(mark)
        self._before = mark
        return True

    def _close(self, mark: str) -> bool:
        """Close a bracket, and those within it that have no end; a trailing comma is none."""
        if self._before in {":", "key"} or (mark == ")" and self._before == "("):
            return False
        while self._due and _CLOSER[self._due[-1]] != mark:
            opening = self._due.pop()
            if opening == "(" or mark not in {_CLOSER[due] for due in self._due}:
                return False
            self.out.append(_CLOSER[opening])
        if not self._due:
            return False
        self._due.pop()
        if mark != ")":
            self.out.append(mark)
        self._before = "value" if mark == ")" else mark
        return True
