"""The package's identifiers, docstrings and comments are in plain technical English."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "custom_handler"
WORDS = ("told", "whoever", "nobody", "somebody", "whatever", "wherever", "patience", "what becomes of")
_ODD = re.compile(rf"\b(?i:{'|'.join(WORDS)})\b|\bStackspot\b")


def prose_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each comment, docstring and identifier.

    Other strings are error messages, help texts and prompts, which have tests of their own.
    """
    docstrings = {
        node.body[0].value.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
        and isinstance(node.body[0], ast.Expr)
    }
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and token.start[0] in docstrings
        if token.type in {tokenize.COMMENT, tokenize.NAME} or is_docstring:
            text = token.string.replace("_", " ") if token.type == tokenize.NAME else token.string
            yield token.start[0], text


def odd_words(source: str) -> list[tuple[int, str]]:
    return [(line, match[0]) for line, text in prose_of(source) for match in _ODD.finditer(text)]


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_is_written_in_plain_words(module):
    assert odd_words(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "def f_nobody(): ...",
        "# whatever it is",
        '"""What becomes of it."""',
        'class A:\n    """Of the Stackspot account."""',
    ],
)
def test_an_odd_word_is_found(source):
    assert odd_words(source)


def test_a_message_is_not_prose():
    assert odd_words('raise ValueError("Nobody is there")') == []
