"""Patterns of calls in the forms of other models: tags, special tokens, JSON, ReAct, Python.

Each names a tool within a few hundred characters. Where that is declared, the text may be a call.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

import regex

from . import syntax

_FLAGS = regex.IGNORECASE
_N = r"(?P<name>[^\s\"'`<>(){}\[\],;:|=｜]{1,128}+(?:[:/][^\s\"'`<>(){}\[\],;:|=｜]{1,128}+){0,3}+)"
_QUOTED = r"[\"'](?P<name>[^\"'\n]{1,128}+)[\"']"
_COLON = r"[\"']\s{0,20}+:\s{0,20}+"
_NAME_KEY = rf"[\"'](?:name|tool|tool_name|function|function_name|recipient_name|action){_COLON}"
_ARGUMENT_KEYS = r"arguments|parameters|args|params|input|action_input|tool_input"
_OTHER_KEYS = r"type|id|call_id|tool_call_id|index|thought|reason"
_OTHER_MEMBERS = (
    rf"(?:[\"'](?:{_OTHER_KEYS}){_COLON}(?:\"[^\"\n]{{0,80}}+\"|\d{{1,9}}+)\s{{0,20}}+,\s{{0,20}}+){{0,3}}+"
)
_CALL_OBJECT = (
    rf"\{{\s{{0,40}}+{_OTHER_MEMBERS}(?:[\"']function{_COLON}\{{\s{{0,40}}+)?+"
    rf"(?:{_NAME_KEY}{_QUOTED}\s{{0,40}}+(?:,\s{{0,40}}+[\"'](?:{_ARGUMENT_KEYS}|{_OTHER_KEYS})[\"']|\}})"
    rf"|[\"'](?:{_ARGUMENT_KEYS}){_COLON}\{{[^{{}}]{{0,400}}+\}}\s{{0,40}}+,\s{{0,40}}+{_NAME_KEY}{_QUOTED})"
)
_LIST_KEY = rf"\{{\s{{0,40}}+[\"'](?:tool_calls|tool_uses|function_calls|calls|actions){_COLON}"
_OBJECTS = rf"(?:(?:{_LIST_KEY})?+\[\s{{0,40}}+)?+{_CALL_OBJECT}"
_PYTHON = (
    rf"(?:print\(\s{{0,10}}+)?+(?:(?:default_api|functions?|tools?)\.)?+{_N}"
    r"\((?=\s{0,40}(?:[\{\"')]|\w{1,80}\s{0,5}=))"
)
_ARGUMENTS_LINE = (
    rf"[ \t]{{0,8}}+[*_\"'`]{{0,3}}+(?:{syntax.ARGUMENTS_WORD}|entrada(?:[ ](?:da|de|de[ ]la)[ ]\w{{2,10}})?|json)"
    r"[*_\"'`]{0,3}+[ \t]{0,4}+[:=：]"
)
_TAG = (
    r"(?:<(?:\w{1,20}+:|[|｜]\w{1,20}+[|｜])?+[|｜]?+(?:invoke|tool_?calls?|function_?calls?|tool_?use|tools?|tool_?code|functions?|tool_?request)>"
    r"|\[/?(?:TOOL_CALLS?|TOOL_REQUEST|FUNCTION_CALLS?|AVAILABLE_TOOLS)\]"
    r"|<\|(?:[^|>\n]{1,40}+)\|>|<｜[^｜>\n]{1,40}+｜>)"
)
_INVOKE = (
    r"<(?:\w{1,20}+:|[|｜]\w{1,20}+[|｜])?+(?:invoke|function|tool|tool_call|tool_use|function_call)(?:[ \t]++(?:name|id|tool))?+"
    r"[ \t]{0,4}+=[ \t]{0,4}+[\"']?+(?P<name>[^\"'<>\s]{1,128}+)(?=[\"'<>\s])"
)
_NAMED_TAG = r"<(?:tool_?|function_?)?+name>\s{0,20}+(?P<name>[^<>\s]{1,128}+)(?=[<>\s])"
_TOKEN = r"<[|｜][^|｜>\n]{1,40}+[|｜]>"
_AFTER_TAGS = (
    rf"(?:{_OBJECTS}|{_INVOKE}|{_NAMED_TAG}|\[?+{_PYTHON}"
    rf"|(?:(?:assistant|commentary|analysis|function|tool_calls?)(?![\w.])[ \t]*+(?:{_TOKEN})?+[ \t]*+){{0,3}}+"
    rf"(?:to=)?+(?:functions?[.:])?+{_N}"
    rf"(?:\s{{0,20}}+(?:<[|｜/]|<arg|<param|<\w{{1,40}}>|[\{{\[]|```|json\b|code\b|{_ARGUMENTS_LINE})|:\d{{1,4}}))"
)
_BOLD, _PLAIN_QUOTE = r"[*_]{0,3}+", r"[`\"'*]{0,3}+"
_ACTION = r"Action|A[cç][aã]o|Acci[oó]n|Tool|Tool[ _]name|Function|Ferramenta|Herramienta"
_CALLING = (
    r"(?:tool|function)[ _-]?calls?|calling(?:[ ](?:the[ ])?(?:tool|function))?|call|FUNCTION✿"
    r"|chamando(?:[ ]a[ ]ferramenta)?"
)
_PATTERNS = {
    "tags": rf"(?:{_TAG}\s{{0,20}}+){{1,4}}+{_AFTER_TAGS}",
    "invoke": _INVOKE,
    "objects": _OBJECTS,
    "python": rf"\[?+{_PYTHON}[^\n]{{0,400}}\)\]?+[ \t]{{0,10}}+(?=\n)",
    "react": (
        rf"{_BOLD}(?:{_ACTION}){_BOLD}[ \t]*+:{_BOLD}[ \t]*+{_PLAIN_QUOTE}{_N}{_PLAIN_QUOTE}[ \t]*+"
        rf"\r?+\n\s{{0,20}}+(?:[-*][ \t])?+{_ARGUMENTS_LINE}"
    ),
    "calling": (
        rf"[\[(*_✿]{{0,3}}+(?:{_CALLING}){_BOLD}(?:[ \t]++id=[^\s\]]{{1,80}}+)?+[ \t]*+"
        rf"(?:[:=]|(?<=tool|function|ferramenta)[ ])?+{_BOLD}\s{{0,4}}+(?:name=)?+{_PLAIN_QUOTE}{_N}{_PLAIN_QUOTE}"
        rf"(?:\((?=\s{{0,20}}(?:[\"'\{{)]|\w{{1,80}}\s{{0,5}}[=:]))"
        rf"|[ \t]*+[\{{\]]|[ \t]++(?:with|com|con)[ \t]++(?:\{{|{syntax.ARGUMENTS_WORD})"
        rf"|\s{{0,4}}+[✿*_]{{0,3}}+(?:{_ARGUMENTS_LINE}|ARGS✿))"
    ),
    "to": rf"(?:(?:assistant|commentary|analysis)[ \t]++){{0,2}}+to=(?:functions?\.)?+{_N}(?=[^\w.])",
    "marker": (
        r"[^\w\n]{0,6}+(?:FUNCTION|TOOL)[-_ ]{0,2}+CALL[\w -]{0,24}+[^\w\n]{0,6}+\n[ \t]*+"
        rf"(?:(?:{syntax.NAME_WORD})[ \t]*+:[ \t]*+)?+{_PLAIN_QUOTE}{_N}{_PLAIN_QUOTE}:?+[ \t]*+\n{_ARGUMENTS_LINE}"
    ),
    "bare": (
        rf"{_PLAIN_QUOTE}{_N}{_PLAIN_QUOTE}:?+[ \t]*+\r?+\n"
        rf"{_ARGUMENTS_LINE}\s{{0,20}}+(?:```\w*+\s{{0,4}}+)?+[\{{\[\"]"
    ),
    "element": r"<(?P<name>[\w.\-]{1,128}+)>\s{0,20}+<(?P<argument>[\w.\-]{1,80}+)>",
}
_DIALECTS = {kind: regex.compile(pattern, _FLAGS) for kind, pattern in _PATTERNS.items()}
WITH_WORDS = tuple(pattern for kind, pattern in _DIALECTS.items() if kind not in {"bare", "python", "element"})
"""The forms that do not start with a tool's name."""

