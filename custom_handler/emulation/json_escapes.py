"""Decides whether the backslashes of one JSON string are escapes or characters.

Models write Windows paths and patterns without escaping the backslashes. An invalid escape shows
that (`\\U`, `\\d`): then each backslash of the string is a character, except before a quote. If the
string also has an escape that may be meant (`\\n`), it is a Windows path as a whole, or an error:
never half of each.
"""

from __future__ import annotations

import re

from .strict_json import LenientJsonError

# The start of a path before its first backslash, or a part of that.
_START = re.compile(r"(?:[A-Za-z]:?|\.{1,2}|%\w{0,40}%?)?")
# A line end between a file name and more text is more likely than a directory of that name.
_PATH = re.compile(
    r"(?:(?:[A-Za-z]:|\.{1,2}|%\w+%)\\(?!\\)|\\\\[\w.$-]+\\)"
    r"(?:(?!\.\w{1,4}\\[nrt]|\\[nr]?\\)[^\x00-\x1f\"<>|*?:/])*"
)
_LIMIT = 300  # characters of a path
_AMBIGUOUS = re.compile(r'[^\\]*(?:\\"[^\\]*)*\\[^"]')


class StringEscapes:
    """The escapes of one string; `note` each part of it as it came.

    While `undecided`, the string may turn out to be a path that `literal` writes anew.

    >>> escapes = StringEscapes()
    >>> escapes.note("C:"), escapes.note("\\\\U", unescaped=True), escapes.note("sers\\\\novo")
    (None, None, None)
    >>> print(escapes.literal())
    C:\\\\Users\\\\novo
    """

    __slots__ = ("_ambiguous", "_path", "_unescaped")

    def __init__(self, *, may_be_path: bool = True) -> None:
        self._ambiguous = self._unescaped = False
        self._path: str | None = "" if may_be_path else None

    @property
    def undecided(self) -> bool:
        """Whether the string so far may be a path."""
        return self._path is not None

    @property
    def unescaped(self) -> bool:
        """Whether a backslash was no valid escape."""
        return self._unescaped

    def note(self, raw: str, *, unescaped: bool = False) -> None:
        """Note a part; raises LenientJsonError where its escapes contradict earlier ones.

        `unescaped`: it is a backslash that is no valid escape.
        """
        self._unescaped |= unescaped
        self._ambiguous |= not unescaped and "\\" in raw and _AMBIGUOUS.match(raw) is not None
        if self._path is not None:
            self._path += raw
            if len(self._path) > _LIMIT or not _START.fullmatch(self._path.partition("\\")[0]):
                self._path = None
        if self._path is None:
            self._check()

    def literal(self) -> str | None:
        """Return the path as JSON at the end of the string, None if it stays as it was written.

        Raises LenientJsonError as `note` does.
        """
        if self._path is None or not (self._ambiguous and self._unescaped):
            return None
        if _PATH.fullmatch(self._path) is None:
            self._path = None
            self._check()
        return (self._path or "").replace("\\", r"\\")

    def _check(self) -> None:
        if self._ambiguous and self._unescaped:
            raise LenientJsonError("a backslash that is not escaped, beside an escape that may be meant")
