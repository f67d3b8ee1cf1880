"""The spellings of a tool call that agents use, as patterns, and the reading of a call's name; `tool_calls` walks.

    FUNCTION_CALL_START            or TOOL_CALL_START; lower case, with spaces, decorated: **…**, `…`, […]
    get_weather                    bare, labelled (`name: …`), quoted, `functions.get_weather`, `get_weather()`
    arguments: {"city": "Recife"}  any of several labels, or none; on the same line or a later one; in a code fence
    FUNCTION_CALL_END

All patterns are asked for partial matches, in windows of bounded length. A match ends in a character that decides, and no
further text could make it another one: what is read never depends on how the text was cut.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import regex

from ..lenient_json import LenientJsonError, LenientJsonParser

HEAD_LIMIT = 600

_START = r"(?:FUNCTION|TOOL)[_ ]CALL[_ ]START"
_END = r"(?:(?:FUNCTION|TOOL)[_ ]CALL[_ ]END|END[_ ](?:FUNCTION|TOOL)[_ ]CALL)"
_OPENING = r"[*_`\[<(\#]{0,4}+[ \t]?+"
_CLOSING = r"[*_`\])>]{0,4}+(?=[\s\S])"
_QUOTES = r"[*\"'`]{0,3}+"
_NAME_WORD = r"(?:function|tool)(?:[_ ]?name)?|name|nome|ferramenta|fun[cç][aã]o|action"
_ARGUMENTS_WORD = r"arguments?|argumentos|args|param(?:eter)?s|par[aâ]metros|(?:action[_ ])?input"
_LABELLED = rf"{_QUOTES}(?:{_NAME_WORD}){_QUOTES}[ \t]*+[:=]\s*+"
_ARGUMENTS = rf"{_QUOTES}(?:{_ARGUMENTS_WORD})(?!\w){_QUOTES}[ \t]*+[:=]?+\s*+\**+\s*+"
_ID_WORD = r"(?:tool_)?(?:call_?)?id[ \t]*+[:=]"
_ID = rf"(?:{_ID_WORD}[^\n]{{0,80}}+\n\s*+)?+"
_FENCE = r"(?:```\w*+\s*+)?+"
_NAME = (
    rf"(?!{_ID_WORD})(?:{_LABELLED})?+{_QUOTES}(?P<name>[\w.\-]{{1,128}}+){_QUOTES}"
    r"(?:\((?=\s*+[{)])\s*+\)?+)?+[*`:,]{0,3}+"
)
_STRING = r"\"(?:\s|\\[nrt])*+(?:\{|\"(?=[\s,;}]))"  # of an object, or empty
_VALUE = rf"(?:```\w*+\s*+|`)?+'?+(?:(?P<object>(?=\{{))|(?P<string>(?={_STRING}))|(?P<null>(?:null|none)(?=\W)))"

# Not VERSION1: with its full case-folding "ﬅ" would be two letters of START.
_FLAGS = regex.IGNORECASE

MARKER = regex.compile(rf"{_OPENING}{_START}", _FLAGS)
FENCED_MARKER = regex.compile(rf"```[^\n`]{{0,40}}+\n\s{{0,80}}+{_OPENING}{_START}", _FLAGS)
END = regex.compile(rf"{_OPENING}/?+{_END}{_CLOSING}", _FLAGS)
END_AHEAD = regex.compile(rf"{_OPENING}/?+{_END}", _FLAGS)
# Where the arguments cannot be read, an end marker between quotes is taken for one inside a string.
_QUOTE = r"[\"'\\]"
END_OR_MARKER = regex.compile(
    rf"(?P<end>(?<!{_QUOTE}){_OPENING}/?+{_END}{_CLOSING}(?!{_QUOTE}))|(?<=\n){_OPENING}{_START}(?=[\s\S])", _FLAGS
)

# What may stand between the start marker and the arguments.
HEAD = regex.compile(
    rf"[*_`\])>:]{{0,4}}+(?!\w)\s*+{_ID}{_FENCE}\[?+\s*+"
    rf"(?:(?P<wrapper>(?=\{{))|{_NAME}\s*+{_ID}(?:{_ARGUMENTS})?+(?:{_VALUE}|(?P<bare>(?={END_AHEAD.pattern}|{_OPENING}{_START}))))",
    _FLAGS,
)
# A further call in the same block: the name alone on its line, then arguments; or both on one line, labelled.
GROUP = regex.compile(
    rf"(?:(?P<wrapper>(?=\{{))"
    rf"|{_NAME}(?:[ \t]*+\r?+\n\s*+(?:(?P<label>){_ARGUMENTS}{_VALUE}|{_FENCE}(?P<object>(?=\{{)))"
    rf"|[ \t]++(?P<label>){_ARGUMENTS}(?P<object>(?=\{{))))",
    _FLAGS,
)
# What an agent leaves behind the object: right behind it, and behind white space, where it could also be text.
TRAILING_NOISE = regex.compile(r"[}\]),;'\"]++|[*`]{1,3}+(?=[^*`])|<\|[^|>\n]{0,40}+\|>")
LOOSE_LITTER = regex.compile(r"[}\]),;]++|```(?=\s)|<\|[^|>\n]{0,40}+\|>")

# Agents go on after a call as if it had been answered; what such a label opens is invented. "Observação:" is not among
# them: in Portuguese it opens an ordinary note.
_TAIL = (
    r"(?:[ \t]++(?:of|from|for|by|d[aeo]s?|para|id|name)\b[^\n:\]]{0,120}+"
    r"|[ \t]*+\#?+\d{1,3}+|[ \t]*+\([^\n)]{0,80}+\))?+[*_`]{0,3}+[ \t]*+"
)
FABRICATED_RESULT = regex.compile(
    r"[*_\#>\-\[ ]{0,6}+(?:"
    rf"(?:tool|function)[ _](?:call[ _])?(?:results?|outputs?|responses?)\b{_TAIL}[:\]\n]"
    rf"|(?:results?|outputs?|responses?|observations?|resultados?|sa[ií]da|retorno)\b{_TAIL}[:\]]"
    r"|resposta[ \t]++d[ae]\b[^\n:\]]{0,60}+[:\]]"
    r"|(?:user|human|usu[aá]rio|tool|ferramenta)\]?+\**+[ \t]*+[:\n]"
    r"|(?:FUNCTION|TOOL)_(?:CALL_)?(?:RESULT|RESPONSE|OUTPUT)"
    r"|</?+(?:tool|function)[_-](?:call[_-])?(?:results?|responses?|outputs?)>"
    r"|<(?:results?|observation|output)>)",
    _FLAGS,
)

CODE_FENCE = regex.compile(r"(?:`{3,40}+|~{3,40}+)(?=[^`~])")
THINK = regex.compile(r"<think(?:ing)?>", _FLAGS)
THOUGHT = regex.compile(r"</think(?:ing)?>", _FLAGS)
REST_OF_MARKER_LINE = regex.compile(r"[*_`\])>:]{0,4}+[ \t]{0,80}+\r?+\n")
REST_OF_LINE = regex.compile(r"[ \t]{0,80}+\r?+\n")

_LEGAL_NAME = regex.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_NO_NAME = regex.compile(rf"{_NAME_WORD}|{_ARGUMENTS_WORD}|{_START}|{_END}|id|null|none", _FLAGS)
_PREFIX = regex.compile(r"(?:functions?|tools?|default_api)\.")
_NAME_KEYS = ("function_name", "tool_name", "name", "tool", "function", "nome")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "argumentos")
_CALL_KEYS = frozenset({*_NAME_KEYS, *_ARGUMENT_KEYS, "type", "id", "call_id", "tool_call_id", "index"})


def first(
    patterns: Iterable[regex.Pattern[str]], text: str, at: int, end: int, *, ended: bool
) -> tuple[regex.Match[str] | None, bool]:
    """Return the match of the first pattern that matches at `at`, looking no further than `end`.

    The second value tells that nothing is certain before more text has come; that happens only where the text stops
    short of `end` and the reply has not `ended`.
    """
    open_end = not ended and len(text) < end
    for pattern in patterns:
        found = pattern.match(text, at, end, partial=True)
        if found is not None and not found.partial:
            return found, False
        if found is not None and open_end:
            return None, True
    return None, False


class DeclaredTools:
    """The tools that the request declares: their names, and which of an agent platform's extra arguments they want."""

    # Agents with portal tools add these to the arguments (contract, section 8).
    EXTRAS = frozenset({"step_id", "tool_execution_id"})

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        folded: dict[str, list[str]] = {}
        for name in schemas:
            folded.setdefault(_folded(name), []).append(name)
        self._folded = {key: names[0] for key, names in folded.items() if key and len(names) == 1}

    def resolve(self, written: str, *, unknown: bool = True) -> str | None:
        """Tell which tool is meant; an `unknown` name is passed on when it could be one, for the client to answer."""
        if written in self._schemas:
            return written
        name = _PREFIX.sub("", written, count=1).rstrip(".")
        known = name if name in self._schemas else self._folded.get(_folded(name))
        return known or (name if unknown and _LEGAL_NAME.fullmatch(name) and not _NO_NAME.fullmatch(name) else None)

    def extras(self, name: str) -> frozenset[str]:
        """Name the top-level arguments to leave out: the platform's, unless the tool's schema declares them."""
        declared = self._schemas.get(name, {}).get("properties")
        return self.EXTRAS - frozenset(declared if isinstance(declared, Mapping) else ())


