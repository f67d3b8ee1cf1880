"""Parses one JSON object as language models write it, into strict JSON, while it arrives.

The output does not depend on how the text is cut. Ambiguous text raises LenientJsonError; the
parser never guesses. Between two tokens the state is `gap`:

    gap --digit, letter--> word --any other--> gap              gap --#--> line --line end--> gap
    gap --/, backslash--> pair --/--> line, --*--> block --*/--> gap, --n, t, r--> gap
    gap --quote--> string --quote of a key--> gap, --backslash--> escape --settled--> string
                   string --quote--> quote --it closes--> gap, --it is inner--> string
                                     quote --odd, comma--> comma_in_doubt --it is inner--> string

and `_wants` maps the characters that may come there to their action:

    row     after           quote   { [   word  ,            :      } ]
    _KEY    { or a comma    key           key                       }
    _COLON  a key                                            _VALUE
    _VALUE  a colon         string  open  word
    _ITEM   [ or a comma    string  open  word                      ]
    _NEXT   a value                             _KEY, _ITEM         the one that is due

A quote closes a string if one of these follows: `:` after a key, `,` `}` after a member, `,` `]`
after an item, a comment after a space. Any other quote is inner. Inner double quotes come in pairs:
after an odd number, a quote that could close is inner before a comma and a word, else an error.

An invalid escape shows that the string's backslashes are characters: see `json_escapes`.
"""

import json
import re
from collections.abc import Callable
from string import ascii_letters, digits

from .json_escapes import StringEscapes
from .strict_json import TOKEN_LIMIT, LenientJsonError, StrictJsonWriter, strict_scalar

__all__ = ["LenientJsonError", "LenientJsonParser"]

MAX_LEVELS = 500  # of lists and objects; clients' own parsers fail for a thousand
KEY_LIMIT = 100

_HEX = "[0-9a-fA-F]"
_HIGH = rf"\\u[dD][89abAB]{_HEX}{{2}}"
_VALID = rf'\\["\\/bfnrt]|\\u(?![dD][89a-fA-F]){_HEX}{{4}}|{_HIGH}\\u[dD][c-fC-F]{_HEX}{{2}}'
_SPECIAL = r'"\\\x00-\x1f\ud800-\udfff'

# Twelve characters decide an escape; `growing` needs more.
_ESCAPE = re.compile(
    rf"(?P<valid>{_VALID})|(?P<apostrophe>\\')"
    rf"|(?P<growing>(?:(?:{_HIGH})?\\(?:u{_HEX}{{0,3}})?|{_HIGH})\Z)"
    rf"|(?P<lone>\\u[dD][89a-fA-F]{_HEX}{{2}})|(?P<broken>\\(?:u{_HEX}{{0,3}})?)"
)

_SPACE = re.compile(r"[\s\ufeff\u200b]+")
_LINE_END = re.compile(r"[\n\r]")
_NAME_END = re.compile(r"[^\w$-]")
_SCALAR_END = re.compile(r"[^\w$.+-]")

# The fast path: most strings are short, and end soon before the next token.
_SHORT = {f: re.compile(rf'"[^{_SPECIAL}]{{0,120}}"(?=\s{{0,80}}[{re.escape(f)}])') for f in (":", ",}", ",]")}

_BEHIND_STRING = frozenset("+;|&=")  # written between strings, and not behind an inner quote
_COMMENTS = frozenset(("#", "//", "/*"))

_CLOSERS = {'"': '"', "'": "'", "“": "”", "„": "“”", "‘": "’"}
# Runs that are copied unchanged; bounded, because the matcher stores each repetition.
_RUNS = {c: re.compile(rf"[^{c}{_SPECIAL}]*(?:(?:{_VALID})[^{c}{_SPECIAL}]*){{0,1000}}") for c in _CLOSERS.values()}
_PLAIN_RUNS = {c: re.compile(rf"[^{c}{_SPECIAL}]*") for c in _RUNS}  # each escape alone, for errors at its place
_WRITTEN = {code: json.dumps(chr(code))[1:-1] for code in (*range(0x20), ord('"'))}
_WRITTEN |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

