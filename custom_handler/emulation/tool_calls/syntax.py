"""The spellings of a tool call that agents use, as patterns, and the resolution of a call's name.

    FUNCTION_CALL_START            or TOOL_CALL_START; any case, spaces, decorated: **…**, `…`, […]
    get_weather                    bare, labelled (`name: …`), quoted, functions.x, x()
    arguments: {"city": "Recife"}  several labels, or none; same line or later; in a code fence
    FUNCTION_CALL_END

All patterns are matched partially, in windows of bounded length. The last character of a match
decides it: further text cannot change it, so the result does not depend on how the text is cut.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import regex

from ...data_class import data_class
from ..lenient_json import LenientJsonError, LenientJsonParser
from .argument_schema import ArgumentSchema
from .json_members import members

HEAD_LIMIT = 600

_GAP = r"(?:\\?+_{1,2}+[ ]?+|[ ])"
_WORDS = rf"(?:FUNCTION|TOOL){_GAP}CALL(?:S|ING)?+(?:{_GAP}BLOCK)?+"
_START = rf"(?:{_WORDS}{_GAP}(?:START|BEGIN|OPEN)|(?:START|BEGIN){_GAP}{_WORDS})"
_END = rf"(?:{_WORDS}{_GAP}(?:END|STOP|FINISH|CLOSE|COMPLETE)|(?:END|STOP){_GAP}{_WORDS})"
# The markers in other words. They start a block only on a line of their own before a declared name.
_THING = r"(?:FUNCTION|FUN[CÇ][AÃ]O|FUNCI[OÓ]N|FUNC|TOOL|CALL|CHAMADA|LLAMADA|FERRAMENTA|HERRAMIENTA)S?+"
_LINK = r"\\?+_{1,2}+(?:(?:DE_LA|D[AEO]S?)_)?+"
_THINGS = rf"{_THING}(?:(?:{_LINK})?+{_THING}){{0,2}}+"
_FIRST = r"(?:START|BEGIN|OPEN|IN[IÍ]CIO|INICIAR|COME[CÇ]O|COMIENZO|ABRIR)"
_LAST = r"(?:END|STOP|FINISH|CLOSE|COMPLETE|FIM|FIN|FINAL|FECHAR|CERRAR|T[EÉ]RMINO)"
_OTHER_START = rf"(?:{_THINGS}{_LINK}{_FIRST}|{_FIRST}{_LINK}{_THINGS})(?!\w)"
_OTHER_END = rf"(?:(?:{_THINGS}{_LINK}{_LAST}|{_LAST}{_LINK}{_THINGS})(?!\w)|(?-i:/FUNCTION_CALLS?+)(?!\w))"
_OPENING = r"(?:[*_`\[<(\#=|{~]{1,6}+|-{2,6}+)?+[ \t]?+"
_CLOSING = (
    r"(?:S(?=\W))?+(?:[ \t]?+[*_`\])>=|}~-]{1,6}+)?+(?:[ \t]?+[\#(_-]{0,2}+\d{1,3}\)?+(?=\s))?+"
    r"(?:[.:;](?=\s)|(?=[^.:; \t\d])|(?=\d{4}|\d{1,3}+\)?+[^\s\d)])|(?=[.:;]\S)|[ \t]++(?=[\s\S]))"
)
# A marker may be decorated, numbered, or followed by punctuation.
_AFTER_MARKER = r"(?:S(?=\W))?+(?:[ \t]{0,2}+[\#(_-]{0,2}+\d{1,3}(?=[^\w]))?+(?:[ \t]?+[*_`\])>:.()=|}\"~!,;-]{1,6}+)?+"
_QUOTES = r"[*\"'`]{0,3}+"
NAME_WORD = r"(?:function|tool)(?:[_ ]?name)?|name|nome|ferramenta|fun[cç][aã]o|action"
ARGUMENTS_WORD = r"arguments?|argumentos|args|param(?:eter)?s|par[aâ]metros|(?:action[_ ])?input"
_LABELLED = rf"{_QUOTES}(?:{NAME_WORD}){_QUOTES}[ \t]*+[:=]\s*+"
_ARGUMENTS = rf"{_QUOTES}(?:{ARGUMENTS_WORD})(?!\w){_QUOTES}[ \t]*+[:=]?+\s*+\**+\s*+"
_ID_WORD = r"(?:tool_)?(?:call_?)?id[ \t]*+[:=]"
_ID = rf"(?:{_ID_WORD}[^\n]{{0,80}}+\n\s*+)?+"
_FENCE = r"(?:```\w*+\s*+)?+"
_STRING = r"\"(?:\s|\\[nrt])*+(?:\{|\"(?=[\s,;}]))"  # that contains an object, or is empty
_VALUE = rf"(?:```\w*+\s*+|`)?+'?+(?:(?P<object>(?=\{{))|(?P<string>(?={_STRING}))|(?P<null>(?:null|none)(?=\W)))"

# Not VERSION1: its full case-folding would match "ﬅ" as two letters of START.
_FLAGS = regex.IGNORECASE

MARKER = regex.compile(rf"(?:\"|{_OPENING}){_START}", _FLAGS)
FENCED_MARKER = regex.compile(rf"(?:`{{3,9}}+|~{{3,9}}+)[^\n`~]{{0,40}}+\n\s{{0,80}}+{_OPENING}{_START}", _FLAGS)
# A block within a string, its line ends escaped or not.
BLOCK_IN_STRING = regex.compile(rf"{MARKER.pattern}(?:\\[nr]|[^\w\\]){{1,8}}+(?P<name>[\w.\-]{{1,128}}+)", _FLAGS)
_ANY_END = rf"{_OPENING}(?:/?+{_END}|/{_START}|{_OTHER_END})"
END = regex.compile(rf"{_ANY_END}{_CLOSING}", _FLAGS)
END_AHEAD = regex.compile(_ANY_END, _FLAGS)
OWN_END = regex.compile(rf"{_OPENING}/?+{_END}", _FLAGS)
# In unreadable arguments, an end marker between quotes counts as part of a string.
_QUOTE = r"[\"'\\]"
END_OR_MARKER = regex.compile(
    rf"(?P<end>(?<!{_QUOTE})(?<!\\[nrt]){_ANY_END}{_CLOSING}(?!{_QUOTE}))|(?<=\n){_OPENING}{_START}(?=[\s\S])",
    _FLAGS,
)


def _name(odd: tuple[str, ...]) -> str:
    """Return the pattern of a name; `odd` are declared names that are no words."""
    literal = "".join(f"{regex.escape(name, literal_spaces=True)}|" for name in sorted(odd, key=len, reverse=True))
    return (
        rf"(?!{_ID_WORD})(?:{_LABELLED})?+{_QUOTES}(?P<name>{literal}[\w.\-]{{1,128}}+){_QUOTES}"
        r"(?:\((?=\s*+[{)])\s*+\)?+)?+[*`:,\]]{0,3}+"
    )


@lru_cache(maxsize=64)  # a client sends the same tools with every request
def call_patterns(odd: tuple[str, ...] = ()) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    """Return the patterns of what is before the arguments of a block's first call, and of another.

    Another call is a line with the name, then arguments; or one labelled line.
    """
    name = _name(odd)
    head = regex.compile(
        rf"{_AFTER_MARKER}(?!\w)\s*+{_ID}{_FENCE}\[?+\s*+"
        rf"(?:(?P<wrapper>(?=\{{))|{name}\s*+{_ID}(?:{_ARGUMENTS})?+"
        rf"(?:{_VALUE}|(?P<bare>(?={END_AHEAD.pattern}|{_OPENING}{_START}))))",
        _FLAGS,
    )
    group = regex.compile(
        rf"(?:(?P<wrapper>(?=\{{))"
        rf"|{name}(?:[ \t]*+\r?+\n\s*+(?:(?P<label>){_ARGUMENTS}{_VALUE}|{_FENCE}(?P<object>(?=\{{)))"
        rf"|[ \t]++(?P<label>){_ARGUMENTS}(?P<object>(?=\{{))))",
        _FLAGS,
    )
    return head, group


# Noise after the object: directly after it, and after white space, where it could be text.
TRAILING_NOISE = regex.compile(r"[}\]),;'\"]++|[*`]{1,3}+(?=[^*`])|<\|[^|>\n]{0,40}+\|>|</s>")
DETACHED_NOISE = regex.compile(r"[}\]),;]++|```(?=\s)|<\|[^|>\n]{0,40}+\|>|</s>")

# Some agents continue after a call with a result that they fabricate; these labels start it.
# "Observação:" is not one of them: in Portuguese it starts an ordinary note.
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

COPIED_MARKER = regex.compile(r"(?:FUNCTION|TOOL)\^{1,16}\\{0,2}[_ ]CALL", _FLAGS)
ID_LABEL = regex.compile(r"(?<=[\n*`])\s*+(?P<word>(?:tool_)?(?:call_?)?id)[ \t]*+[:=]", _FLAGS)
NOTHING = regex.compile(r"\s{0,8}+\)")  # in a call's parentheses
NAME_IN_LINE = regex.compile(r"[ \t]{1,4}+[\w.\-]{1,128}+[({]")  # behind a marker
LIKE_MARKER = regex.compile(r"(?:FUNCTION|TOOL)[-_ ]?CALL", _FLAGS)
# In the place of a start marker, on a line of its own.
STRAY_MARKER = regex.compile(
    rf"{_OPENING}(?:(?P<end>/?+{_END})|{_OTHER_START}|{_WORDS}(?!\w))[*_`\])>:.()]{{0,4}}+[ \t]{{0,80}}+(?=\r?+\n)",
    _FLAGS,
)
REST_OF_MARKER_LINE = regex.compile(rf"{_AFTER_MARKER}[ \t]{{0,80}}+\r?+\n")
REST_BEFORE_MARKER = regex.compile(
    rf"(?:{_AFTER_MARKER}[ \t]{{0,80}}+\r?+\n|[ \t]{{1,80}}+(?={_OPENING}{_START}[*_`\])>:.]{{0,4}}+[ \t]{{0,80}}+\r?+\n))"
    rf"(?={_OPENING}{_START})",
    _FLAGS,
)
REST_OF_LINE = regex.compile(r"[ \t]{0,80}+\r?+\n")

_LEGAL_NAME = regex.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_TEMPLATE_NAME = (
    r"(?:nome|nombre|name)_(?:d[aeo]|de_la|of|of_the)_\w{1,20}|(?:your|my|the|some|example|minha|sua|mi|tu)_(?:tool|function|ferramenta"
    r"|fun[cç][aã]o|herramienta|funci[oó]n)(?:_name)?"
)
_RESERVED_NAME = regex.compile(rf"{_TEMPLATE_NAME}|{NAME_WORD}|{ARGUMENTS_WORD}|{_START}|{_END}|id|null|none", _FLAGS)
_PREFIX = regex.compile(r"(?:functions?|tools?|default_api)[.:/]")
_WORD_NAME = regex.compile(r"[\w.\-]{1,128}")
_SEPARATORS = regex.compile(r"[-_. /:\\]+")
_FREE_FORM = frozenset({"content", "input", "patch"})
_PATCH = "*** Begin Patch"
_FREE_FORM_LIMIT = 2_000_000
_SHORTENED = 64  # LiteLLM shortens longer names on /v1/messages


@data_class
class Call:
    """A call that was read; `arguments` are a strict JSON object."""

    name: str
    arguments: str


class DeclaredTools:
    """The tools that the request declares: resolves names, and fits arguments to the schemas."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        spellings: dict[str, list[str]] = {}
        for name in schemas:
            spellings.setdefault(folded(name), []).append(name)
        self._folded = {key: names[0] for key, names in spellings.items() if key and len(names) == 1}
        self._sorted = sorted(schemas)
        self.odd_names = tuple(name for name in self._sorted if not _WORD_NAME.fullmatch(name))
        self.head, self.group = call_patterns(self.odd_names)

    @property
    def names(self) -> Iterable[str]:
        """The declared names, sorted."""
        return self._sorted

    def __contains__(self, name: object) -> bool:
        return name in self._schemas

    def parameters(self, name: str) -> Mapping[str, Any]:
        """Return the tool's schema, an empty one for an undeclared name."""
        return self._schemas.get(name, {})

    def may_start(self, text: str) -> bool:
        """Return whether the text is the start of a declared name."""
        at = bisect_left(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text)

    def resolve(self, written: str, *, unknown: bool = True) -> str | None:
        """Return the declared tool for a name; with `unknown`, else the name, if valid."""
        if written in self._schemas:
            return written
        name = written if written.isalnum() else _PREFIX.sub("", written, count=1).rstrip(".")
        known = name if name in self._schemas else self._folded.get(folded(name)) or self._shortened(name)
        return known or (
            name if unknown and _LEGAL_NAME.fullmatch(name) and not _RESERVED_NAME.fullmatch(name) else None
        )

    def _shortened(self, name: str) -> str | None:
        """Return the declared name that LiteLLM made of a long one."""
        if len(name) <= _SHORTENED:
            return None
        short = f"{name[: _SHORTENED - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return short if short in self._schemas else None

    def dropped_arguments(self, name: str) -> frozenset[str]:
        """Return the platform's arguments that the tool's schema does not allow."""
        return self._argument_schema(name).dropped_arguments()

    def fit(self, name: str, arguments: str) -> str:
        """Return the arguments as the tool's schema decides: see `ArgumentSchema.fit`."""
        if name in self and arguments.startswith(f'{{"{name}":{{') and not self._argument_schema(name).allows(name):
            found = members(arguments)  # {"Read": {…}} in the place of its arguments
            arguments = found[name][1] if len(found) == 1 else arguments
        return self._free_form(name, self._argument_schema(name).fit(arguments, (name,)))

    def _free_form(self, name: str, arguments: str) -> str:
        """Return the arguments of a free-form tool with the name of its only one.

        LiteLLM gives such tools (Codex's apply_patch) one argument; models know it by another name.
        """
        properties = self.parameters(name).get("properties")
        if not isinstance(properties, Mapping) or len(properties) != 1 or not properties.keys() <= _FREE_FORM:
            return arguments
        found = members(arguments) if len(arguments) < _FREE_FORM_LIMIT else {}
        text = (
            None if found.keys() & properties.keys() else _only_text({key: value for key, (value, _) in found.items()})
        )
        if text is None:
            return arguments
        return json.dumps({next(iter(properties)): text}, ensure_ascii=False, separators=(",", ":"))

    def _argument_schema(self, name: str) -> ArgumentSchema:
        return ArgumentSchema(self._schemas.get(name, {}))


