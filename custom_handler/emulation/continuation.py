"""Joins the text of a second reply to a first one that broke off, without what it repeats.

    reply ──an introduction, an opened fence: dropped──▶ overlap? ──▶ all further text, unchanged
                                              held while it may still repeat the first reply

A repetition is compared without white space, and removed where it is long enough to be none by
chance: a model that goes on as asked may begin with a word that the text has, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from .labels import COMPLETE

TAIL = 4_000  # characters at the end of the first reply that are searched for the overlap
LONG_OVERLAP = 10  # characters without white space
LONG_OVERLAP_CHARACTERS = 5  # different ones: rules and rows of tables have fewer
RESTART = 24  # so many equal characters at the start are a new answer, not a continuation
WHOLE_TEXT = 3  # a shorter first reply may be repeated by chance, unless it begins a sentence
MAX_INTRODUCTION = 200

_INTRODUCTION = regex.compile(
    r"\W{0,4}(?:i(?:['’]m| am)? |we(?:['’]re| are)? |my |peço |minhas |as minhas )?(?:sorry|apolog\w*|desculp\w*|lamento|"
    r"sure|certainly|of course|okay|ok|claro|certo|continu\w*|here(?:['’]s| is)|picking up|resuming|retomando|segue|"
    r"aqui está|vou continuar)(?!\w)[^\n]*",
    regex.IGNORECASE,
)
_ON_THE_BREAK = regex.compile(
    r"left off|(?:where|before) (?:i|it|we) (?:was|stopped|paused|broke)|cut off|cut short|interrup|"
    r"interromp|(?:de )?onde (?:eu )?par(?:ei|ou)|"
    r"(?:rest|continuation|remainder) of (?:my|the) (?:answer|reply|response|message|text)|"
    r"(?:rest(?:o|ante)|continuação) d[ao] (?:minha )?(?:resposta|mensagem|texto)",
    regex.IGNORECASE,
)
_OPENED_FENCE = regex.compile(r"\s*(?:```|~~~)[\w+#.-]+[ \t]*\n")
_FENCE_LINE = regex.compile(r"^[ \t]{0,3}(?:```|~~~)", regex.MULTILINE)
_UNFINISHED_WORD = regex.compile(r"(?<!\w)[^\W\d_]{3,}\Z")
_LEADING_SPACE = regex.compile(r"\s*+")


class Continuation:
    """`feed` it the second reply, then `flush` it; both return the text that follows `said`.

    After that `restarted` says that the reply is a new answer, which cannot be joined, `complete`
    that nothing was missing, and `empty` that there was neither text nor that word.

    >>> joined = Continuation("The refund takes three wor")
    >>> joined.feed("The refund takes "), joined.feed("three working days."), joined.flush()
    ('', 'king days.', '')
    """

    def __init__(self, said: str) -> None:
        self.restarted = False
        self.complete = False
        self._said = said
        self._whole = _squeezed(said)
        self._tail = self._whole[-TAIL:]
        self._in_code = len(_FENCE_LINE.findall(said)) % 2 == 1
        self._opening: str | None = ""  # the start of the reply; None once it is decided
        self._held: list[str] | None = []  # None once the replies are joined
        self._length = 0  # of what is held, without white space
        self._start = ""  # of what is held, without white space, while the tail may have it
        self._may_restart = self._may_repeat = True

    @property
    def empty(self) -> bool:
        """Whether the reply has no text, and does not say that nothing is missing."""
        return not self.complete and not self._length

    def feed(self, text: str) -> str:
        """Return the text that is decided."""
        if self._held is None:
            return "" if self.restarted else text
        if self._opening is not None:
            self._opening += text
            if self._is_undecided(self._opening):
                return ""
            text, self._opening = self._without_opening(self._opening), None
        if not text:
            self._opening = text  # what follows an introduction is decided in the same way
            return ""
        return self._match(text)

    def flush(self) -> str:
        """Return the rest, at the end of the reply."""
        if self._held is None:
            return ""
        if self._opening is not None:
            if self._opening.strip().lower().rstrip(".!") == COMPLETE:
                self.complete = True
                return ""
            text = self._match(self._without_opening(self._opening, ended=True))
            self._opening = None
            if self._held is None:
                return text
        return self._join()

    def _is_undecided(self, text: str) -> bool:
        """Return whether the start may be an introduction, an opened fence, or COMPLETE."""
        start = text.lstrip()
        if not start or COMPLETE.startswith(start.rstrip().lower().rstrip(".!")):
            return len(text) <= MAX_INTRODUCTION
        if self._in_code and _is_partial(_OPENED_FENCE, text):
            return len(text) <= MAX_INTRODUCTION
        if "\n" in start:  # a blank line may follow an introduction
            return start.endswith("\n") and start.count("\n") == 1 and bool(_INTRODUCTION.fullmatch(start[:-1]))
        return len(start) <= MAX_INTRODUCTION and _begins(_INTRODUCTION, start)

    def _without_opening(self, text: str, *, ended: bool = False) -> str:
        line, newline, rest = text.lstrip().partition("\n")
        own_line = (newline or ended) and len(line) <= MAX_INTRODUCTION
        if own_line and _INTRODUCTION.fullmatch(line) and _ON_THE_BREAK.search(line):
            text = rest.removeprefix("\n")
        if self._in_code and (fence := _OPENED_FENCE.match(text)):
            text = text[fence.end() :]
        return text

    def _match(self, text: str) -> str:
        """Hold the text while the whole reply may repeat a part of the first one."""
        if self._held is None:
            raise AssertionError("The replies are joined already.")
        self._held.append(text)
        squeezed = _squeezed(text)
        self._may_restart = self._may_restart and self._whole.startswith(squeezed, self._length)
        self._length += len(squeezed)
        if self._may_repeat:
            self._start += squeezed
            self._may_repeat = self._start in self._tail
        return "" if self._may_restart or self._may_repeat else self._join()

    def _join(self) -> str:
        """Decide what of the held text repeats the first reply, and return the rest."""
        text = "".join(self._held or ())
        self._held = None
        squeezed = _squeezed(text)
        if (repeated := self._repeated(text, squeezed)) == 0:
            if len(squeezed) >= RESTART and self._whole.startswith(squeezed[:RESTART]):
                self.restarted = True
                return ""
            double_space = self._said.endswith(" ") and not self._said.endswith("  ") and text.startswith(" ")
            return text[1:] if double_space and text[1:2].strip() else text
        rest = text[_position(text, repeated) :]
        space = _LEADING_SPACE.match(rest)
        before, after = self._said[len(self._said.rstrip()) :], space[0] if space else ""
        return (after[len(before) :] if after.startswith(before) else "") + rest[len(after) :]

    def _repeated(self, text: str, squeezed: str) -> int:
        """Return how many characters of the reply, without white space, repeat the first one."""
        is_telling = len(self._whole) >= WHOLE_TEXT or self._whole[:1].isupper()
        if is_telling and squeezed.startswith(self._whole):
            return len(self._whole)
        start = squeezed[: len(self._tail)]
        borders = _borders(start)
        length = 0
        for character in self._tail:
            while length and (length == len(start) or start[length] != character):
                length = borders[length - 1]
            length += bool(start) and start[length] == character
        while length >= LONG_OVERLAP:
            if self._is_repetition(start[:length], borders[length - 1]):
                return length
            length = borders[length - 1]
        word = _UNFINISHED_WORD.search(self._said)
        return len(word[0]) if word is not None and text.startswith(word[0]) else 0

    def _is_repetition(self, overlap: str, border: int) -> bool:
        """Return whether an overlap says something, and the text does not repeat it anyway."""
        if len(set(overlap)) < LONG_OVERLAP_CHARACTERS:
            return False
        is_periodic = 2 * (len(overlap) - border) <= len(overlap)
        return not is_periodic and not self._tail.endswith(overlap * 2)


def _squeezed(text: str) -> str:
    """Return the text without white space."""
    return "".join(text.split())


def _position(text: str, count: int) -> int:
    """Return the position behind so many characters that are no white space."""
    for position, character in enumerate(text):
        if count == 0:
            return position
        count -= not character.isspace()
    return len(text)


def _borders(text: str) -> Sequence[int]:
    """Return for each prefix the length of its longest border: a start that is its end, too.

    >>> _borders("abcab")
    [0, 0, 0, 1, 2]
    """
    borders = [0] * len(text)
    length = 0
    for end in range(1, len(text)):
        while length and text[end] != text[length]:
            length = borders[length - 1]
        length += text[end] == text[length]
        borders[end] = length
    return borders


def _is_partial(pattern: regex.Pattern[str], text: str) -> bool:
    """Return whether more text can make the pattern match."""
    found = pattern.match(text, partial=True)
    return found is not None and bool(found.partial)


def _begins(pattern: regex.Pattern[str], text: str) -> bool:
    return pattern.match(text, partial=True) is not None