_FENCED = regex.compile(
    r"(?:```|~~~)(?P<label>[ \t]*+\w{0,20}+)[ \t]*+\r?+\n\s{0,20}+"
    rf"(?:(?:{_TAG}\s{{0,20}}+){{1,3}}+{_AFTER_TAGS}|{_OBJECTS}|{_INVOKE}|\[?+{_PYTHON})",
    _FLAGS,
)
LABEL_OF_FENCE = regex.compile(
    rf"[*_\#]{{0,4}}+(?:{_ACTION}|{_CALLING})[*_]{{0,3}}+:[*_]{{0,3}}+[ \t]*+\r?+\n\s{{0,4}}+(?=```|~~~)", _FLAGS
)
_ESCAPED_TAG = "&lt;"
_ENTITY_START = regex.compile(r"&\#?+\w{0,8}+\Z")
_CALL_LABELS = frozenset(
    {"tool_code", "tool_call", "tool_calls", "function_call", "function_calls", "tool", "tool_use"}
)
_BY_START = {
    "<": ("tags", "invoke", "element"), "[": ("tags", "objects", "calling", "python", "marker"), "{": ("objects",),
    "*": ("react", "calling", "marker", "bare"), "_": ("react", "calling"), "✿": ("calling",), "`": ("bare",),
    '"': ("bare",), "'": ("bare",), "#": ("marker",), "(": ("calling",),
}  # fmt: skip
_BY_LETTER = {"a": ("react", "to"), "t": ("react", "calling", "to", "marker"), "f": ("react", "calling", "python", "marker"),
              "h": ("react",), "c": ("calling", "to"), "p": ("python",), "d": ("python",)}  # fmt: skip
