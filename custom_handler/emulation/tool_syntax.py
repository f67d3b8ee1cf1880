"""The spellings of a tool call that agents use, as patterns, and the reading of a call's name; `tool_calls` does the walking.

    FUNCTION_CALL_START            or TOOL_CALL_START; lower case, with spaces, decorated: **…**, `…`, […]
    get_weather                    bare, labelled (`name: …`), quoted, `functions.get_weather`, `get_weather()`
    arguments: {"city": "Recife"}  any of several labels, or none; on the same line or a later one; in a code fence
    FUNCTION_CALL_END

All patterns are asked for partial matches, so each ends in a character that decides: what is read never depends on how the
text was cut.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import regex

from .lenient_json import JsonFault, LenientObject

_START = r"(?:FUNCTION|TOOL)[_ ]CALL[_ ]START"
_END = r"(?:(?:FUNCTION|TOOL)[_ ]CALL[_ ]END|END[_ ](?:FUNCTION|TOOL)[_ ]CALL)"
_OPENING = r"[*_`\[<(\#]{0,4}+[ \t]?+"
_QUOTES = r"[*\"'`]{0,3}+"
_LABELLED = (
    rf"{_QUOTES}(?:function[_ ]?name|tool[_ ]?name|name|tool|function|nome|ferramenta){_QUOTES}[ \t]*+[:=][ \t]*+"
)
_ARGUMENTS = (
    rf"{_QUOTES}(?:arguments?|argumentos|args|param(?:eter)?s|par[aâ]metros|input){_QUOTES}[ \t]*+[:=]\s*+\**+\s*+"
)
_FENCE = r"(?:```\w*+\s*+)?+"
_NAME = rf"(?:{_LABELLED})?{_QUOTES}(?P<name>[\w.\-]{{1,128}}+){_QUOTES}(?:\(\))?+[*`:,]{{0,3}}+"
_VALUE = rf"{_FENCE}(?:(?P<object>(?=\{{))|(?P<string>(?=\"))|(?P<null>null(?=\W)))"
_FLAGS = regex.IGNORECASE | regex.VERSION1

MARKER = regex.compile(rf"{_OPENING}{_START}", _FLAGS)
FENCED_MARKER = regex.compile(rf"```[^\n`]{{0,40}}+\n\s{{0,80}}+{_OPENING}{_START}", _FLAGS)
END = regex.compile(rf"{_OPENING}/?+{_END}", _FLAGS)
DECORATION = regex.compile(r"[*_`\])>]*+[ \t]*+")

# What may stand between the start marker and the arguments.
HEAD = regex.compile(
    rf"[*_`\])>:]{{0,4}}+(?!\w)\s*+(?:(?:call_?|tool_call_)?id[ \t]*+[:=][^\n]{{0,80}}+\n\s*+)?+{_FENCE}\[?+\s*+"
    rf"(?:(?P<wrapper>(?=\{{))|{_NAME}(?:\s*+(?:{_ARGUMENTS})?+{_VALUE}|\s*+(?:{_ARGUMENTS})?+(?P<bare>(?={_OPENING}/?+{_END}))))",
    _FLAGS,
)
# A further call in the same block: the name alone on its line, then arguments.
GROUP = regex.compile(
    rf"(?:(?P<wrapper>(?=\{{))|{_NAME}[ \t]*+\r?+\n\s*+(?:{_ARGUMENTS}{_VALUE}|{_FENCE}(?P<object>(?=\{{))))", _FLAGS
)
# What an agent leaves behind the object: a brace or bracket too many, a fence, a special token.
LITTER = regex.compile(r"(?:[\s}\])`*,;]|<\|[^|>\n]{0,40}+\|>)++", _FLAGS)

# Agents go on after a call as if it had been answered; what such a label opens is invented.
INVENTED = regex.compile(
    r"[*_\#>\-\[ ]{0,6}+(?:"
    r"(?:(?:tool|function)[ _](?:call[ _])?)?(?:results?|outputs?|responses?|observation)\b[^\n:\]]{0,60}+[:\]]"
    r"|(?:resultados?|observa[cç][aã]o|sa[ií]da|resposta d[ae])\b[^\n:\]]{0,60}+[:\]]"
    r"|(?:user|human|usu[aá]rio)\]?+\**+[:\n]"
    r"|FUNCTION_RESULT|TOOL_RESULT)",
    _FLAGS,
)

_LEGAL_NAME = regex.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_LABEL = regex.compile(r"arguments?|argumentos|args|parameters|params|input|id", _FLAGS)
_NAME_KEYS = ("function_name", "tool_name", "name", "tool", "function")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "argumentos")


class DeclaredTools:
    """The tools that the request declares: their names, and which of an agent platform's extra arguments they want."""

    # Agents with portal tools add these to the arguments (contract, section 8).
    EXTRAS = frozenset({"step_id", "tool_execution_id"})

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        folded: dict[str, list[str]] = {}
        for name in schemas:
            folded.setdefault(_folded(name), []).append(name)
        self._folded = {key: names[0] for key, names in folded.items() if len(names) == 1}

    def resolve(self, written: str, *, unknown: bool = True) -> str | None:
        """Tell which tool is meant; an `unknown` name is passed on when it could be one, for the client to answer."""
        if written in self._schemas:
            return written
        name = written.removeprefix("functions.").removeprefix("tools.").rstrip(".")
        known = name if name in self._schemas else self._folded.get(_folded(name))
        return known or (name if unknown and _LEGAL_NAME.fullmatch(name) and not _LABEL.fullmatch(name) else None)

    def extras(self, name: str) -> frozenset[str]:
        """Name the top-level arguments to leave out: the platform's, unless the tool's schema declares them."""
        declared = self._schemas.get(name, {}).get("properties")
        return self.EXTRAS - frozenset(declared if isinstance(declared, Mapping) else ())