def _only_text(found: Mapping[str, Any]) -> str | None:
    """Return the only text among the arguments: a patch, else one under a usual name, else any."""
    texts = [(key, part) for key, value in found.items() for part in (value if isinstance(value, list) else [value])]
    texts = [(key, part) for key, part in texts if isinstance(part, str)]
    patches = [part for _, part in texts if part.lstrip().startswith(_PATCH)]
    usual = [part for key, part in texts if key in _FREE_FORM]
    every = [part for _, part in texts] if len(found) == 1 else []
    return next((parts[0] for parts in (patches, usual, every) if len(parts) == 1), None)


def folded(name: str) -> str:
    """Drop what agents change in a name: accents, case, and word separators."""
    if name.isascii():
        return name.lower() if name.isalnum() else _SEPARATORS.sub("", name.lower())
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _SEPARATORS.sub("", plain)


def strict_arguments(text: str, drop: Iterable[str]) -> str:
    """Return a JSON object as strict JSON, `{}` for an empty text; raises LenientJsonError."""
    stripped = text.strip()
    if not stripped:
        return "{}"
    reader = LenientJsonParser(frozenset(drop))
    end = reader.feed(stripped)
    if not reader.done or stripped[end:]:
        raise LenientJsonError("not exactly one object")
    return reader.take()


def unquote(text: str) -> str:
    """Return the value of a JSON string; raises LenientJsonError."""
    try:
        value = json.loads(text, strict=False)
    except ValueError as error:
        raise LenientJsonError("no string") from error
    return str(value)
