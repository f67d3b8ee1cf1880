"""Reads the rest of what BlockParser could not: it has calls, or is repaired or shown whole."""

from __future__ import annotations

from abc import ABC, abstractmethod

import regex

from ..lenient_json import LenientJsonError
from . import loose_block, syntax
from .syntax import Call
from .text_parser import THOUGHT

# A block without a name and arguments may be prose: after so many characters it is.
DOUBTFUL_CHARACTERS = 1200

_SPACE = regex.compile(r"[\s\ufeff]*+")
_END_LINE = regex.compile(rf"^[ \t]*+{syntax.END_AHEAD.pattern}", regex.IGNORECASE | regex.MULTILINE)
MARKER_LINE = regex.compile(rf"(?<=\n){syntax.MARKER.pattern}(?=[\s\S])", regex.IGNORECASE)
_DECORATION = regex.compile(
    r"[\s*_`\])>:.()=|}\"~!,;-]*+(?:(?:none|null|n/a|no[_ ](?:tool|call)s?|nenhuma?(?:[ ]ferramenta)?|ninguna?(?:[ ]herramienta)?)"
    r"[\s*_`\])>:.(),;-]*+(?:arguments?:?\s*+(?:\{\s*+\}|none|null|n/a)\s*+)?+)?+",
    regex.IGNORECASE,
)
_PATCH_BEGIN, _PATCH_END = "*** Begin Patch", "*** End Patch"
_FENCE = regex.compile(r"```|~~~")
_FENCE_LINES = regex.compile(r"\A(?:```|~~~)[^\n]*\n|\n?(?:```|~~~)\s*\Z")
_TOOL = r"(?:tool|function|ferramenta|fun[cç][aã]o|herramienta|funci[oó]n)"
_NAME_OF_TOOL = (
    rf"(?:(?:the |o |a |el |la )?{_TOOL}(?:['’]?s)?(?:[_ -]?(?:name|nome|nombre))?"
    rf"|(?:nome|name|nombre)(?:[_ ](?:of|da|do|de|la|the|{_TOOL})){{0,4}}|my_tool|minha_ferramenta)"
)
_ANYTHING = (
    r"(?:<[^<>\n{\"]{1,80}>|\{\s*(?:\.{3}|…|<[^<>\n]{1,60}>|[^\W\d][\w ]{1,40})\s*\}|\[[^\W\d][\w \-]{2,60}\]|\.{3}|…)"
)
# What documents write for arguments, or for a name.
_LEFT_OUT = r"(?:<[^<>\n{\"]{1,80}>|\{\s*(?:\.{3}|…|<[^<>\n]{1,60}>)\s*\}|\.{3}|…)"
_ANY_ARGUMENTS = regex.compile(
    rf"\s*+[^\n]{{0,140}}\n[^\n{{<\[]{{0,40}}[:=]\s*+{_LEFT_OUT}[ \t]*+(?:\r?\n|\Z)", regex.IGNORECASE
)
_PLACEHOLDER = regex.compile(
    rf"[^\w\n<\[{{.…]*+\s*+[*\"'`]{{0,3}}+(?:{_ANYTHING}|{_NAME_OF_TOOL})[*\"'`:]{{0,4}}+[ \t]*+(?:\r?\n|\Z)"
    rf"|\s*+[^\n]{{0,100}}\n[^\n{{<\[]{{0,40}}[:=]\s*+(?:{_ANYTHING})[ \t]*+(?:\r?\n|\Z)",
    regex.IGNORECASE,
)
_FIRST_SIZE = 300  # characters at which JudgedText is judged first


class Unread(ABC):
    """Text that is held until it is `done`; then it has `calls`, is `unreadable`, or plain `text`.

    `reason` says why it is unreadable. It `belongs_to_last` if it may be a part of the call before.
    """

    def __init__(self, start: str, reason: str = "") -> None:
        self.done = False
        self.unreadable = False
        self.calls: list[Call] = []
        self.reason = reason
        self.belongs_to_last = False
        self.is_empty = False
        self._pieces = [start]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def append(self, text: str) -> None:
        """Add text without reading it."""
        self._pieces.append(text)

    @abstractmethod
    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""

    def _read_to_marker(self, text: str, at: int, *, ended: bool) -> tuple[int, bool]:
        """Read up to a start marker; return the new position, and whether the text is complete."""
        found = MARKER_LINE.search(text, at, partial=True)
        if found is not None and found.partial and ended:
            found = None
        end = len(text) if found is None else found.start()
        self._pieces.append(text[at:end])
        return end, ended or (found is not None and not found.partial)


