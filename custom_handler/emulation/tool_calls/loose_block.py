"""Reads a whole block that BlockParser could not: several calls, spellings of weaker models.

What names a declared tool, holds arguments, a code fence or `key: value` is read or is a fault;
only separators and short lines without any of these are dropped. Nothing is guessed.
"""

from __future__ import annotations

import json

import regex

from ..lenient_json import LenientJsonError, LenientJsonParser
from . import loose_arguments, mended_json, python_syntax, syntax, wrapper
from .syntax import Call, DeclaredTools

NO_END = "it has no end"  # what is known before the block is read as a whole
_FLAGS = regex.IGNORECASE
_SEPARATOR = regex.compile(
    r"[\s\ufeff\u200b]++|(?:→|->|=>|&&|\|{1,2})(?=\s)|\[\d{1,2}\](?=\s)|\*\*\d{1,2}[.)]\*\*(?=\s)"
    r"|[-=_~*]{3,}+(?=\s|$)|\#{1,6}+(?=\s)[ \t]*+\d{0,3}+(?=\s)|[,;](?=\s|\S)|[-*•+–](?=\s)|\(?\d{1,2}[.)](?=\s)"
    r"|```\w*+(?=\s|$)|~~~\w*+(?=\s|$)|</?(?:tool|function)_?(?:call|use)s?>|<\|[^|>\n]{0,40}+\|>|[)\]}>'\"`]"
    rf"|{syntax.MARKER.pattern}(?!\w)[*_`\])>:.()]{{0,4}}+|{syntax.END_AHEAD.pattern}(?!\w)[*_`\])>:.]{{0,4}}+",
    _FLAGS,
)
_PLAIN_LINE = regex.compile(r"[^\n]{0,80}+(?:\n|\Z)")
_HINT = regex.compile(
    rf"```|~~~|[{{}}\[<]|(?<!\w)(?:{syntax.ARGUMENTS_WORD})\b|[\w\"'*]\s{{0,3}}+[:=：]\s{{0,3}}+\S", _FLAGS
)
_CALLING = regex.compile(
    r"(?:(?:please|now|then|next|por favor|depois|agora|luego|ahora)[ ,]++)?"
    r"(?:call|use|invoke|run|chamar?|chame|usar?|use|invocar|executar|llamar?|invocar?)"
    r":?[ \t]++(?:(?:the|a|o|la|el)[ \t]++)?(?:(?:tool|function|ferramenta|fun[cç][aã]o|herramienta|funci[oó]n)[ \t]++)?",
    _FLAGS,
)
_NAME_LABEL = regex.compile(
    rf"[*\"'`]{{0,3}}+(?:{syntax.NAME_WORD}|herramienta|funci[oó]n|nombre)[*\"'`]{{0,3}}+\s*+(?:[:=：]|=>)[*]{{0,2}}+\s*+",
    _FLAGS,
)
_ID_LABEL = regex.compile(r"(?:tool_)?(?:call_?)?id[ \t]*+[:=][ \t]*+[^\s,]{1,80}+[ \t]*+[,\n]?+\s*+", _FLAGS)
_NAME_TAG = regex.compile(
    r"<(?:(?:tool_?|function_?)?name>\s*+(?P<inner>[^<>\s]{1,128})\s*+</(?:tool_?|function_?)?name>"
    r"|(?:invoke|function|tool|tool_call|function_call)(?:[ \t]++name)?[ \t]*+=[ \t]*+[\"']?+(?P<set>[^\"'<>\s]{1,128}+)[\"']?+\s*+>)",
    _FLAGS,
)
_NAME_TAG_END = regex.compile(r"\s*+</(?:invoke|function|tool|tool_call|function_call)>", _FLAGS)
_NAME = regex.compile(r"(?P<quote>[*\"'`<@]{0,3}+)(?P<name>[^\s\"'`(){}\[\],;<>|=：]{1,160}+)")
_AFTER_NAME = regex.compile(r"[*\"'`>]{0,3}+(?:[ \t]*+(?:->|=>|=|-)[ \t]*+(?=\{)|:\d{1,3}(?=\s)|;(?=\s)|:?+)")
_BLANKS_IN_NAME = regex.compile(
    r"[*\"'`]{0,3}+(?P<name>[\w.\-]{1,60}(?:[ ]{1,2}[\w.\-]{1,60}){1,6})[*\"'`:]{0,3}[ \t]*+(?=\n|\{)"
)


def read_block(text: str, tools: DeclaredTools, before: Call | None, *, closed: bool) -> list[Call]:
    """Return the calls in the block's text; raises LenientJsonError with the reason.

    `before` is the last call of the block before `text`. `closed`: an end marker follows.
    """
    if "<![CDATA[" in text:
        text = text.replace("<![CDATA[", "").replace("]]>", "")
    if "\\_" in text:
        text = text.replace("\\_", "_")
    return _Reader(text, tools, before, closed=closed).read()


def is_suspicious(text: str, tools: DeclaredTools) -> bool:
    """Return whether text in a block may belong to a call."""
    return _HINT.search(text) is not None or any(word in tools for word in regex.findall(r"[\w./:$-]+", text))


def starts_call(text: str, tools: DeclaredTools) -> bool:
    """Return whether the text starts with a declared name, or with arguments."""
    reader = _Reader(text, tools, None, closed=False)
    try:
        return reader.starts_call()
    except LenientJsonError:
        return True


