r"""Finds a block whose markers are in a wrong dress, and reads it.

    <!-- FUNCTION_CALL_START -->     // TOOL CALL BEGIN (now)       FUNCTION_CALL_START\nread_file…
    read_file                        // read_file
    arguments: {"path": "/a"}        // arguments: {"path": "/a"}
    <!-- FUNCTION_CALL_END -->       // TOOL CALL END

A marker is a line of words for call, tool, function, start or end, with other characters between
them and around them. It counts only in front of a declared name with arguments. With a start, an
end and one readable object between, the block is read; else it is repaired. Text behind it that is
longer than a remark makes it documentation.
"""

from __future__ import annotations

import regex

from ..lenient_json import LenientJsonError
from . import loose_block, python_syntax, syntax
from .suspicion import goes_on
from .unreadable import JudgedText

_FLAGS = regex.IGNORECASE
_WINDOW = 400
_END_NEAR = 200  # characters between the arguments and the end marker

_MARK = r"[^\p{L}\p{N}\n]"  # neither a letter nor a digit
_THING = (
    r"(?:FUNCTIONS?|FUN[CÇ][AÃ]O|FUNCI[OÓ]N|FUNC|TOOLS?|CALL(?:S(?!TART|TOP)|ING)?|CHAMADA|LLAMADA|FERRAMENTA|HERRAMIENTA"
    r"|INVOKE|INVOCATION)"
)
_FIRST = r"(?:START|BEGIN|OPEN|IN[IÍ]CIO|INICIAR|COME[CÇ]O|COMIENZO|ABRIR)"
_LAST = r"(?:END|STOP|FINISH|CLOSE|COMPLETE|FIM|FIN|FINAL|FECHAR|CERRAR|T[EÉ]RMINO)"
_LINK = r"(?:DE|D[AEO]S?|LA|OF|THE|A|BLOCK|BLOCO|BLOQUE)"
_BETWEEN = r"(?:[^\p{L}\p{N}\n^-]|\n){0,4}+"  # `^` and `-` stand in copies of markers, see `imitations`
_THINGS = rf"{_THING}(?:{_BETWEEN}(?:{_LINK}{_MARK}{{1,3}}+){{0,2}}+{_THING}){{0,2}}+"
_WHOLE = r"(?![\p{L}\p{N}])"


def _marker(edge: str) -> str:
    """Return the pattern of the words of a start or an end marker."""
    link = rf"{_BETWEEN}(?:{_LINK}{_MARK}{{1,3}}+){{0,2}}+"
    return rf"(?:{_THINGS}{link}{edge}|{edge}{link}{_THINGS}){_WHOLE}"


_REMARK = rf"(?:{_MARK}{{0,12}}+(?:(?<=[(\[\#—–:/-][ \t]?)[^\n]{{0,60}}+)?+)"
_COLON = r"[^\p{L}\p{N}\n:={]{0,4}+[:=][^\p{L}\p{N}\n{]{0,6}+"
_NAME_LABEL = rf"(?:(?:{syntax.NAME_WORD}){_COLON})?+"
_PREFIX = r"(?:(?![>|]|[-*+•][ \t])[^\p{L}\p{N}\n>|]{0,12}+)"
# The word of a label is no name, or the colon behind it would change what was decided before.
_NAME = rf"{_NAME_LABEL}(?!(?:{syntax.NAME_WORD})\b)(?P<name>[\w./:$-]{{1,128}}+)(?=[^\w./:$-])"
# What stands before the name: the first decides, so that a remark is not taken for a name.
HEADS = tuple(
    regex.compile(rf"(?P<prefix>{_PREFIX}){start}{_NAME}", _FLAGS)
    for start in (
        rf"{_marker(_FIRST)}{_REMARK}\n{_MARK}{{0,12}}+",
        rf"{_marker(_FIRST)}{_MARK}{{1,12}}+",
        rf"{_THINGS}{_WHOLE}{_COLON}\n?+[^\p{{L}}\p{{N}}\n{{]{{0,12}}+",
    )
)
# The start of arguments; `{path}` and `(path)` are those of a description.
_OPEN = r"(?:\{(?=\s{0,20}+(?:[\"'“{}]|\w{1,60}+\s{0,4}+[:=]))|\((?=\s{0,20}+(?:[\"'“{)]|\w{1,60}+\s{0,4}+=)))"
_ARGUMENTS = regex.compile(
    r"(?:[^\p{L}\p{N}{(]|\n){0,40}+(?:json\s{0,4}+)?+"
    rf"(?:{_OPEN}|(?:{syntax.ARGUMENTS_WORD})(?:[^\p{{L}}\p{{N}}{{(]|\n){{0,20}}+(?:json\s{{0,4}}+)?+{_OPEN})",
    _FLAGS,
)
_END = regex.compile(
    rf"(?:{_MARK}|\n){{0,40}}+{_marker(_LAST)}{_REMARK}(?=\n|\Z)",
    _FLAGS,
)
_ANY_START = regex.compile(rf"\s*+(?:{syntax.MARKER.pattern}|{_MARK}{{0,12}}+{_marker(_FIRST)})", _FLAGS)
_LINE_PREFIX = regex.compile(r"^[ \t]*+(?://+|\#+|--|;+|>|\*|\|)[ \t]?+", regex.MULTILINE)
_LITERAL_LINE_END = regex.compile(r"(?:\\r)?\\n")
_LITERAL_LINE_ENDS = regex.compile(rf"\A(?:{_LITERAL_LINE_END.pattern})+")