_Step = Callable[["LenientJsonParser", str, int, int], int]
_Row = dict[str, _Step]


class LenientJsonParser:
    """Parses one object up to its closing brace, without the top-level members named in `drop`.

    With `lists`, it parses one object or list.

    >>> parser = LenientJsonParser()
    >>> parser.feed("{city: 'Recife', hot: True}"), parser.done, parser.take()
    (27, True, '{"city":"Recife","hot":true}')
    """

    def __init__(self, drop: frozenset[str] = frozenset(), *, lists: bool = False) -> None:
        self.done = False
        self._out = StrictJsonWriter(drop)
        self._step: _Step = LenientJsonParser._gap
        self._wants = _START_OR_LIST if lists else _START
        self._due: list[str] = []  # the closing brackets to come
        self._pending = ""  # the start of a word, an escape or a lookahead
        self._closers = self._follow = ""  # what may close the string, and what may follow it
        self._after: list[str] = []  # an undecided quote, and the text after it
        self._inner = 0  # double quotes in the string
        self._empty = False  # the string has no characters so far
        self._doubled = False  # the last inner quote is directly followed by another
        self._key = ""  # of the value, or of the list that it is in, at most about KEY_LIMIT characters
        self._keys: list[str] = []  # those of the open objects and lists
        self._escapes: StringEscapes | None = None  # of the open string; an undecided one is held
        self._start = 0  # where it begins in the output

    def feed(self, text: str, start: int = 0, end: int | None = None) -> int:
        """Parse `text[start:end]`, and return the position after the object's last character.

        Raises LenientJsonError; then only `take` may be called, for what was written before.
        """
        at, end = start, len(text) if end is None else end
        while at < end and not self.done:
            at = self._step(self, text, at, end)
        return at

    def take(self) -> str:
        """Return the strict JSON written since the last call."""
        if self._escapes is None or not self._escapes.undecided:
            return self._out.take(None)
        taken, self._start = self._out.take(self._start), 0
        return taken

    def _gap(self, text: str, at: int, end: int) -> int:
        if move := self._wants.get(text[at]):
            return move(self, text, at, end)
        if self._due and (space := _SPACE.match(text, at, end)):
            return space.end()
        raise LenientJsonError("a character that may not come here")

    def _expect(self, wants: _Row, at: int) -> int:
        self._step, self._wants = LenientJsonParser._gap, wants
        return at

    def _begin(self, piece: str) -> None:
        if self._wants is _KEY:
            self._key = piece
        self._out.begin(piece, top_key=self._wants is _KEY and len(self._due) == 1)

    def _end(self, at: int) -> int:
        if self._wants is _KEY:
            self._out.end_key()
            return self._expect(_COLON, at)
        self._out.end_value(top=len(self._due) == 1)
        return self._expect(_NEXT, at)

    def _open(self, text: str, at: int, _end: int) -> int:
        if len(self._due) == MAX_LEVELS:
            raise LenientJsonError(f"more than {MAX_LEVELS} levels")
        self._begin(text[at])
        self._keys.append(self._key)
        self._due.append("}" if text[at] == "{" else "]")
        return self._expect(_KEY if text[at] == "{" else _ITEM, at + 1)

    def _close(self, text: str, at: int, _end: int) -> int:
        if text[at] != self._due.pop():
            raise LenientJsonError("brackets that do not match")
        self._key = self._keys.pop()
        self._out.write(text[at])
        self.done = not self._due
        return self._end(self._expect(_NEXT, at + 1))

    def _comma(self, _text: str, at: int, _end: int) -> int:
        return self._expect(_KEY if self._due[-1] == "}" else _ITEM, at + 1)

    def _colon(self, _text: str, at: int, _end: int) -> int:
        self._out.write(":")
        return self._expect(_VALUE, at + 1)

    def _pair(self, text: str, at: int, _end: int) -> int:
        pair = self._pending + text[at]
        if pair not in _PAIRS:
            raise LenientJsonError("a slash or a backslash outside a string")
        self._step, self._pending = _PAIRS[pair], pair if len(pair) == 1 else ""
        return at + 1

    def _line(self, text: str, at: int, end: int) -> int:
        self._step = LenientJsonParser._line
        found = _LINE_END.search(text, at, end)
        return self._expect(self._wants, found.end()) if found else end

    def _block(self, text: str, at: int, end: int) -> int:
        if self._pending and text[at] == "/":
            self._pending = ""
            return self._expect(self._wants, at + 1)
        star = text.find("*", at, end)
        self._pending = "*" if star >= 0 else ""
        return star + 1 or end

    def _word(self, text: str, at: int, end: int) -> int:
        self._step = LenientJsonParser._word
        found = (_NAME_END if self._wants is _KEY else _SCALAR_END).search(text, at, end)
        stop = found.start() if found else end
        self._pending += text[at:stop]
        if len(self._pending) > TOKEN_LIMIT:
            raise LenientJsonError("a word or a number without an end")
        if found:
            word, self._pending = self._pending, ""
            self._begin(f'"{word}"' if self._wants is _KEY else strict_scalar(word))
            self._end(stop)
        return stop

    def _open_quote(self, text: str, at: int, end: int) -> int:
        self._follow = ":" if self._wants is _KEY else "," + self._due[-1]
        if short := _SHORT[self._follow].match(text, at, end):
            self._begin(short[0])
            return self._end(short.end())
        self._begin('"')
        self._step, self._closers = LenientJsonParser._string, _CLOSERS[text[at]]
        self._inner, self._empty, self._doubled = 0, True, False
        self._escapes, self._start = StringEscapes(self._key, may_be_path=self._wants is not _KEY), len(self._out.ready)
        return at + 1

    def _string(self, text: str, at: int, end: int) -> int:
        runs = _PLAIN_RUNS if self._escapes is not None and self._escapes.unescaped else _RUNS
        run = runs[self._closers].match(text, at, end)
        if run and run[0]:
            self._empty = False
            self._write_part(run[0], run[0])
            return run.end()
        char = text[at]
        if char in self._closers:
            if char == '"' and self._wants is _KEY:
                self._escapes = None
                self._out.write('"')
                return self._end(at + 1)
            self._step, self._after = LenientJsonParser._quote, [char]
            return at + 1
        self._empty = False
        if char == "\\":
            self._step = LenientJsonParser._escape
            return at
        self._write_part(char, _WRITTEN[ord(char)])
        return at + 1

    def _escape(self, text: str, at: int, end: int) -> int:
        window = self._pending + text[at : min(at + 12, end)]
        found = _ESCAPE.match(window)
        if not found or found.lastgroup == "growing":
            self._pending, read = window, len(window) - len(self._pending)
            return at + read
        kind = found.lastgroup or ""
        written = {"apostrophe": "'", "lone": r"\ufffd", "broken": "\\" + found[0]}.get(kind, found[0])
        self._write_part("'" if kind == "apostrophe" else found[0], written, unescaped=kind == "broken")
        self._pending, read = self._pending[found.end() :], found.end() - len(self._pending)
        self._step = LenientJsonParser._escape if self._pending else LenientJsonParser._string
        return at + max(read, 0)

    def _write_part(self, raw: str, written: str, *, unescaped: bool = False) -> None:
        if self._escapes is not None:
            held = self._escapes.undecided
            try:
                self._escapes.note(raw, unescaped=unescaped)
            except LenientJsonError:
                if held:
                    self._out.replace(self._start, "")
                raise
        if self._wants is _KEY and len(self._key) < KEY_LIMIT:
            self._key += written
        self._out.write(written)

    def _end_string(self) -> None:
        try:
            literal = None if self._escapes is None else self._escapes.literal()
        except LenientJsonError:
            self._out.replace(self._start, "")
            raise
        if literal is not None:
            self._out.replace(self._start, literal)
        self._escapes = None

    def _peek(self, text: str, at: int, end: int) -> tuple[str, int]:
        """Return what follows a quote and white space (empty: undecided), and the position."""
        char = text[at]
        if not self._pending:
            if space := _SPACE.match(text, at, end):
                self._after.append(space[0])
                return "", space.end()
            if char in "\\/":
                self._pending = char
                return "", at + 1
        elif self._pending == "\\" and char in "ntr":
            self._after.append("\\" + char)
            self._pending = ""
            return "", at + 1
        return self._pending + char, at

    def _quote(self, text: str, at: int, end: int) -> int:
        mark, at = self._peek(text, at, end)
        odd = self._inner % 2 == 1
        if not mark:
            return at
        if mark not in self._follow and mark not in _COMMENTS:
            return self._inner_quote(mark, at, odd=odd)
        if odd and mark == ",":
            self._after.append(mark)
            self._step = LenientJsonParser._comma_in_doubt
            return at + 1
        if odd or (mark in _COMMENTS and len(self._after) == 1):
            raise LenientJsonError("a quote that may be inner or closing")
        self._end_string()
        self._out.write('"')
        self._end(at)
        if self._pending:
            self._step = LenientJsonParser._pair
        return at

    def _comma_in_doubt(self, text: str, at: int, end: int) -> int:
        mark, at = self._peek(text, at, end)
        if not mark:
            return at
        if mark in _CLOSERS or mark in _COMMENTS or mark == self._due[-1]:
            raise LenientJsonError("a quote and a comma that may be inner or not")
        return self._keep_quote(at)

    def _inner_quote(self, mark: str, at: int, *, odd: bool) -> int:
        if self._empty or (mark in _BEHIND_STRING and not odd):
            raise LenientJsonError("a quote after the opening one, or a character that may separate two strings")
        opens = mark in _CLOSERS and not odd
        if (opens and len(self._after) > 1) or (self._doubled and (mark.isalnum() or mark in "_$@")):
            raise LenientJsonError("two strings without a comma between them")
        return self._keep_quote(at, doubled=opens)

    def _keep_quote(self, at: int, *, doubled: bool = False) -> int:
        self._step = LenientJsonParser._escape if self._pending == "\\" else LenientJsonParser._string
        if self._pending == "/":
            self._after.append("/")
            self._pending = ""
        after = "".join(self._after)
        self._write_part(after, after.translate(_WRITTEN))
        self._inner, self._doubled = self._inner + (self._closers == '"'), doubled
        return at