def _folded(name: str) -> str:
    """Drop what agents change in a name: accents, case, and what parts its words."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return regex.sub(r"[-_. ]+", "", plain)


def strict_arguments(text: str, drop: Iterable[str]) -> str:
    """Return the one JSON object that `text` is, an empty one for no text, as strict JSON; raises LenientJsonError."""
    stripped = text.strip()
    if not stripped:
        return "{}"
    reader = LenientJsonParser(frozenset(drop))
    end = reader.feed(stripped)
    if not reader.done or stripped[end:]:
        raise LenientJsonError("not exactly one object")
    return reader.take()


def unquote(text: str) -> str:
    """Return what a JSON string stands for; raises LenientJsonError where it is none."""
    try:
        value = json.loads(text, strict=False)
    except ValueError as error:
        raise LenientJsonError("no string") from error
    return str(value)


def unwrap(strict: str) -> tuple[str, str]:
    """Return the name and the arguments that a JSON object of a whole call names; raises LenientJsonError if it does not."""
    try:
        members = _members(strict)
        function = members.get("function")
        if function is not None and isinstance(function[0], dict):  # {"type": "function", "function": {"name": …, …}}
            members = _members(function[1])
    except RecursionError as error:
        raise LenientJsonError("nested too deep for the name of a call") from error
    name = next((members[key][0] for key in _NAME_KEYS if key in members), None)
    value, raw = next((members[key] for key in _ARGUMENT_KEYS if key in members), (None, "{}"))
    if not isinstance(name, str) or not (value is None or isinstance(value, str | dict)):
        raise LenientJsonError("no call")
    if raw == "{}" and not members.keys() <= _CALL_KEYS:
        raise LenientJsonError("members that are neither of the call nor of its arguments")
    return name, value if isinstance(value, str) else "{}" if value is None else raw


def _members(strict: str) -> dict[str, tuple[Any, str]]:
    """Split a compact strict JSON object into its members, each as value and as written: numbers keep their digits."""
    decoder = json.JSONDecoder(parse_int=float)
    members: dict[str, tuple[Any, str]] = {}
    at = 1
    while strict[at] != "}":
        key, at = decoder.raw_decode(strict, at)
        start = at + 1
        value, at = decoder.raw_decode(strict, start)
        members[key] = (value, strict[start:at])
        at += strict[at] == ","
    return members