STARTS = (
    frozenset(_BY_START)
    | {_ESCAPED_TAG[0]}
    | frozenset(_BY_LETTER)
    | frozenset(letter.upper() for letter in _BY_LETTER)
)
_BARE_CALL = regex.compile(r"[\w.\-]{1,128}+\(\)[ \t]*+")  # in an answer, a function's name
_WORD = regex.compile(r"[\w./:\-]{1,128}+")
_METHOD = regex.compile(r"\.(?:__)?(?:call|run|invoke|execute|use)(?:__)?\Z", _FLAGS)  # of a tool as an object


class Dialects:
    """Finds such calls of declared tools at the start of a line."""

    def __init__(self, tools: syntax.DeclaredTools) -> None:
        self._tools = tools

    def found(self, text: str, at: int, *, ended: bool) -> str | None:
        """Return which such call starts at `at`, or an empty string; None if more text decides."""
        if text[at] == _ESCAPED_TAG[0]:
            return self._escaped(text[at : at + syntax.HEAD_LIMIT], ended=ended)
        kinds = _BY_START.get(text[at], ()) or _BY_LETTER.get(text[at].lower(), ())
        if (word := self._word(text, at, ended=ended)) is None:
            return None
        return self._match(("bare", "python", *kinds) if word else kinds, text, at, ended=ended)

    def _escaped(self, window: str, *, ended: bool) -> str | None:
        """Return the same for a tag that is escaped as in HTML."""
        ended |= len(window) == syntax.HEAD_LIMIT
        if not ended and (_ESCAPED_TAG.startswith(window) or _ENTITY_START.search(window)):
            return None
        return self.found(html.unescape(window), 0, ended=ended) if window.startswith(_ESCAPED_TAG) else ""

    def fenced(self, text: str, at: int, *, ended: bool, alone: bool) -> bool | None:
        """Return whether a code fence at `at` starts with such a call.

        A fence with another label than one for calls counts only `alone`: without text before it.
        """
        limit = at + syntax.HEAD_LIMIT
        found = _FENCED.match(text, at, limit, partial=True)
        if found is None:
            return False
        if found.partial:
            label = regex.match(r"(?:```|~~~)[ \t]*+(\w*+)", text, pos=at, endpos=limit)
            whole = label is not None and label.end() < len(text)
            if whole and label is not None and not alone and label[1].lower() not in _CALL_LABELS:
                return False
            return None if not ended and len(text) < limit else False
        return (alone or found["label"].strip().lower() in _CALL_LABELS) and self._is_declared(found)

    def _word(self, text: str, at: int, *, ended: bool) -> bool | None:
        """Return whether a declared name is at `at`; None while the text may become one."""
        found = _WORD.match(text, at)
        if found is None:
            return False
        if found.end() == len(text) and not ended:
            return None if self._tools.may_start(found[0]) else False
        return self._tools.resolve(found[0].rstrip(".:"), unknown=False) is not None

    def _match(self, kinds: Iterable[str], text: str, at: int, *, ended: bool) -> str | None:
        limit = at + syntax.HEAD_LIMIT
        if ended:
            text += "\n"
        undecided = False
        for kind in kinds:
            found = _DIALECTS[kind].match(text, at, limit, partial=True)
            if found is not None and not found.partial and self._is_declared(found):
                return kind if kind != "python" or not _BARE_CALL.fullmatch(found[0]) else ""
            undecided |= found is not None and found.partial
        return None if undecided and not ended and len(text) < limit else ""

    def _is_declared(self, found: regex.Match[str]) -> bool:
        name = found["name"].rstrip(".:")
        if found.re is _DIALECTS["element"]:  # in HTML, too
            properties = self._tools.parameters(name).get("properties")
            return isinstance(properties, Mapping) and found["argument"] in properties
        return any(
            self._tools.resolve(part, unknown=False) is not None
            for part in (name, name.partition(":")[0], name.rpartition(":")[2], _METHOD.sub("", name))
        )