class JudgedText(Unread):
    """Unread text that is judged each time it has doubled, so that the work grows with its length.

    `unparsed`, the text behind a call or behind what is plain text, is read again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("", reason)
        self.unparsed = ""
        self._size = 0
        self._next = _FIRST_SIZE

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        end, complete = self._read_to_marker(text, at, ended=ended)
        self._size += end - at
        if complete or self._size >= self._next:
            self._next = 2 * self._size
            self._judge(complete=complete)
        return end

    @abstractmethod
    def _judge(self, *, complete: bool) -> None:
        """Decide if the text is enough; `complete`: no more of it follows."""

    def _is_text(self, end: int) -> None:
        """End as plain text up to `end`."""
        text = self.text
        self.done = True
        self._pieces = [text[:end]]
        self.unparsed = text[end:]


class _Patch:
    """Knows whether the text that was noted ends within a patch, which may have any line."""

    def __init__(self) -> None:
        self._open = False
        self._tail = ""

    def is_open(self, text: str) -> bool:
        """Return whether the noted text and this one end within a patch."""
        text = self._tail + text
        begin, end = text.rfind(_PATCH_BEGIN), text.rfind(_PATCH_END)
        return begin > end if begin != end else self._open

    def note(self, text: str) -> None:
        """Add a text."""
        self._open = self.is_open(text)
        self._tail = (self._tail + text)[1 - len(_PATCH_BEGIN) :]


class UnreadableBlock(Unread):
    """Reads to the end marker, to the next start marker, or to the end of the reply.

    `start` is the block's marker, and `before` the call before this part of the block. A block
    whose name was parsed is `certain` to be meant as a call; any other only if an end marker is on
    a line of its own.
    """

    def __init__(
        self, start: str, tools: syntax.DeclaredTools, *, certain: bool, before: Call | None = None, reason: str = ""
    ) -> None:
        super().__init__(start, reason)
        self.unreadable = certain
        self._tools = tools
        self._certain = certain
        self._before = before
        self._start = len(start)
        self._left = DOUBTFUL_CHARACTERS
        self._patch = _Patch()

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        limit = len(text) + 1 if self._certain else at + self._left
        at, found = self._next_marker(text, at, limit, ended=ended)
        if len(text) >= limit and (found is None or found.partial) and self._is_long_call(text[at:limit]):
            self._certain = self.unreadable = True  # and not only prose
        elif found is not None and found.partial and (ended or len(text) >= limit):
            found = None
        end = min(len(text), limit) if found is None else found.start()
        self._pieces.append(text[at:end])
        self._patch.note(text[at:end])
        self._left -= end - at
        complete = found if found is not None and not found.partial else None
        self.done = complete is not None or ended or not (self._certain or self._left)
        closing = (complete["end"] or "") if complete is not None else ""
        if self.done:
            self._settle(closing, complete=complete is not None)
        return end + len(closing)

    def _next_marker(self, text: str, at: int, limit: int, *, ended: bool) -> tuple[int, regex.Match[str] | None]:
        """Return the position and the next marker after it; those within a patch are its text."""
        while True:
            # An end marker is decided by the character behind it.
            found = syntax.END_OR_MARKER.search(text + "\n" if ended else text, at, limit, partial=True)
            within = text[at : len(text) if found is None or found.partial else found.start()]
            if found is None or found.partial or not self._patch.is_open(within):
                return at, found
            self._pieces.append(text[at : found.end()])
            self._patch.note(text[at : found.end()])
            self._left -= found.end() - at
            at = found.end()

    def _is_template(self, body: str) -> bool:
        """Return whether the block stands for any call: in a document, not in an agent's reply."""
        named = body.strip().partition("\n")[0].strip("<>[]*_`\"' ") in self._tools
        return (_ANY_ARGUMENTS if named else _PLACEHOLDER).match(body) is not None

    def _is_long_call(self, rest: str) -> bool:
        body = self.text[self._start :] + rest
        return not self._certain and loose_block.starts_call(body, self._tools)

    def _settle(self, closing: str, *, complete: bool) -> None:
        """Read the whole of it; it is `complete` if a marker follows."""
        body = self.text[self._start :]
        self._pieces.append(closing)
        self.is_empty = bool(closing) and _DECORATION.fullmatch(body) is not None
        on_line = self._certain or _END_LINE.search(self.text) is not None
        if self.is_empty or not (on_line or (closing and loose_block.starts_call(body, self._tools))):
            self.unreadable = self._certain
            return
        try:
            self.calls = loose_block.read_block(body, self._tools, self._before, closed=complete)
        except (LenientJsonError, RecursionError) as error:
            self.reason = str(error) if self.reason in {"", loose_block.NO_END} else self.reason
            meant = self._certain or loose_block.is_suspicious(body, self._tools)
            template = self._before is None and self._is_template(body)
            self.unreadable = on_line and meant and not template
            self.belongs_to_last = self._before is not None and not loose_block.starts_call(body, self._tools)