# Characters that look like those of a marker, each with one in its place.
_PLAIN = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | str.maketrans(
    "АВСЕНІКМОРТХаеорсхіΑΒΕΗΙΚΜΝΟΡΤΧ", "ABCEHIKMOPTXaeopcxiABEHIKMNOPTX"
)
STARTS = frozenset("*_:+~.$@FfTtCcSsBbOoIiAaLlHh«<[(/#;-=~{!%&`'\"ＦＴ【《〈“")


def plain_characters(text: str) -> str:
    r"""Return the text with plain characters, and with line ends for `\n`; as long as before."""
    plain = text if text.isascii() else text.translate(_PLAIN)
    start = plain.partition("\n")[0]
    return plain.replace("\\n", " \n") if "\\n" in start else plain


class OddBlocks:
    """Decides for the start of a line whether such a block starts there."""

    def __init__(self, tools: syntax.DeclaredTools) -> None:
        self._tools = tools

    def found(self, text: str, at: int, *, ended: bool) -> bool | None:
        """Return whether such a block starts at `at`; None while more text decides."""
        if text[at] not in STARTS:
            return False
        window = plain_characters(text[at : at + _WINDOW])
        whole = ended or len(text) - at >= _WINDOW
        head = self.head(window + "\n" if ended else window, whole=whole)
        if head is None or head.partial:
            return None if head is not None else False
        if "`" in head["prefix"] and "`" not in head[0][head.end("prefix") :].partition("\n")[0]:
            return False  # inline code
        arguments = _ARGUMENTS.match(window, head.end(), partial=not whole)
        return arguments is not None and (None if arguments.partial else True)

    def head(self, text: str, *, whole: bool) -> regex.Match[str] | None:
        """Return the match up to a declared name, a partial one while more text decides."""
        for pattern in HEADS:
            found = pattern.match(text, partial=not whole)
            if found is not None and (found.partial or self._is_declared(found["name"])):
                return found
        return None

    def _is_declared(self, name: str) -> bool:
        return self._tools.resolve(name.rstrip(".:"), unknown=False) is not None


class OddBlock(JudgedText):
    """Holds such a block until it is judged; `unparsed`, the text behind it, is read again."""

    def __init__(self, tools: syntax.DeclaredTools, blocks: OddBlocks) -> None:
        super().__init__("its markers are not those of a block")
        self._tools = tools
        self._blocks = blocks

    def _judge(self, *, complete: bool) -> None:
        text = self.text
        plain = plain_characters(text)
        head = self._blocks.head(plain, whole=True)
        opening = _ARGUMENTS.match(plain, head.end()) if head is not None else None
        if head is None or opening is None:
            self._is_text(len(text.partition("\n")[0]))
            return
        try:
            last = python_syntax.balanced_end(text, opening.end() - 1)
        except LenientJsonError:
            self.done = self.unreadable = complete
            return
        end = _END.search(plain, last, last + _END_NEAR)
        rest = plain[end.end() if end is not None else last :]
        another = _ANY_START.match(rest) is not None
        if not another and goes_on(rest):
            self._is_text(last)
        elif complete or (another and end is not None):
            self._settle(head.start("name"), last, end.end() if end is not None else None)

    def _settle(self, start: int, last: int, end: int | None) -> None:
        """Read the name and the arguments between the markers; `end` is that of the end marker."""
        self.done = self.unreadable = True
        if end is None:
            return
        text = self.text
        head, mark, arguments = text[start:last].partition("{")
        body = _LINE_PREFIX.sub("", _LITERAL_LINE_END.sub("\n", head)) + mark + arguments
        try:
            self.calls = loose_block.read_block(body, self._tools, None, closed=True)
        except (LenientJsonError, RecursionError) as error:
            self.reason = str(error)
            return
        self.unreadable = False
        end -= text[end - 1] == "\\"  # of a literal line end
        self._pieces, self.unparsed = [text[:end]], _LITERAL_LINE_ENDS.sub("", text[end:].lstrip("`"))