_PAIRS: _Row = dict.fromkeys("/\\", LenientJsonParser._pair)
_PAIRS |= {"//": LenientJsonParser._line, "/*": LenientJsonParser._block}
_PAIRS |= dict.fromkeys((r"\n", r"\t", r"\r"), LenientJsonParser._gap)
_START: _Row = {"{": LenientJsonParser._open}
_START_OR_LIST: _Row = dict.fromkeys("{[", LenientJsonParser._open)
_ANYWHERE: _Row = {"#": LenientJsonParser._line, "/": LenientJsonParser._pair, "\\": LenientJsonParser._pair}
_QUOTES: _Row = _ANYWHERE | dict.fromkeys(_CLOSERS, LenientJsonParser._open_quote)
_KEY: _Row = _QUOTES | dict.fromkeys(ascii_letters + "_$", LenientJsonParser._word) | {"}": LenientJsonParser._close}
_COLON: _Row = _ANYWHERE | {":": LenientJsonParser._colon}
_VALUE: _Row = _QUOTES | dict.fromkeys("{[", LenientJsonParser._open)
_VALUE |= dict.fromkeys(ascii_letters + digits + "+-.", LenientJsonParser._word)
_ITEM: _Row = _VALUE | {"]": LenientJsonParser._close}
_NEXT: _Row = _ANYWHERE | {",": LenientJsonParser._comma} | dict.fromkeys("}]", LenientJsonParser._close)