class _Reader:
    def __init__(self, text: str, tools: DeclaredTools, before: Call | None, *, closed: bool) -> None:
        self._text = text
        self._tools = tools
        self._name = before.name if before is not None else ""  # the tool of arguments without a name
        self._closed = closed
        self._at = 0
        self._in_tag = False
        self._calls: list[Call] = []

    def read(self) -> list[Call]:
        while self._skip_separators():
            if not self._item():
                self._skip_plain_line()
        if not self._calls:
            raise LenientJsonError("there is no call in it")
        return self._calls

    def starts_call(self) -> bool:
        return self._skip_separators() and (
            loose_arguments.LABEL.match(self._text, self._at) is not None
            or self._text[self._at] in "{["
            or self._names() != []
        )

    def _skip_separators(self) -> bool:
        """Move to the next item; return whether there is one."""
        while found := _SEPARATOR.match(self._text, self._at):
            self._at = found.end()
        return self._at < len(self._text)

    def _skip_plain_line(self) -> None:
        found = _PLAIN_LINE.match(self._text, self._at)
        if found is None or is_suspicious(found[0], self._tools):
            raise LenientJsonError("a part of it is neither a tool's name nor its arguments")
        self._at = found.end()

    def _item(self) -> bool:
        """Read a call, or several, at the position; return whether there is one."""
        if self._text[self._at] in "{[" and not regex.match(r"\[[^\s\"{\[\]]", self._text, pos=self._at):
            return self._wrapped()
        if self._text[self._at] == "[":
            self._at += 1  # a list of calls as in Python
        if arguments := loose_arguments.LABEL.match(self._text, self._at):
            if not self._name or arguments["word"] in self._tools:
                return False
            self._read_arguments(self._name)
            if not self._is_complete(self._calls[-1].arguments):
                raise LenientJsonError("it has arguments without a name")
            return True
        return self._named()

    def _wrapped(self) -> bool:
        """Read an object that holds the whole call, or only arguments, or a list of these."""
        if self._text[self._at] == "[":
            end = python_syntax.balanced_end(self._text, self._at)
            parser = LenientJsonParser()
            written = '{"calls":' + self._text[self._at : end] + "}"
            if parser.feed(written) != len(written) or not parser.done:
                raise LenientJsonError("the list of calls is no valid JSON")
            strict = parser.take()
        else:
            strict, end = mended_json.read_object(self._text, self._at, frozenset(), closed=self._closed)
        try:
            self._calls += wrapper.calls_in(strict, self._tools, unknown=False)
        except LenientJsonError:
            if not self._name or not self._is_complete(strict):
                raise
            drop = self._tools.dropped_arguments(self._name)
            self._calls.append(Call(self._name, syntax.strict_arguments(strict, drop)))
        self._at = end
        return True

    def _is_complete(self, strict: str) -> bool:
        """Return whether an object without a name has all that the tool before requires."""
        required = self._tools.parameters(self._name).get("required")
        keys = json.loads(strict).keys() if strict.startswith("{") else set()
        return bool(keys) and isinstance(required, list) and set(map(str, required)) <= keys

    def _named(self) -> bool:
        """Read a name, or several, and the arguments."""
        start = self._at
        names = self._names()
        if not names:
            self._at = start
            return False
        for name in names[:-1]:
            if self._tools.parameters(name).get("properties"):
                raise LenientJsonError("two names before one object")
            self._calls.append(Call(name, "{}"))
        self._read_arguments(names[-1])
        return True

    def _names(self) -> list[str]:
        """Read declared names: one, or several with commas between them."""
        for prefix in (_ID_LABEL, _CALLING, _NAME_LABEL, _ID_LABEL):
            if found := prefix.match(self._text, self._at):
                self._at = found.end()
        names: list[str] = []
        self._in_tag = False
        if tag := _NAME_TAG.match(self._text, self._at):
            name = self._tools.resolve(tag["inner"] or tag["set"], unknown=False)
            names = [name] if name is not None else []
            self._at = tag.end()
            self._in_tag = tag["set"] is not None
        else:
            while (name := self._declared_name()) is not None:
                names.append(name)
                if not (comma := regex.match(r"\s*+,\s*+", self._text, pos=self._at)):
                    break
                if self._text[comma.end() : comma.end() + 1] in {'"', "{", ""}:
                    break
                self._at = comma.end()
        return names

    def _declared_name(self) -> str | None:
        """Read a declared tool's name."""
        quote = regex.match(r"[*\"'`<@]{0,3}+", self._text, pos=self._at)
        start = quote.end() if quote is not None else self._at
        for odd in self._tools.odd_names:
            if self._text.startswith(odd, start):
                self._at = start + len(odd)
                return self._after_name(odd)
        found = _NAME.match(self._text, self._at)
        if found is None:
            return None
        written = found["name"]
        name = self._tools.resolve(written.rstrip(".:*_"), unknown=False) or self._tools.resolve(written, unknown=False)
        if name is None and (spaced := _BLANKS_IN_NAME.match(self._text, self._at)):
            name = self._tools.resolve(spaced["name"].replace(" ", "_"), unknown=False)
            if name is not None:
                self._at = spaced.end("name")
                return self._after_name(name)
        if name is None and written.endswith(";"):
            written = written.rstrip(";")
            name = self._tools.resolve(written, unknown=False)
        if name is None and ":" in written:  # `Read:{…}`, `Read:file_path`
            written = written.partition(":")[0]
            name = self._tools.resolve(written, unknown=False)
        if name is None:
            return None
        self._at = found.start("name") + len(written)
        return self._after_name(name)

    def _after_name(self, name: str) -> str:
        if found := _AFTER_NAME.match(self._text, self._at):
            self._at = found.end()
        return name

    def _read_arguments(self, name: str) -> None:
        reader = loose_arguments.ArgumentsReader(self._text, self._at, name, self._tools, closed=self._closed)
        for arguments in reader.read():
            self._calls.append(Call(name, arguments))
        self._name = name
        self._at = reader.at
        if self._in_tag and (end := _NAME_TAG_END.match(self._text, self._at)):
            self._at = end.end()
