"""Reads the arguments of a call in Python's syntax."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import regex

from ..lenient_json import LenientJsonError

_LIMIT = 100_000  # characters
_TOKEN = regex.compile(
    r"(?:\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''|\"(?:[^\"\\\n]|\\[\s\S])*+\"|'(?:[^'\\\n]|\\[\s\S])*+'"
    r"|[^\"'()\[\]{}]++)|(?P<open>[(\[{])|(?P<close>[)\]}])"
)
_WORDS = {"true": True, "false": False, "null": None}


def balanced_end(text: str, at: int) -> int:
    """Return the position after the bracket at `at` is closed; raises LenientJsonError."""
    depth = 0
    while (found := _TOKEN.match(text, at)) is not None:
        at = found.end()
        depth += (found["open"] is not None) - (found["close"] is not None)
        if depth == 0:
            return at
    raise LenientJsonError("a bracket that is not closed")


def arguments(written: str, single: str | None) -> dict[str, Any]:
    """Return the keyword arguments in `a=1, b="x"`; raises LenientJsonError.

    `single` is the name of an argument without one, if the tool has a name for it.
    """
    if len(written) > _LIMIT:
        raise LenientJsonError("arguments in Python's syntax that are too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an invalid escape
            call = ast.parse(f"f({written}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
            raise LenientJsonError("arguments that are no keywords")
        if call.args:
            if len(call.args) > 1 or call.keywords or single is None:
                raise LenientJsonError("arguments without names")
            return {single: _literal(call.args[0])}
        return {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, Warning, RecursionError, MemoryError, TypeError) as error:
        raise LenientJsonError("arguments in Python's syntax that cannot be read") from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_literal(key): _literal(value) for key, value in pairs if key is not None}
    value = ast.literal_eval(node)
    if not isinstance(value, str | int | float | bool | None):
        raise TypeError("no JSON value")
    return value
