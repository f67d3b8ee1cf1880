"""Words that keep a reader guessing who does what stay out of the package's identifiers, docstrings and comments.

Strings that are no docstrings are free: an error message or a prompt is written for other readers.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "custom_handler"
MODULES = sorted(PACKAGE.rglob("*.py"))
WORDS = ("told", "whoever", "nobody", "somebody", "whatever", "wherever", "patience", "what becomes of")
FOUND = re.compile(rf"\b(?:(?i:{'|'.join(WORDS)})|Stackspot)\b")  # in prose it is StackSpot


def words_of(identifier: str) -> str:
    """Return the words of a name: `_LastTold` and `LAST_TOLD` are both "last told"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", identifier).lower()


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring; that of an attribute is one as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each identifier, comment and docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], words_of(token.string)
        elif token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    yield from docstrings(source)


def faults(source: str) -> list[str]:
    return [
        f"line {line}: {word} in {text!r}"
        for line, text in texts(source)
        for word in FOUND.findall(re.sub(r"\s+", " ", text))
    ]


@pytest.mark.parametrize("module", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_a_module_uses_plain_words(module):
    assert faults(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(told): pass",
        "_last_told = 1",
        "class ToldTwice: pass",
        "x.patience = 1",
        "import a as nobody",
        "x = 1  # Whoever reads this",
        '"""Say what becomes\nof it."""',
        'x = 1\n"""Whatever it is."""',
        '"""An account of Stackspot."""',
    ],
)
def test_such_a_word_is_found(source):
    assert len(faults(source)) == 1


def test_messages_and_parts_of_words_are_free():
    assert faults('raise ValueError("nobody was told")\nuntold = f"whatever {impatience}"\nStackspotLLM') == []
