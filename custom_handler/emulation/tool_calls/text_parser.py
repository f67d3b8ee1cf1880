"""Parses an agent's text by lines while it arrives: text, code fences, thoughts, chat labels.

Each state reads from the unread text and returns whether it made progress; undecided text stays
unread. No decision depends on how the text is cut. O(n): some hundred characters stay unread.

    line start ──text──▶ line ──newline──▶ line start       other text is returned at once
        │ ``` ──▶ info ──newline──▶ line start (in code)
        │ <think> ──▶ thought ──</think>──▶ line start
        └ another turn, or an end token: closed             (`labels`)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import regex

from ...events import ParsedPart
from ..labels import OPEN
from . import labels

SLICE = 4096  # longer pieces are read in slices: each read copies the rest of the slice
WINDOW = 600  # characters that may decide what a line starts

_LOOKBEHIND = 3  # characters before a marker that decide whether it is one
_GAP = regex.compile(r"[\s\ufeff\u200b]*+")
_INFO_END = regex.compile(r"[\n`]")
_CODE_FENCE = regex.compile(r"(?:`{3,40}+|~{3,40}+)(?=[^`~])")
_THOUGHTS = r"(?:think(?:ing)?|thoughts?|scratch_?pad|reasoning|reflection|inner_monologue)"
_THINK = regex.compile(rf"<{_THOUGHTS}>", regex.IGNORECASE)
AT_LINE_START = (_CODE_FENCE, _THINK)
THOUGHT = regex.compile(rf"</{_THOUGHTS}>", regex.IGNORECASE)
_NEWLINE = regex.compile(r"\n")
_TAIL = 200
_LABELS = f"[<{OPEN}"
_OPENINGS = f"{_LABELS}`~"

# Most lines cannot start anything: text is searched only for lines with these first characters.
_LINE_STARTING_WITH = r"\n(?=[ \t]{0,80}+(?:[\s\ufeff\u200b"
_STOP_IN_CODE = regex.compile(rf"{_LINE_STARTING_WITH}`~]))")
# Where prose can end: a line's end, a tag, a marker, or the start of a sentence.
_PLACE = re.compile(r"\n[ \t\r\n]*+|<|\[(?=[Tt]|\Z)|F(?=U|\Z)|T(?=O|\Z)|[.!:] ")
_SENTENCE_ENDS, _SENTENCE_JOINTS = frozenset(".!:"), frozenset((". ", "! ", ": "))


def stop_pattern(characters: str, in_line: str = "") -> regex.Pattern[str]:
    """Return the pattern that ends a piece of prose: a line with such a start, or `in_line`."""
    within = f"{labels.END_TOKEN_IN_LINE.pattern}{in_line and '|'}{in_line}"
    return regex.compile(rf"{_LINE_STARTING_WITH}`~<\[{OPEN}{characters}]))|(?i:{within})")


_STOP = stop_pattern("")


def search_stop(
    pattern: regex.Pattern[str],
    text: str,
    at: int,
    is_plain: Callable[[str, int], bool],
    is_plain_sentence: Callable[[str, int], bool],
) -> regex.Match[str] | None:
    """Return what `search` with a pattern of `stop_pattern` finds from `at` on, in less time.

    As there, a partial match counts only if there is no other. A plain line is no stop, unless it
    is a quotation: what stops other lines does not stop it.
    """
    partial = None
    previous = text[max(at - 2, 0) : at]
    before = 2 if previous in _SENTENCE_JOINTS else int(previous[-1:] in _SENTENCE_ENDS)
    for place in _PLACE.finditer(text, at - before):
        start, end = place.span()
        kind = text[start]
        if kind == "\n":
            if text[end : end + 1] != ">" and is_plain(text, end):
                continue
        elif kind in _SENTENCE_ENDS:
            start = end
            if is_plain_sentence(text, start):
                continue
        if (found := pattern.match(text, start, partial=True)) is None:
            continue
        if not found.partial:
            return found
        partial = partial or found
    return partial


def first(
    patterns: Sequence[regex.Pattern[str]], text: str, at: int, end: int, *, ended: bool
) -> tuple[regex.Match[str] | None, bool]:
    """Return the match of the first pattern that matches at `at`, in the window up to `end`.

    The second value is whether the result is undecided: a pattern matches partially, the text ends
    before `end`, and the reply has not `ended`.
    """
    open_end = not ended and len(text) < end
    for pattern in patterns:
        found = pattern.match(text, at, end, partial=True)
        if found is not None and not found.partial:
            return found, False
        if found is not None and open_end:
            return None, True
    return None, False


class TextParser:
    """Returns an agent's text without chat labels; it is `closed` after the end of the turn.

    >>> parser = TextParser()
    >>> parser.feed("[assistant]\\nHello.<|im_end|>\\n") + parser.flush(), parser.closed
    (['Hello.'], True)
    """

    def __init__(self) -> None:
        self.calls = 0
        self.closed = False
        self._unread = ""
        self._at = 0
        self._ended = False
        self._state: Callable[[], bool] = self._line_start
        self._out: list[ParsedPart] = []
        self._content: list[str] = []
        self._gap: list[str] = []  # what belongs to the text after it: white space, stray markers
        self._has_content = False
        self._labelled = False  # a label was removed at the start
        self._code = ""  # the opening fence of the code
        self._quotation = False
        self._tail = ""  # the last characters of the content
        # Whether a line, and a sentence within a line, is known to be text by its first characters.
        self._is_plain: Callable[[str, int], bool] = lambda *_: False
        self._is_plain_sentence: Callable[[str, int], bool] = lambda *_: True
        self._in_plain_line = False  # the text so far is returned, and the line goes on

    @property
    def in_call(self) -> bool:
        """Whether the text may end within a call."""
        return False

    def feed(self, piece: str) -> list[ParsedPart]:
        """Read on, and return the parts that are decided."""
        within = self._in_plain_line and self._at == len(self._unread)
        if within and piece and _PLACE.search(self._tail[-2:] + piece) is None:
            self._tail = (self._tail + piece)[-_TAIL:]
            self._unread = self._tail[-_LOOKBEHIND:]
            self._at = len(self._unread)
            return [piece]
        if self.closed:
            return []
        for start in range(0, len(piece), SLICE):
            before = max(self._at - _LOOKBEHIND, 0)
            self._unread = self._unread[before:] + piece[start : start + SLICE]
            self._at -= before
            while not self.closed and self._at < len(self._unread) and self._state():
                pass
        return self._take()

    def flush(self) -> list[ParsedPart]:
        """Read the rest as the end of the reply, and return its parts."""
        self._ended = True
        while not self.closed and self._state():
            pass
        return self._take()

    def _take(self) -> list[ParsedPart]:
        self._in_plain_line = self._has_content and not self._gap and self._state == self._line
        self._add([])
        parts, self._out = self._out, []
        return parts

    def _add(self, parts: Sequence[ParsedPart]) -> None:
        if self._content:
            self._out.append("".join(self._content))
            self._content.clear()
        self._out += parts

    def _line_start(self) -> bool:
        """Decide by its first characters what a line is; hold the white space before it."""
        text = self._unread
        if (gap := _GAP.match(text, self._at)) is not None and gap[0]:
            self._gap.append(gap[0])
            self._at = gap.end()
        if self._at == len(text):
            if self._ended:
                self._end_gap()
            return False
        opening = self._code_or_thought((_CODE_FENCE,)) if self._code else self._opening()
        if opening is False:
            self._quotation = text[self._at] == ">"
            self._state = self._line
        return opening is not None

    @property
    def _at_start(self) -> bool:
        return not self._has_content and not self.calls

    def _opening(self) -> bool | None:
        """Open what starts at the position; False for plain text, None while undecided."""
        if self._unread[self._at] not in _OPENINGS and not self._at_start:
            return False
        label = self._label()
        return self._code_or_thought((_CODE_FENCE, _THINK)) if label is False else label

    def _code_or_thought(self, patterns: Sequence[regex.Pattern[str]]) -> bool | None:
        found, undecided = first(patterns, self._unread, self._at, self._at + WINDOW, ended=self._ended)
        if found is None:
            return None if undecided else False
        if found.re is _THINK:
            self._state = self._thought
        else:
            self._open_code(found)
        return True

    def _label(self) -> bool | None:
        """Drop the label of the agent's turn, and stop at another turn or an end token."""
        text, at = self._unread, self._at
        if self._at_start:
            after = labels.own_label(text, at, ended=self._ended)
            if after is None:
                return None
            if after != at:
                self._labelled, self._at = True, after
                return True
        if text[at] not in _LABELS:
            return False
        if self._at_start:
            return self._end_token(glued=False)
        if turn := labels.starts_turn(text, at, ended=self._ended):
            self.closed = True
            return True
        return None if turn is None else self._end_token(glued=False)

    def _end_token(self, *, glued: bool) -> bool | None:
        ends = labels.ends_turn(self._unread, self._at, glued=glued, ended=self._ended)
        if ends:
            self.closed = True
        return ends

    def _line(self) -> bool:
        """Return the text up to the end of the line, or to what ends it earlier."""
        found = self._search_stop()
        newline = found is not None and self._unread.startswith("\n", found.start())
        if found is None or (found.partial and self._ended and not newline):
            self._text_to(len(self._unread))
            return False
        if found.start() > self._at:
            self._text_to(found.start())
        if found.partial and not self._ended:
            return False
        if newline:
            self._state = self._line_start
            return True
        return self._within_line(found)

    def _search_stop(self) -> regex.Match[str] | None:
        if self._quotation:
            return _NEWLINE.search(self._unread, self._at, partial=True)
        if self._code:
            return _STOP_IN_CODE.search(self._unread, self._at, partial=True)
        return search_stop(self._stop_in_prose(), self._unread, self._at, self._is_plain, self._is_plain_sentence)

    def _stop_in_prose(self) -> regex.Pattern[str]:
        return _STOP

    def _within_line(self, found: regex.Match[str]) -> bool:
        """Stop at an end token in a line, or return it as text."""
        if found[0].lower() == "</s>" and "<s>" in self._tail.rpartition("\n")[2]:  # HTML
            self._text_to(found.end())
            return True
        before = self._unread[max(self._at - 1, 0) : self._at]
        ends = self._end_token(glued=bool(before) and not before.isspace())
        if ends is False:
            self._text_to(found.end())
        return ends is not None

    def _text_to(self, end: int) -> None:
        self._add_text(self._unread[self._at : end])
        self._at = end

    def _end_gap(self) -> None:
        """Return white space at the end of the reply."""
        if not self.calls:
            self._add_text("")

    def _add_text(self, text: str) -> None:
        gap = "".join(self._gap) if self._has_content or not (self.calls or self._labelled) else ""
        if gap or text:
            self._gap.clear()
            self._has_content = True
            self._content.append(gap + text)
            self._tail = (self._tail + gap + text)[-_TAIL:]

    def _open_code(self, found: regex.Match[str]) -> None:
        """Start or end code; the closing fence is as long as the opening one, and has no label."""
        next_character = self._unread[found.end()]
        self._text_to(found.end())
        if not self._code:
            self._code = found[0]
            self._state = self._info
            return
        if found[0].startswith(self._code) and not next_character.isalnum():
            self._code = ""
        self._quotation = True
        self._state = self._line

    def _info(self) -> bool:
        """Read the rest of an opening fence's line; another backtick makes it inline code."""
        found = _INFO_END.search(self._unread, self._at)
        self._text_to(len(self._unread) if found is None else found.start())
        if found is None:
            return False
        if found[0] == "`" and self._code.startswith("`"):
            self._code, self._quotation, self._state = "", False, self._line
        elif found[0] == "`":
            self._text_to(found.end())
        else:
            self._state = self._line_start
        return True

    def _thought(self) -> bool:
        found = self._thought_stop().search(self._unread, self._at, partial=True)
        if found is None or (found.partial and self._ended):
            self._text_to(len(self._unread))
            return False
        self._text_to(found.start() if found.partial else found.end())
        if not found.partial:
            self._end_thought(found[0])
        return not found.partial

    def _thought_stop(self) -> regex.Pattern[str]:
        return THOUGHT

    def _end_thought(self, end: str) -> None:
        """Go on behind `end`, what ended a thought."""
        self._state = self._thought if end == "\n" else self._line_start