def _folded(name: str) -> str:
    """Drop what agents change in a name: accents, case, and the kind of dash."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return regex.sub(r"[-_. ]+", "_", plain)


def strict_arguments(text: str, drop: Iterable[str]) -> str:
    """Return the one JSON object that `text` is, as strict JSON; raises JsonFault where it is none, or more than one."""
    reader = LenientObject(frozenset(drop))
    stripped = text.strip()
    end = reader.feed(stripped)
    if not reader.done or stripped[end:]:
        raise JsonFault("not exactly one object")
    return reader.take()


def unquote(text: str) -> str:
    """Return what a JSON string stands for; raises JsonFault where it is none."""
    try:
        value = json.loads(text, strict=False)
    except ValueError as error:
        raise JsonFault("no string") from error
    return str(value)


def unwrap(strict: str) -> tuple[str, str]:
    """Return the name and the arguments that a JSON object of a whole call names; raises JsonFault where it names none."""
    members = _members(strict)
    if isinstance(
        members.get("function", ("",))[0], dict
    ):  # {"type": "function", "function": {"name": …, "arguments": …}}
        members = _members(members["function"][1])
    name = next((members[key][0] for key in _NAME_KEYS if key in members), None)
    value, raw = next((members[key] for key in _ARGUMENT_KEYS if key in members), (None, "{}"))
    if not isinstance(name, str) or not (value is None or isinstance(value, str | dict)):
        raise JsonFault("no call")
    return name, value if isinstance(value, str) else "{}" if value is None else raw


def _members(strict: str) -> dict[str, tuple[Any, str]]:
    """Split a compact strict JSON object into its members, each as value and as written: numbers keep their digits."""
    decoder = json.JSONDecoder()
    members: dict[str, tuple[Any, str]] = {}
    at = 1
    while strict[at] != "}":
        key, at = decoder.raw_decode(strict, at)
        start = at + 1
        value, at = decoder.raw_decode(strict, start)
        members[key] = (value, strict[start:at])
        at += strict[at] == ","
    return members
