"""Tells lines and sentences that can start no call, as most of a text, by their first characters.

The patterns of calls are tried for each start once, and the results kept in a tree of characters:
where no pattern matches a start, not even partially, none can match what follows. What stands
before a name, such as `return` or `#`, may be part of a call whose name is declared.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

import regex

from . import dialects, labels, odd_block, suspicion, syntax, text_parser

OPEN = -1
"""A call may start: a pattern matches, or too much would have to be read to exclude it."""

_DEPTH = 24  # characters
_NEW_NODES = 6  # in one walk
_MAX_NODES = 8000
_MISSED = 100_000  # starts for which a full tree has no place; then it is emptied
_MAX_WORDS = 1024
_PATTERNS = (
    syntax.MARKER,
    syntax.STRAY_MARKER,
    syntax.OWN_END,
    syntax.FABRICATED_RESULT,
    syntax.FENCED_MARKER,
    *text_parser.AT_LINE_START,
    *labels.AT_LINE_START,
    *dialects.WITH_WORDS,
    suspicion.ANNOUNCEMENT,
)
_USUAL_NAME = re.compile(r"[A-Za-z0-9_./:-]*[A-Za-z0-9][A-Za-z0-9_./:-]*")
_WORD = re.compile(r"[\W_]{0,80}+([^\W_][\w./:\\-]*)")
_ASCII = "\x7f"  # A word goes on behind some others, and names are compared without any of them.
_LONG = 64  # characters; longer names may be shortened ones
_SEPARATOR = re.compile(r"[./:]")
_NO_KEY = re.compile(r"[^a-z0-9]+")

_Node = dict[str, Any]  # of further nodes, and of what a start without further ones is


class StartTree:
    """Keeps what `probe` returns for the starts of texts; None for one that has to be longer."""

    def __init__(self, probe: Callable[[str], int | None]) -> None:
        self._probe = probe
        self._root: _Node = {}
        self.size = 0
        self._missed = 0

    def find(self, text: str, at: int) -> int:
        """Return the probe's result for the shortest start of the text at `at` that has one."""
        node = self._root
        for character in text[at : at + _DEPTH]:
            child = node.get(character)
            if child is None:
                return self._grow(text[at : at + _DEPTH])
            if type(child) is int:
                return child
            node = child
        return OPEN

    def _grow(self, text: str) -> int:
        """Add some nodes, and return what they say about the text.

        A full tree stays as it is for long: texts whose starts are all different would cost more
        time than they save.
        """
        if self.size >= _MAX_NODES:
            self._missed += 1
            if self._missed < _MISSED:
                return OPEN
            self._root, self.size, self._missed = {}, 0, 0
        node, new = self._root, 0
        for end, character in enumerate(text, 1):
            child: int | _Node | None = node.get(character)
            if child is None:
                if new == _NEW_NODES:
                    break
                found = self._probe(text[:end])
                child = node[character] = {} if found is None else found
                new += 1
                self.size += 1
            if isinstance(child, int):
                return child
            node = child
        return OPEN


def _probe_line(start: str) -> int | None:
    """Return where a name may stand in a line with this start, unless a pattern may match it."""
    line = f"\n{start}"
    if "\\" in start or start[0] in "&\ufeff\u200b" or start[0].isspace():
        return OPEN
    plain = odd_block.plain_characters(line)
    tried = [*((pattern, line) for pattern in _PATTERNS), *((pattern, plain) for pattern in odd_block.HEADS)]
    matches = [found for pattern, text in tried if (found := pattern.match(text, 1, partial=True)) is not None]
    if matches:
        return None if all(found.partial for found in matches) else OPEN
    return _probe_code(start)


def _probe_code(start: str) -> int | None:
    """Return where the code ends that may stand before a name."""
    at = 0
    for _ in range(suspicion.PARTS):
        found = suspicion.CODE_WORDS.match(start, at, partial=True)
        if found is None:
            break
        if found.partial or found.end() == len(start):
            return None
        at = found.end()
    return at


def _probe_sentence(start: str) -> int | None:
    found = _STARTS_SENTENCE.match(f". {start}", 2, partial=True)
    return 0 if found is None else None if found.partial else OPEN


_STARTS_SENTENCE = regex.compile(suspicion.STARTS_SENTENCE)
_LINES, _CODE, _SENTENCES = StartTree(_probe_line), StartTree(_probe_code), StartTree(_probe_sentence)


def is_plain_sentence(text: str, at: int) -> bool:
    """Return whether the sentence at `at` does not announce a call."""
    return _SENTENCES.find(text, at) != OPEN


class PlainLines:
    """Decides for the start of a line whether no call of a declared tool can start there.

    >>> lines = PlainLines(["read"])
    >>> [lines.is_plain(f"{start} the file", 0) for start in ("- We", "Read", "return read")]
    [True, False, False]
    """

    def __init__(self, names: Collection[str]) -> None:
        self._usable = all(map(_USUAL_NAME.fullmatch, names))
        self._names = {_key(name) for name in names}
        self._sorted = sorted(self._names)
        self._plain: set[str] = set()  # first words of plain lines, with what stands before them

    def is_plain(self, text: str, at: int) -> bool:
        """Return whether no call can start at `at`, also if the text goes on."""
        found = _WORD.match(text, at)
        if found is None or (end := found.end()) == len(text) or text[end] > _ASCII:
            return False
        if found[0] in self._plain:
            return True
        end = _LINES.find(text, at)
        if end == OPEN or not self._usable or self._is_named(found[1]):
            return False
        if end or text[at] in suspicion.BRACKETS:
            return self._is_plain_code(text, at + end)
        if len(found[0]) <= _DEPTH and _LINES.find(found[0], 0) == 0:  # what follows did not count
            if len(self._plain) >= _MAX_WORDS:
                self._plain.clear()
            self._plain.add(found[0])
        return True

    def _is_plain_code(self, text: str, at: int) -> bool:
        """Return whether neither code nor a name nor an object is at `at`."""
        for _ in range(suspicion.PARTS):
            if self._may_be_named(text, at):
                return False
            if text[at] not in suspicion.BRACKETS:
                return True
            if suspicion.OBJECT.match(text, at, partial=True) is not None:
                return False
            found = suspicion.TAG.match(text, at, partial=True) or suspicion.BRACKET.match(text, at, partial=True)
            if found is None:
                return True
            if found.partial or (end := _CODE.find(text, found.end())) == OPEN:
                return False
            at = found.end() + end
        return False

    def _may_be_named(self, text: str, at: int) -> bool:
        """Return whether the first word at `at` is a declared name, or may be a part of one."""
        found = _WORD.match(text, at)
        return found is None or (end := found.end()) == len(text) or text[end] > _ASCII or self._is_named(found[1])

    def _is_named(self, word: str) -> bool:
        if len(word) > _LONG:
            return True
        if word.isalnum() and word.isascii():
            return word.lower() in self._names
        parts = _SEPARATOR.split(word.rstrip(".:/"))
        return _key(word) in self._names if len(parts) == 1 else any(map(self._may_start, map(_key, parts)))

    def _may_start(self, key: str) -> bool:
        at = bisect_left(self._sorted, key)
        return key != "" and at < len(self._sorted) and self._sorted[at].startswith(key)


@lru_cache(maxsize=64)  # a client sends the same tools with every request
def plain_lines(names: tuple[str, ...]) -> PlainLines:
    """Return the decisions for the declared names."""
    return PlainLines(names)


def _key(name: str) -> str:
    """Return the letters and digits that all spellings of a name have."""
    return _NO_KEY.sub("", syntax.folded(name))
