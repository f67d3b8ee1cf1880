r"""Finds what may be a call in an unknown form: a declared name beside arguments that fit it.

    await read_file({"path": "/a"})     {"function_call": {"name": "read_file", "arguments": "{…}"}}
    Vou chamar read_file com os argumentos {"path": "/a"}

Text between the start of a line or a sentence and the name is a label, code, or says that the call
is made now. Little text follows: an explanation goes on, a reply that means a call ends with it.
Such a call is never executed; it is repaired.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import regex

from ..lenient_json import LenientJsonError, LenientJsonParser
from . import python_syntax, syntax
from .argument_schema import ARGUMENT_KEYS, NAME_KEYS
from .unreadable import JudgedText

WINDOW = 400  # characters in which the name has to stand
TEXT_LIMIT = 160  # characters of text behind a call, and between two

_FLAGS = regex.IGNORECASE
_DEPTH = 6
_NAME = r"(?P<name>[\w.\-]{1,128}+(?:[/:][\w.\-]{1,64}+){0,3}+)"
_QUOTE = r"[`\"'*_]{0,3}+"
_INTRODUCTION = (
    r"(?:,?[ \t]{0,4}+(?:(?:e|and|y|with|com|con|using|usando|passing|passando|pasando)[ ]{1,4}+){0,2}+"
    r"(?:(?:the|os|as|los|las|its|following|seguintes?|siguientes?|these|estes)[ ]{1,4}+){0,3}+"
    rf"(?:(?:{syntax.ARGUMENTS_WORD}|payload|json|inputs?|valores|dados)(?!\w))?+"
    r"[`*\"']{0,3}+[ \t]{0,4}+(?:[:=]|=>|->)?+[*]{0,2}+\s{0,8}+)"
)
_BESIDE = rf"{_QUOTE}(?:(?:functions?|tools?|default_api)\.)?+{_NAME}{_QUOTE}"
_TOKENS = r"(?:\s{0,4}+<[|｜][^|｜>\n]{1,40}+[|｜]>(?:\s{0,4}+(?:json|code))?+){0,3}+"
_NAMED = regex.compile(
    rf"(?<![\w./\-]){_BESIDE}{_TOKENS}(?:\s{{0,2}}+(?P<call>\()|{_INTRODUCTION}(?:```\w*+\s*+)?+(?P<object>\{{))",
    _FLAGS,
)
OBJECT = regex.compile(r"(?:\[\s{0,40}+)?+\{\s{0,40}+(?:[\"'\w]|&quot;)")
_MEMBER = regex.compile(
    rf"[\"'](?:(?:{'|'.join(NAME_KEYS)}|recipient_name|action|command)[\"']\s{{0,20}}+:\s{{0,20}}+[\"'](?P<name>[^\"'\n]{{1,128}}+)[\"']"
    r"|(?P<name>[^\"'\n]{1,128}+)[\"']\s{0,20}+:\s{0,20}+\{)"
)
_CODE_WORDS = (
    r"(?:(?:await|return|yield|const|let|var|new)[ ]{1,4}+|(?:print|JSON\.stringify)\(\s{0,4}+"
    r"|(?:result|response|resultado|respuesta|resp?|ret|r|x|out(?:put)?|data)[ ]{0,2}+:?=[ ]{0,2}+"
    r"|(?:>>>|\$|→|=>|->|\#|//|@)[ ]{0,4}+"
    r"|(?:functools|tool_?calls?|function_?calls?|assistant|commentary)(?=[\s:=\[{<(])[ ]{0,2}+[:=]?+\s{0,4}+)"
)
_TAG = r"(?:[<\[{(@]{1,3}+/?+\w[\w \-]{0,24}+[>\]})]{1,3}+\s{0,4}+|<[|｜][^|｜>\n]{1,40}+[|｜]>\s{0,4}+)"
CODE_WORDS, TAG = regex.compile(_CODE_WORDS, _FLAGS), regex.compile(_TAG)
BRACKET = regex.compile(r"[\[(]{1,2}+(?=\w)")
BRACKETS = frozenset("<[{(@")
"""The characters with which a tag or a bracket starts."""
_CODE_BEFORE = regex.compile(rf"{_CODE_WORDS}|{_TAG}|{BRACKET.pattern}", _FLAGS)
_PREFIXES = ("function.", "functions.", "tool.", "tools.", "default_api.")
PARTS = 4  # of code before a name
_ANNOUNCED = (
    r"(?:(?:ok|certo|claro|agora|then|now|ahora|so|ent[aã]o|first|primeiro)[,:]?\s{1,3}+)?+"
    r"(?:vou|irei|chamando|invocando|executando|acionando|rodando|chamarei|i['’]ll|i[ ]will|i['’]m[ ]going[ ]to|i[ ]am[ ]going[ ]to"
    r"|let[ ]me|calling|invoking|executing|running|voy[ ]a|llamando|ejecutando|llamar[eé]|usando|using|utilizando"
    r"|(?:next[ ]step|pr[oó]ximo[ ]passo|siguiente[ ]paso|tool(?:[ ]call)?|function(?:[ ]call)?|ferramenta|herramienta"
    r"|action|a[cç][aã]o|acci[oó]n|chamada|llamada|call)[*_]{0,2}+:)(?!\w)"
)
ANNOUNCEMENT = regex.compile(rf"[*_]{{0,2}}+{_ANNOUNCED}", _FLAGS)
STARTS_SENTENCE = rf"(?<=[.!:][ ])(?i:{_ANNOUNCED})"
# Tags and tokens of other models within a line, unless they are quoted as code.
TAG_IN_LINE = (
    r"(?<!`)(?i:<\|?(?:\w{1,20}:)?(?:tool_?calls?|function_?calls?|tool_?use|invoke|function=|python_tag|channel\|>commentary"
    r"|start\|>assistant)|<｜tool|\[TOOL_CALLS?\])"
)
_TAGGED = regex.compile(
    r"<(?:\w{1,20}+:)?+(?:invoke|function|tool|tool_call|tool_use|function_call)(?:[ \t]++(?:name|id|tool))?+"
    r"[ \t]{0,4}+=[ \t]{0,4}+[\"']?+(?P<name>[^\"'<>\s]{1,128}+)[^<>\n]{0,40}+>",
    _FLAGS,
)
_TAGGED_END = regex.compile(
    r"(?:\s*+</(?:\w{1,20}+:)?+(?:invoke|functions?|tools?|tool_use|(?:tool|function)_?calls?)>)++", _FLAGS
)
_ANY = regex.compile(rf"(?P<tagged>{_TAGGED.pattern})|(?P<json>{OBJECT.pattern})|(?P<named>{_NAMED.pattern})", _FLAGS)
_WORD = regex.compile(rf"{_QUOTE}(?:(?:functions?|tools?|default_api)\.)?+(?P<name>[\w.\-]{{1,128}}+)")
_PREFIX_LETTERS = "AaRrYyCcLlVvNnPpJjFfTtOoEeIiSsUuHh"
STARTS = frozenset(f"{_PREFIX_LETTERS}$&→>-=#/@<[{{(`\"'*_")
_NOT_NOW = regex.compile(
    r"\b(?:exempl\w*|examples?|ejemplos?|e\.g|usage|sintaxe|syntax|would|could|can|pode\w*|puede\w*|se|if|si|failed|falh\w+)\b",
    _FLAGS,
)
_SENTENCE_END = regex.compile(r"\n|[.!?](?=\s)")
_NOISE = regex.compile(r"(?:[\s)\]}>;,.`'\"*_|…]++|</?[\w:]{1,40}+>|<\|[^|>\n]{1,40}+\|>|\[/?\w{1,40}+\]|~~~)*+")
_SAME_LINE = regex.compile(r"(?:[)\]}>;,.`'\"*_|… \t]++|</?[\w:]{1,40}+>|<\|[^|>\n]{1,40}+\|>|\[/?\w{1,40}+\])*+[^\s]")
_OWN_KEYS = frozenset(
    {*NAME_KEYS, *ARGUMENT_KEYS, "action", "command", "type", "id", "call_id", "index", "thought", "reason"}
)
_VALUE_KEYS = (*ARGUMENT_KEYS, "action_input", "tool_input", "kwargs")


class Suspicions:
    """Decides for the start of a line or of a sentence whether a call may begin there."""

    def __init__(self, tools: syntax.DeclaredTools) -> None:
        self._tools = tools
        self._starts = STARTS | {name[0] for name in tools.names if name}

    def found(self, text: str, at: int, *, ended: bool) -> bool | None:
        """Return whether the text from `at` on has to be judged as a whole; None: more decides."""
        if text[at] not in self._starts:
            return False
        window = text[at : at + WINDOW]
        whole = ended or len(text) - at >= WINDOW
        start = 0
        for _ in range(PARTS):
            code = _CODE_BEFORE.match(window, start, partial=not whole)
            if code is None:
                break
            if code.partial:
                return None
            start = code.end()
        if (named := self._named(window, start, whole=whole)) is not False:
            return named
        found = OBJECT.match(window, start, partial=not whole)
        if found is not None:
            return None if found.partial else self._has_member(window, start, whole=whole)
        return self._announced(window, whole=whole)

    def _named(self, window: str, at: int, *, whole: bool) -> bool | None:
        """Return whether a declared name and the start of arguments are at `at`."""
        word = _WORD.match(window, at, partial=not whole)
        if word is None:
            return False
        if word.partial or word.end() == len(window):
            return None if not whole and self._may_start(word["name"] or "") else False
        if word["name"] not in self._tools:
            return False
        found = _NAMED.match(window, at, partial=not whole)
        if found is None or found.partial:
            return None if found else False
        nothing = syntax.NOTHING.match(window, found.end(), partial=not whole) if at == 0 and found["call"] else None
        if nothing is not None:  # a function, as in `now()`
            return None if nothing.partial else False
        return found["name"] in self._tools

    def _may_start(self, word: str) -> bool:
        return self._tools.may_start(word) or any(prefix.startswith(word.lower()) for prefix in _PREFIXES)

    def _has_member(self, window: str, at: int, *, whole: bool) -> bool | None:
        try:
            end, closed = python_syntax.balanced_end(window, at), True
        except LenientJsonError:
            end, closed = len(window), False
        block = syntax.BLOCK_IN_STRING.search(window, at, end)
        names = [block["name"]] if block is not None and block.end() < len(window) else []
        if any(map(self._is_declared, names + [found["name"] for found in _MEMBER.finditer(window, at, end)])):
            return True
        return False if whole or closed else None

    def _announced(self, window: str, *, whole: bool) -> bool | None:
        start = ANNOUNCEMENT.match(window, partial=not whole)
        if start is None:
            return False
        if start.partial:
            return None
        end = _SENTENCE_END.search(window, start.end())
        limit = len(window) if end is None else end.start()
        for word in _WORD.finditer(window, start.end(), limit):
            if not self._is_declared(word["name"]):
                continue
            found = _NAMED.match(window, word.start())
            if found is not None and self._is_declared(found["name"]):
                return _NOT_NOW.search(window, 0, found.start()) is None
        if whole or end is None:
            return False if whole else None
        following = window[end.end() :].lstrip()
        return False if following and not "```".startswith(following[:3]) else None

    def _is_declared(self, name: str) -> bool:
        return self._tools.resolve(name.rstrip(".:"), unknown=False) is not None


class SuspectedCall(JudgedText):
    """Holds such text until it is judged: `unreadable`, or text, and `unparsed` is read again."""

    def __init__(self, tools: syntax.DeclaredTools) -> None:
        super().__init__("it has another form than a block")
        self._tools = tools

    def _judge(self, *, complete: bool) -> None:
        text = self.text
        last = 0
        for start, end, fits in _Calls(text, self._tools):
            if not fits or (last and goes_on(text[last:start])):
                break
            if end is None:  # cut off
                self.done = self.unreadable = complete
                return
            last = end
        rest = text[last:]
        if last == 0 or goes_on(rest) or (rest[:1] == "`" and rest.strip("`. \n")):
            self._is_text(last or len(text.partition("\n")[0]))
        elif complete:
            self.done = self.unreadable = True


def goes_on(text: str) -> bool:
    """Return whether text behind a call goes on in its line, or is more than a remark."""
    line = text.partition("\n")[0]
    same = _SAME_LINE.match(line)
    noise = _NOISE.match(text)
    left = text[noise.end() :] if noise is not None else text
    return (same is not None and same.end() <= len(line)) or len(left) > TEXT_LIMIT


class _Calls:
    """Yields the start and the end of each call in a text, and whether it fits its tool."""

    def __init__(self, text: str, tools: syntax.DeclaredTools) -> None:
        self._text = text
        self._tools = tools

    def __iter__(self) -> Iterator[tuple[int, int | None, bool]]:
        at = 0
        while (found := self._next(at)) is not None:
            yield found
            if found[1] is None:
                return
            at = found[1]

    def _next(self, at: int) -> tuple[int, int | None, bool] | None:
        limit = at + WINDOW
        for found in _ANY.finditer(self._text, at, limit):
            if found["json"]:
                return self._json(found.start())
            if found["tagged"]:
                closing = _TAGGED_END.search(self._text, found.end())
                declared = self._tools.resolve(found["name"], unknown=False) is not None
                return found.start(), None if closing is None else closing.end(), declared
            name = self._tools.resolve(found["name"].rstrip(".:"), unknown=False)
            if name is not None:
                end, keys = self._keys(name, found.end() - 1)
                return found.start(), end, keys is None or self._fits(name, keys)
        return None

    def _keys(self, name: str, at: int) -> tuple[int | None, set[str] | None]:
        """Return the end of the arguments at `at`, and their names; None for what is cut off."""
        text = self._text
        if text[at] == "{":
            return self._members(text, at)
        try:
            end = python_syntax.balanced_end(text, at)
        except LenientJsonError:
            return None, None
        inner = text[at + 1 : end - 1].strip()
        if inner.startswith("{"):
            _, keys = self._members(inner, 0)
            return end, keys
        try:
            return end, set(python_syntax.arguments(inner, self._single(name)))
        except LenientJsonError:
            _, keys = self._members("{" + inner + "}", 0)
            return end, keys or {""}

    def _members(self, text: str, at: int) -> tuple[int | None, set[str] | None]:
        parser = LenientJsonParser()
        try:
            end = parser.feed(text, at)
            return (end, set(json.loads(parser.take()))) if parser.done else (None, None)
        except (LenientJsonError, ValueError, RecursionError):
            pass
        try:
            end = python_syntax.balanced_end(text, at)
        except LenientJsonError:
            return None, None
        return end, set(regex.findall(r"[{,]\s*+[\"']?+([\w.$-]{1,100}+)[\"']?+\s*+[:=]", text[at:end]))

    def _single(self, name: str) -> str | None:
        required = self._tools.parameters(name).get("required")
        return str(required[0]) if isinstance(required, list) and len(required) == 1 else None

    def _fits(self, name: str, keys: set[str]) -> bool:
        schema = self._tools.parameters(name)
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return not keys
        return keys <= properties.keys() and bool(keys or not schema.get("required"))

    def _json(self, at: int) -> tuple[int, int | None, bool]:
        parser = LenientJsonParser(lists=True)
        try:
            end = parser.feed(self._text, at)
            if not parser.done:
                return at, None, True
            return at, end, self._names_call(json.loads(parser.take()), _DEPTH)
        except (LenientJsonError, ValueError, RecursionError):
            pass
        try:
            return at, python_syntax.balanced_end(self._text, at), True
        except LenientJsonError:
            return at, None, True

    def _names_call(self, value: Any, depth: int) -> bool:
        """Return whether a part of the JSON names a declared tool and has its arguments."""
        if isinstance(value, str) and (block := syntax.BLOCK_IN_STRING.search(value)) is not None:
            return self._resolved(block["name"]) is not None
        if isinstance(value, list):
            return depth > 0 and any(self._names_call(item, depth - 1) for item in value[:50])
        if not isinstance(value, dict) or depth == 0:
            return False
        for key in (*NAME_KEYS, "recipient_name", "action", "command"):
            name = self._resolved(value.get(key))
            if name is not None and self._has_arguments(name, value):
                return True
        for key, part in value.items():
            name = self._resolved(key) if isinstance(part, dict) else None
            if name is not None and part and self._fits(name, set(part)):
                return True
        return any(self._names_call(part, depth - 1) for part in value.values() if isinstance(part, dict | list | str))

    def _resolved(self, name: Any) -> str | None:
        return self._tools.resolve(name, unknown=False) if isinstance(name, str) else None

    def _has_arguments(self, name: str, call: Mapping[str, Any]) -> bool:
        for key in _VALUE_KEYS:
            if key not in call:
                continue
            given = call[key]
            if isinstance(given, str):
                try:
                    given = json.loads(given)
                except ValueError:
                    return bool(given.lstrip().startswith("{"))
            if isinstance(given, dict):
                return self._fits(name, set(given))
            return given is None or given == []
        flat = set(call) - _OWN_KEYS
        return bool(flat) and self._fits(name, flat)
