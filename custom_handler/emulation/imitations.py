"""Neutralises text that imitates the prompt's labels and tool call blocks, and undoes that again.

    request ──neutralised──▶ prompt: «^user»   FUNCTION^_CALL_START
    answer  ◀──Restorer───── reply:  «^user»   FUNCTION^_CALL_START

A caret behind the first word is added where text would begin a turn, a section or a block. It is
added, too, where such a caret stands already, so that the removal of one is exact. Only what
the request contains is restored: an answer to another request keeps its carets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from functools import cache
from typing import TYPE_CHECKING

from ..events import ParsedPart, ToolCallArguments
from .labels import OPEN, WORDS

if TYPE_CHECKING:
    import regex

MAX_CARETS = 15  # that the client's own text may have; longer runs are left as they are

_BREAK = r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
_BLANK = r"[^\S\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
_INVISIBLE = r"\u200b-\u200f\u2060\ufeff"
_LINE = rf"(?:{_BREAK}|\A)(?:{_BLANK}|[{_INVISIBLE}])*+"
_DECORATED_LINE = rf"(?:{_BREAK}|\A)(?:{_BLANK}|[{_INVISIBLE}*_`\[<(\#>/-])*+"  # as the parser accepts it
_WORDS = rf"(?:{'|'.join(WORDS)})(?!\w)"
_CALL = r"\\{0,2}+[_ ]CALL"
_MARKER = rf"{_CALL}(?:S?+\\{{0,2}}+[_ ](?:START|BEGIN|END)(?!\w)|S?+[*_`\])>:.]{{0,4}}+[ \t]*+(?={_BREAK}|\Z))"
_OWN_CARETS = rf"\^{{1,{MAX_CARETS}}}+"

_LABEL = rf"(?P<opener>{OPEN})(?:{_OWN_CARETS}|(?<={_LINE}{OPEN}))(?=(?P<rest>{_WORDS}))"
_BLOCK = (
    rf"(?P<opener>FUNCTION|TOOL)(?:{_OWN_CARETS}|(?<={_DECORATED_LINE}(?:FUNCTION|TOOL))(?={_MARKER})"
    rf"|(?=_CALL_START[ \t]*+(?:{_BREAK}|\Z)))(?=(?P<rest>{_CALL}))"
)
_IMITATION = {False: _LABEL, True: f"{_LABEL}|{_BLOCK}"}
_IN_A_MARKER = ("function_call", "tool_call", "function call", "tool call", "^_call", "^ call", "\\_call", "\\ call")

# JSON strings may have the bracket as an escape, and double a backslash.
_OPENER = rf"(?:{OPEN}|\\u00ab|FUNCTION|TOOL)"
_NEUTRAL = rf"(?<=(?P<opener>{_OPENER}))\^{{1,{MAX_CARETS + 1}}}+(?P<rest>{_WORDS}|{_CALL})"
LONGEST_OPENER = len("FUNCTION")
_LINE_ENDS_IN_JSON = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}


def neutralised(text: str, *, blocks: bool = True) -> str:
    r"""Return the text with a caret in each imitation of a label, and with `blocks` of a block.

    >>> neutralised("[user]\n«user»\nsee FUNCTION_CALL_START, and\nFUNCTION_CALL_START\n")
    '[user]\n«^user»\nsee FUNCTION_CALL_START, and\nFUNCTION^_CALL_START\n'
    """
    return _compiled(_IMITATION[blocks]).sub(r"\g<0>^", text) if _may_imitate(text) else text


def imitations(text: str, *, blocks: bool = True) -> Set[str]:
    """Return the spellings of what `neutralised` changes, without carets."""
    return (
        {_spelling(found) for found in _compiled(_IMITATION[blocks]).finditer(text)}
        if _may_imitate(text)
        else frozenset()
    )


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern, once: few texts need one, and importing `regex` takes 8 ms."""
    import regex  # noqa: PLC0415

    return regex.compile(pattern, regex.IGNORECASE)


def _may_imitate(text: str) -> bool:
    """Return whether the slow pattern has to be tried."""
    if OPEN in text:
        return True
    lower = text.lower()
    return any(word in lower for word in _IN_A_MARKER)


def one_line(json_text: str) -> str:
    """Escape in JSON the characters that some programs show as the end of a line."""
    return json_text.translate(_LINE_ENDS_IN_JSON)


def _spelling(found: regex.Match[str]) -> str:
    opener = found["opener"]
    return f"{OPEN if opener.startswith(chr(92)) else opener}{found['rest']}".replace("\\", "")


class Restorer:
    """Removes from an agent's text the carets that the prompt added; `feed` and `flush`.

    `originals` returns the spellings that the prompt neutralised; it is called only if needed.
    Text is `held` only from a caret on, behind a word that can need one; `before` is the end of
    the text that was returned.

    >>> restorer = Restorer(lambda: {"«user"})
    >>> restorer.feed("a «"), restorer.feed("^us"), restorer.feed("er» b"), restorer.flush()
    ('a «', '', 'user» b', '')
    """

    def __init__(self, originals: Callable[[], Set[str]]) -> None:
        self._originals = originals
        self.before = ""
        self.held = ""

    def feed(self, text: str) -> str:
        """Read on, and return the text that is decided."""
        if not self.held and "^" not in text:
            self.before = (self.before + text)[-LONGEST_OPENER:]
            return text
        return self._restore(self.held + text, ended=False)

    def flush(self) -> str:
        """Return the rest as the end of the text, and start anew."""
        rest = self._restore(self.held, ended=True) if self.held else ""
        self.before = self.held = ""
        return rest

    def _restore(self, unread: str, *, ended: bool) -> str:
        text, start = self.before + unread, len(self.before)
        pieces = []
        while (found := _compiled(_NEUTRAL).search(text, start, partial=not ended)) is not None and not found.partial:
            kept = found.start() + (_spelling(found) in self._originals())
            pieces += [text[start : found.start()], text[kept : found.end()]]
            start = found.end()
        end = len(text) if found is None else found.start()
        pieces.append(text[start:end])
        self.held = text[end:]
        self.before = text[max(0, end - LONGEST_OPENER) : end]
        return "".join(pieces)


class PartRestorer:
    """Restores the parts of an answer: its text, and the arguments of its calls."""

    def __init__(self, originals: Callable[[], Set[str]]) -> None:
        self._originals = cache(originals)
        self._restorer = Restorer(self._originals)

    def feed(self, parts: Iterable[ParsedPart]) -> list[ParsedPart]:
        """Return the parts, as far as they are decided."""
        restored: list[ParsedPart] = []
        restorer = self._restorer
        for part in parts:
            if isinstance(part, str):
                if restorer.held or "^" in part:
                    restored.append(restorer.feed(part))
                else:  # as `feed` does it, without a call for each delta
                    restorer.before = (restorer.before + part)[-LONGEST_OPENER:]
                    restored.append(part)
            elif isinstance(part, ToolCallArguments):
                restored.append(ToolCallArguments(part.index, self.whole(part.arguments)))
            else:
                restored += [*self.flush(), part]
        return restored

    def flush(self) -> list[ParsedPart]:
        """Return the rest as the end of the text."""
        rest = self._restorer.flush()
        return [rest] if rest else []

    def whole(self, text: str) -> str:
        """Return a text that is complete."""
        if "^" not in text:
            return text
        restorer = Restorer(self._originals)
        return restorer.feed(text) + restorer.flush()
