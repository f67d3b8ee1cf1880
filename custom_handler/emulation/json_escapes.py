"""Decides whether the backslashes of one JSON string are escapes or characters.

Models write Windows paths and patterns without escaping the backslashes. An invalid escape shows
that (`\\U`, `\\d`): then each backslash of the string is a character, except before a quote. If the
string also has an escape that may be meant (`\\n`), it is a Windows path as a whole, or an error:
never half of each.

`C:\\temp\\novo.txt` has valid escapes only. It is read as a path where both the key says so (`path`
or `caminho`) and the value is a path as a whole, with no line end that may be meant; a relative one
(`src\\new\\test.py`) is an error. Under any other key (`content`, `command`) valid escapes are
never touched.
"""

from __future__ import annotations

import re

from .strict_json import LenientJsonError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The start of a path before its first backslash, or a part of that.
_START = re.compile(r"(?:[A-Za-z]:?|\.{1,2}|%\w{0,40}%?)?")
# A line end between a file name and more text is more likely than a directory of that name.
_PATH = re.compile(
    r"(?:(?:[A-Za-z]:|\.{1,2}|%\w+%)\\|\\\\[\w.$-]+\\)(?!\\)"
    r"(?:(?!\.\w{1,4}\\[nrt]|\\[nr]?\\)[^\x00-\x1f\"<>|*?:/])*"
)
# As above, also where a line end may be meant: under the key of a path, such a value is a fault.
_LIKE_PATH = re.compile(r"(?:(?:[A-Za-z]:|\.{1,2}|%\w+%)\\|\\\\[\w.$-]+\\)[^\x00-\x1f\"<>|*?:/]*")
# `src\\new\\test.py`, `tests\\run`: under the key of a path no lines of a list, but a fault.
_RELATIVE = re.compile(
    r"(?!.*(?:\.\w{1,4}\\[nrt]|\\r\\n))(?:(?:[\w$@.-]+\\){2,20}[\w$@-]+\.\w{1,5}|(?=.*\\[trbf])(?:[\w$@.-]+\\){1,20}[\w$@.-]+)"
)
_RELATIVE_START = re.compile(r"[\w$@.-]{0,100}")
_NO_NAME = re.compile(r"\\[nrt]?(?:\s|\\|\Z)|\\u[0-9a-fA-F]{4}")
_KEY_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
_PATH_WORDS = _words(
    "path paths filepath filename file files dir dirs directory directories folder folders cwd workdir pathname "
    "caminho caminhos arquivo arquivos pasta pastas diretorio diretório diretorios diretórios ficheiro "
    "ruta rutas archivo archivos carpeta carpetas directorio directorios"
)
_CONTENT_WORDS = _words(
    "content contents text texts body data code line lines diff patch description comment message command query "
    "prompt pattern conteudo conteúdo texto corpo dados contenido cuerpo datos comando"
)
_CONTROL = re.compile(r"\\[nrtbf]")
_HALF_ESCAPED = "a backslash that is not escaped, beside an escape that may be meant"
_LIMIT = 300  # characters of a path
_AMBIGUOUS = re.compile(r'[^\\]*(?:\\"[^\\]*)*\\[^"]')


def names_path(key: str) -> bool:
    """Return whether the value of a key is a path of a file or a directory.

    >>> names_path("filePath"), names_path("caminho_do_arquivo"), names_path("file_text")
    (True, True, False)
    """
    words = {word.lower() for word in _KEY_WORD.findall(key)}
    return not words.isdisjoint(_PATH_WORDS) and words.isdisjoint(_CONTENT_WORDS)


class StringEscapes:
    """The escapes of one string; `note` each part of it as it came.

    `key` is that of its member, or of the list that it is in. While `undecided`, the string may
    turn out to be a path that `literal` writes anew.

    >>> escapes = StringEscapes()
    >>> escapes.note("C:"), escapes.note("\\\\U", unescaped=True), escapes.note("sers\\\\novo")
    (None, None, None)
    >>> print(escapes.literal())
    C:\\\\Users\\\\novo
    """

    __slots__ = ("_ambiguous", "_key", "_path", "_unescaped")

    def __init__(self, key: str = "", *, may_be_path: bool = True) -> None:
        self._key = key
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
            if len(self._path) > _LIMIT or not self._starts_path(self._path.partition("\\")[0]):
                self._path = None
        if self._path is None:
            self._check()

    def literal(self) -> str | None:
        """Return the path as JSON at the end of the string, None if it stays as it was written.

        Raises LenientJsonError as `note` does.
        """
        path = self._path
        if path is None or not self._ambiguous:
            return None
        if not self._unescaped:
            return self._named_path(path)
        if _PATH.fullmatch(path) is None:
            self._path = None
            self._check()
        return path.replace("\\", r"\\")

    def _named_path(self, path: str) -> str | None:
        """Return a path without an invalid escape, where the key and the value decide that."""
        if not names_path(self._key) or _CONTROL.search(path.replace(r"\\", "")) is None:
            return None
        if _PATH.fullmatch(path) is not None and _NO_NAME.search(path, 2) is None:
            return path.replace("\\", r"\\")
        whole = path[:2] + path[2:].replace(r"\\", "\\")
        if _LIKE_PATH.fullmatch(whole) is not None or _RELATIVE.fullmatch(whole) is not None:
            raise LenientJsonError(_HALF_ESCAPED)
        return None

    def _starts_path(self, part: str) -> bool:
        if _START.fullmatch(part) is not None:
            return True
        return _RELATIVE_START.fullmatch(part) is not None and names_path(self._key)

    def _check(self) -> None:
        if self._ambiguous and self._unescaped:
            raise LenientJsonError(_HALF_ESCAPED)