class UnreadableIndentedBlock(UnreadableBlock):
    """Reads such a block that is indented as code behind text; it is text if text follows it."""

    def __init__(self, start: str, tools: syntax.DeclaredTools, *, certain: bool) -> None:
        super().__init__(start, tools, certain=certain)
        self._closed = False

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        if not self._closed:
            at = super().read(text, at, ended=ended)
            if not self.done:
                return at
            self._closed = True
        space = _SPACE.match(text, at)
        end = space.end() if space is not None else at
        self._pieces.append(text[at:end])
        self.done = ended or end < len(text)
        if end < len(text):
            marker = syntax.MARKER.match(text, end, partial=not ended)
            if marker is not None and marker.partial:
                self.done = False
            elif marker is None:
                self.unreadable = False
                self.calls.clear()
        return end


class UnreadableCodeFence(Unread):
    """Reads the rest of a code fence with such a block; `unreadable` only if no text follows it.

    A `foreign` one has a call in another form, which is not read. Another that is not `certain` to
    be meant as a call is unreadable only if it has calls.
    """

    def __init__(
        self, start: str, tools: syntax.DeclaredTools, *, certain: bool = False, foreign: bool = False
    ) -> None:
        super().__init__(start, "it has another form than a block")
        self._tools = tools
        self._certain = certain
        self._foreign = foreign
        self._opened = not foreign
        self._closed = False

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        start = at
        if not self._opened:
            self._opened = True
            at += 3
        if not self._closed:
            found = _FENCE.search(text, at, partial=True)
            self._closed = found is not None and not found.partial
            at = (
                len(text)
                if found is None or (found.partial and ended)
                else found.end()
                if self._closed
                else found.start()
            )
        if self._closed and (space := _SPACE.match(text, at)) is not None:
            at = space.end()
        self._pieces.append(text[start:at])
        self.done = ended or (self._closed and at < len(text))
        if self.done and at == len(text):
            self._settle()
        return at

    def _settle(self) -> None:
        self.unreadable = self._foreign or self._certain
        if self._foreign:
            return
        body = _FENCE_LINES.sub("", self.text)
        try:
            self.calls = loose_block.read_block(body, self._tools, None, closed=_END_LINE.search(body) is not None)
        except (LenientJsonError, RecursionError) as error:
            self.reason = str(error)


class BlockInThought(Unread):
    """Reads a block within a thought to its end; a thought without an end was meant to end before.

    It starts behind the line end in front of the start marker.
    """

    def __init__(self, tools: syntax.DeclaredTools) -> None:
        super().__init__("", "it is in a thought that has no end")
        self._tools = tools

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        found = THOUGHT.search(text, at, partial=True)
        if found is not None and found.partial and ended:
            found = None
        end = len(text) if found is None else found.start() if found.partial else found.end()
        self._pieces.append(text[at:end])
        closed = found is not None and not found.partial
        self.done = ended or closed
        if self.done and not closed:
            marker = syntax.MARKER.match(self.text)
            body = self.text[marker.end() :] if marker is not None else ""
            self.unreadable = loose_block.starts_call(body, self._tools)
        return end


class ForeignCall(Unread):
    """Reads a call in another form to the next start marker, or to the end of the reply."""

    def __init__(self, reason: str, start: str = "") -> None:
        super().__init__(start, reason)
        self.unreadable = True

    def read(self, text: str, at: int, *, ended: bool) -> int:
        """Read from `at` and return the new position; `ended`: the reply ends with `text`."""
        end, self.done = self._read_to_marker(text, at, ended=ended)
        return end
