"""Reads the arguments of one call as weaker models write them; see `loose_block`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import regex

from ..lenient_json import LenientJsonError, LenientJsonParser
from . import mended_json, python_syntax, syntax
from .syntax import DeclaredTools

_FLAGS = regex.IGNORECASE
_LIMIT = 100_000  # characters of arguments as tags

LABEL = regex.compile(
    r"(?:[-*•][ \t]++)?[*\"'`]{0,3}+(?:(?:with|and|com|e|con|y)[ \t]++)?(?:(?:the|os|los)[ \t]++)?"
    rf"(?P<word>{syntax.ARGUMENTS_WORD}|kwargs|payload|body|data|dados|entrada|entradas|inputs)"
    r"(?:[ _-]?+\(?(?:json|object|objeto)\)?)?+[*\"'`]{0,3}+[ \t]*+(?:=>|->|[:=：])[*]{0,2}+[\s\ufeff\u200b]*+"
    r"(?:(?:json\b|[:=])[ \t]*+(?=\{))?+",
    _FLAGS,
)
_BARE_LABEL = regex.compile(rf"(?P<word>{syntax.ARGUMENTS_WORD})[ \t]*+(?:\n\s*+|(?=[{{\[(]))", _FLAGS)
_REASON = regex.compile(
    r"(?:[-*•][ \t]++)?[*_]{0,2}+(?P<word>reason(?:ing)?|thought|why|purpose|explanation|comment|note|motivo|raz[aã]o|raz[oó]n"
    r"|justificativa|pensamento|pensamiento|objetivo|id|call_?id|tool_call_id)[*_]{0,2}+[ \t]*+[:=：][^\n{]{0,400}+\n\s*+",
    _FLAGS,
)
_NOTHING = regex.compile(
    r"(?:\(\s*+\)|\[\s*+\]|(?:null|none|nil|n/a|nothing|empty|nenhum|vazio|no arguments?)(?![\w-])"
    r"|-(?=\s*+(?:\n|\Z))|\((?:none|empty|nothing|nenhum)\))",
    _FLAGS,
)
_OPEN_FENCE = regex.compile(r"(?P<fence>```|~~~)[ \t]*+\w*+[ \t]*+\r?+\n")
_KEY = regex.compile(r"[\"'](?P<key>[^\"'\n]{1,100})[\"']\s*+:")
_ARGUMENTS_TAG = regex.compile(rf"<(?P<tag>{syntax.ARGUMENTS_WORD})>\s*+(?P<value>[\s\S]*?)\s*+</(?P=tag)>", _FLAGS)
_PARAMETER = regex.compile(
    r"\s*+(?:<(?:\w++:)?parameter[ \t]++name=[\"'](?P<name>[^\"'\n]{1,100})[\"'][^>\n]{0,80}+>(?P<value>[\s\S]*?)</(?:\w++:)?parameter>"
    r"|<parameter=(?P<name>[^>\n]{1,100})>(?P<value>[\s\S]*?)</parameter>"
    r"|<(?P<name>[\w.-]{1,100}+)>(?P<value>[\s\S]*?)</(?P=name)>)",
)
_LINE = regex.compile(
    r"[ \t]*+(?:[-*•][ \t]++)?[*\"'`]{0,3}+(?P<key>[\w.$-]{1,100}+)[*\"'`]{0,3}+[ \t]*+(?:=>|[:=：])[ \t]*+(?P<value>[^\n]*+)(?:\n|\Z)"
)
_OTHER_KEY = regex.compile(r"[,;|]\s*+[\"']?+([\w.$-]{1,100}+)[\"']?+\s*+[:=]")
_PATCH = regex.compile(r"\*\*\* Begin Patch[\s\S]*?\*\*\* End Patch[ \t]*+(?:\r?+\n)?+")
_DICT = regex.compile(r"dict[ ]?(?=\()")
_KEYWORDS = regex.compile(r"(?P<key>\w{1,100})[ ]?=[ ]?(?=[\"'\d\[{TFN-])[^\n]*+")
_STRING = regex.compile(r'"(?:[^"\\]|\\[\s\S])*+"|\'(?:[^\'\\]|\\[\s\S])*+\'')
_WORDS = {"true": True, "false": False, "null": None, "none": None}


class ArgumentsReader:
    """Reads from `at`, the position after the name; afterwards `at` is the position after them."""

    def __init__(self, text: str, at: int, name: str, tools: DeclaredTools, *, closed: bool) -> None:
        self.at = at
        self._text = text
        self._closed = closed
        self._drop = tools.dropped_arguments(name)
        schema = tools.parameters(name)
        properties = schema.get("properties")
        self._properties: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
        self._required = schema.get("required")

    def read(self) -> list[str]:
        """Return the arguments of each call as strict JSON; raises LenientJsonError."""
        self._space()
        if (parenthesis := self._parenthesis()) is not None:
            return [parenthesis]
        while (reason := _REASON.match(self._text, self.at)) and reason["word"].lower() not in self._properties:
            self.at = reason.end()
        labelled = self._label()
        if labelled and (parenthesis := self._parenthesis()) is not None:
            return [parenthesis]
        if self.at == len(self._text) or self._rest_is_noise():
            if self._required:
                raise LenientJsonError("its arguments are missing")
            return ["{}"]
        if self._text[self.at] == "[" and self._single("array") is None and (objects := self._objects()):
            return objects
        if (value := self._value(labelled=labelled)) is None:
            raise LenientJsonError("the arguments are no JSON object")
        values = [value]
        while (comma := regex.match(r"\s*+,?+\s*+(?=\{)", self._text, pos=self.at)) and not self._is_wrapper(
            comma.end()
        ):
            self.at = comma.end()
            values.append(self._object())
        return values

    def _is_wrapper(self, at: int) -> bool:
        return (
            regex.match(r"\{\s*+[\"'](?:name|function|tool|type|tool_name|function_name)[\"']", self._text, pos=at)
            is not None
        )

    def _space(self) -> None:
        found = regex.match(r"(?:[\s)`]|\*(?!\*\* Begin Patch))*+", self._text, pos=self.at)
        if found is not None:
            self.at = found.end()

    def _rest_is_noise(self) -> bool:
        return regex.fullmatch(r"[\s)\]}`*'\";,.]*+(?:```)?\s*+", self._text, pos=self.at) is not None

    def _label(self) -> bool:
        found = LABEL.match(self._text, self.at) or _BARE_LABEL.match(self._text, self.at)
        if found is None:
            return False
        word = found["word"]
        if word in self._properties and self._text[found.end() : found.end() + 1] not in {"{", "`"}:
            return False
        self.at = found.end()
        return True

    def _parenthesis(self) -> str | None:
        """Read `(…)`: keyword arguments as in Python, or an object."""
        if constructor := _DICT.match(self._text, self.at):
            self.at = constructor.end()
        if self._text[self.at : self.at + 1] != "(" or _NOTHING.match(self._text, self.at):
            return None
        end = python_syntax.balanced_end(self._text, self.at)
        inner = self._text[self.at + 1 : end - 1].strip()
        if not inner:
            self.at = end
            rest = regex.compile(r"\s*+(?:[{]|[^\s]{0,20}+[ \t]*+[:=])").match(self._text, end)
            return None if rest is not None else "{}"
        if inner.startswith("{"):
            strict, stop = mended_json.read_object(inner, 0, self._drop, closed=True)
            if inner[stop:].strip():
                raise LenientJsonError("more than one object in parentheses")
            self.at = end
            return strict
        value = _compact(python_syntax.arguments(inner, self._single()))
        self.at = end
        return value

    def _object(self) -> str:
        strict, self.at = mended_json.read_object(self._text, self.at, self._drop, closed=self._closed)
        return strict

    def _value(self, *, labelled: bool) -> str | None:
        text, at = self._text, self.at
        if fence := _OPEN_FENCE.match(text, at):
            return self._fenced(fence)
        if text[at] == "`" and text[at + 1 : at + 2] in {"{", '"'}:
            self.at = at = at + 1
        if text[at] == "{":
            return self._object()
        if patch := _PATCH.match(text, at):
            return self._raw(patch[0], patch.end())
        if nothing := _NOTHING.match(text, at):
            if not self._required:
                self.at = nothing.end()
                return "{}"
            return None
        if text[at] == "[":
            return self._list()
        if _KEY.match(text, at):
            return self._without_brace()
        if text[at] in "\"'":
            return self._string()
        if text[at] == "<":
            return self._tags()
        if (lines := self._keywords() or self._lines()) is not None:
            return lines
        line = regex.match(r"[^\n]++", text, pos=at)
        plain = (
            line is not None
            and regex.fullmatch(r"\s*+", text, pos=line.end())
            and not regex.search(r"[{}\[\]\"=]", line[0])
        )
        if labelled and line is not None and plain and len(self._properties) == 1:
            return self._raw(line[0].strip(), line.end())
        return None

    def _fenced(self, fence: regex.Match[str]) -> str | None:
        """Read a code fence with an object, or with the only argument of the tool."""
        if self._text.startswith(("{", "["), fence.end()):
            self.at = fence.end()
            return self._object() if self._text[self.at] == "{" else self._list()
        end = self._text.find("\n" + fence["fence"], fence.end())
        if end < 0:
            return None
        if (patch := _PATCH.match(self._text, fence.end())) and patch.end() >= end:
            return self._raw(patch[0], end + 4)
        return self._raw(self._text[fence.end() : end], end + 4)

    def _raw(self, value: str, end: int) -> str | None:
        """Return the arguments of a tool whose only one is a string."""
        name = self._single("string")
        if name is None:
            return None
        self.at = end
        return _compact({name: value})

    def _single(self, kind: str | None = None) -> str | None:
        """Return the tool's only argument, or the only one that is required and of this type."""
        names = list(self._properties)
        if len(names) != 1:
            names = list(self._required) if isinstance(self._required, list) else []
        if len(names) != 1 or names[0] not in self._properties:
            return None
        schema = self._properties[names[0]]
        if kind is not None and not (isinstance(schema, Mapping) and schema.get("type") == kind):
            return None
        return str(names[0])

    def _list(self) -> str | None:
        """Read a list: no arguments, or the value of the only argument."""
        end = python_syntax.balanced_end(self._text, self.at)
        written = self._text[self.at : end]
        parser = LenientJsonParser(self._drop)
        if (name := self._single("array")) is None:
            return None
        written = _compact({name: 0})[:-2] + written + "}"
        if parser.feed(written) != len(written) or not parser.done:
            return None
        self.at = end
        return parser.take()

    def _objects(self) -> list[str] | None:
        """Read a list of objects: the arguments of one call each."""
        end = python_syntax.balanced_end(self._text, self.at)
        inner = self._text[self.at + 1 : end - 1]
        found: list[str] = []
        at = 0
        while (space := regex.match(r"[\s,]*+", inner, pos=at)) and space.end() < len(inner):
            if inner[space.end()] != "{":
                return None
            strict, at = mended_json.read_object(inner, space.end(), self._drop, closed=True)
            found.append(strict)
        if found:
            self.at = end
        return self._pairs(found) or found

    def _pairs(self, objects: list[str]) -> list[str] | None:
        """Return a list of `{"name": …, "value": …}` as one object; None for other objects."""
        if not objects or self._properties.keys() & {"name", "key", "value"}:
            return None
        values: dict[str, Any] = {}
        for strict in objects:
            pair = json.loads(strict)
            key = pair.pop("name", pair.pop("key", None))
            pair.pop("type", None)
            if pair.keys() != {"value"} or not isinstance(key, str) or key not in self._properties or key in values:
                return None
            values[key] = pair["value"]
        return [_compact(values)]

    def _without_brace(self) -> str:
        """Read `"key": value, …` without the opening brace, and perhaps the closing one."""
        written = "{" + self._text[self.at :]
        strict, end = mended_json.read_object(written, 0, self._drop, closed=self._closed)
        self.at += end - 1
        return strict

    def _string(self) -> str | None:
        """Read a string with an object, or with the only argument."""
        found = _STRING.match(self._text, self.at)
        if found is None:
            return None
        value = syntax.unquote(found[0]) if found[0][0] == '"' else found[0][1:-1]
        if value.lstrip().startswith("{"):
            strict = syntax.strict_arguments(value, self._drop)
            self.at = found.end()
            return strict
        return self._raw(value, found.end()) if value else None

    def _tags(self) -> str | None:
        """Read `<arguments>{…}</arguments>`, or a tag for each argument."""
        if len(self._text) - self.at > _LIMIT:
            return None
        if found := _ARGUMENTS_TAG.match(self._text, self.at):
            if not found["value"].startswith("{"):
                self.at = found.start("value")
                return self._tags()
            self.at = found.end()
            return syntax.strict_arguments(found["value"], self._drop)
        values: dict[str, Any] = {}
        at = self.at
        while found := _PARAMETER.match(self._text, at):
            key = found["name"]
            if key not in self._properties or key in values:
                return None
            values[key] = self._typed(key, found["value"])
            at = found.end()
        if not values:
            return None
        self.at = at
        return _compact(values)

    def _keywords(self) -> str | None:
        """Read `a="x", b=1` on the last line, each a declared argument."""
        found = _KEYWORDS.match(self._text, self.at)
        if found is None or not regex.fullmatch(r"[\s`)]*+", self._text, pos=found.end()):
            return None
        try:
            values = python_syntax.arguments(found[0].rstrip("`; "), None)
        except LenientJsonError:
            return None
        if not values.keys() <= self._properties.keys():
            return None
        self.at = found.end()
        return _compact(values)

    def _lines(self) -> str | None:
        """Read lines of `key: value` or `key=value`, each a declared argument."""
        values: dict[str, Any] = {}
        at = self.at
        while (
            (found := _LINE.match(self._text, at)) and found["key"] in self._properties and found["key"] not in values
        ):
            if any(key in self._properties for key in _OTHER_KEY.findall(found["value"])):
                raise LenientJsonError("several arguments in one line")
            values[found["key"]] = self._typed(found["key"], found["value"].strip(), line=True)
            at = found.end()
        if not values or not regex.fullmatch(r"[\s`)]*+", self._text, pos=at):
            return None
        self.at = at
        return _compact(values)

    def _typed(self, key: str, written: str, *, line: bool = False) -> Any:
        """Return a value without quotes as its schema's type; raises LenientJsonError."""
        schema = self._properties[key]
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        if kind == "string":
            if line and written[:1] in "\"'":
                if not (quoted := _STRING.fullmatch(written)):
                    raise LenientJsonError(f"the value of {key} has no clear end")
                return syntax.unquote(written) if written[0] == '"' else quoted[0][1:-1]
            if line and (not written or written[:1] in "|>{["):
                raise LenientJsonError(f"the value of {key} is no plain text")
            return written
        try:
            return json.loads(written, parse_constant=_no_constant)
        except ValueError as error:
            if written.lower() in _WORDS:
                return _WORDS[written.lower()]
            raise LenientJsonError(f"the value of {key} is no JSON") from error


def _compact(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _no_constant(_: str) -> Iterator[None]:
    raise ValueError("no JSON")
