"""Lines of prose that are skipped by their first word: nothing else changes, and little work is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from custom_handler.emulation.tool_calls import parser, plain_line, text_parser
from custom_handler.emulation.tool_calls.dialects import Dialects
from custom_handler.emulation.tool_calls.plain_line import is_plain
from custom_handler.emulation.tool_calls.syntax import DeclaredTools
from tests.emulation.test_slips import SLIPS, lines
from tests.emulation.test_tool_calls import Reading, Schemas, cases, read

PROSE = (
    "We looked at the file and found two errors.\nThe first one is in the parser, and\nits cause is known.\n"
    "O arquivo tem duas falhas: uma delas\nfica no analisador. Vamos ver o resto\nde cada linha, sem pressa.\n"
)
# Words that start a call, a marker or a label, and those of usual text.
WORDS = (
    "FUNCTION", "CALL", "START", "function_call_start", "Tool", "End", "END", "Calling", "Vou", "chamar", "chamando", "Action", "Ação",
    "Result", "resultado", "return", "await", "print", "then", "now", "let", "me", "I'll", "so", "Então", "primeiro", "read_file", "Read",
    "functions.read_file", "to=read_file", "assistant", "The", "the", "a", "O", "os", "we", "É", "Além", "see",
)  # fmt: skip
JOINTS = (
    " ",
    " ",
    " ",
    "\n",
    "\n",
    ", ",
    ". ",
    ": ",
    "\n\n  ",
    ' {"path": "a"}\n',
    "(path='a')\n",
    "\narguments: {",
    " <",
)


def samples() -> Iterator[tuple[str, Schemas]]:
    """Yield the texts of all cases behind prose, and texts of random words."""
    for case in [*cases(), *(case for name in (*SLIPS, "honest.jsonl") for case in lines(name))]:
        tools = case["tools"]
        yield f"{PROSE}{case['text']}", tools if isinstance(tools, dict) else {name: {} for name in tools}
    chance = random.Random(7)
    for _ in range(600):
        yield "".join(chance.choice(WORDS) + chance.choice(JOINTS) for _ in range(40)), {"read_file": {}, "see": {}}


def look_at_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "is_plain", lambda *_: False)

    def search(pattern: Any, text: str, at: int, _: Any) -> Any:
        return pattern.search(text, at, partial=True)

    monkeypatch.setattr(text_parser, "search_stop", search)


def readings() -> list[Reading]:
    return [
        read([text[at : at + size] for at in range(0, len(text), size)], tuple(tools), tools)
        for text, tools in samples()
        for size in (7, len(text))
    ]


def test_the_same_is_read_as_if_each_line_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = readings()
    look_at_each_line(monkeypatch)
    assert found == readings()
    assert sum(len(reading.calls) for reading in found) > 1000


@pytest.mark.parametrize("size", [64, 100_000])
def test_few_lines_of_prose_are_looked_at(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    looked: list[str] = []
    found = Dialects.found

    def counting(self: Dialects, text: str, at: int, *, ended: bool) -> str | None:
        looked.append(text[at : at + 20])
        return found(self, text, at, ended=ended)

    monkeypatch.setattr(Dialects, "found", counting)
    text = PROSE * 200
    assert read([text[at : at + size] for at in range(0, len(text), size)]).content == text
    assert len(looked) < text.count("\n") / 20, looked[:9]  # a piece may end in a word


@pytest.mark.parametrize(
    "line",
    [
        "FUNCTION CALL START", "End of function call", "Tool read_file with {", "Vou chamar read_file", "Chamando read_file",
        "return read_file(", "await read_file(", "Action read_file", "Read File: x", "read_file {", "READ it", "assistant to=x",
        "Resultado da", "Result of read_file: 1", "Então vou chamar", "function_call_end", "Start function call", "Observation of it: 1",
        "Resposta da busca: 1",
        "Saída de x: 1",
    ],
)  # fmt: skip
def test_a_line_that_may_start_something_is_not_plain(line: str) -> None:
    assert not is_plain(line, 0, DeclaredTools({"read_file": {}, "Read": {}}))


@pytest.mark.parametrize("line", ["We see", "O arquivo", "É assim, como", "Yes, it is", "a {"])
def test_usual_words_are_plain(line: str) -> None:
    assert is_plain(line, 0, DeclaredTools({"read_file": {}}))


@pytest.mark.parametrize("line", ["We", "O.", "We\n", "x" * 40 + " y", "1 file", "- We", " We see"])
def test_what_is_no_word_is_looked_at(line: str) -> None:
    assert not is_plain(line, 0, DeclaredTools({}))


def test_a_bounded_number_of_words_is_kept() -> None:
    tools = DeclaredTools({})
    for number in range(10_000):
        is_plain(f"{'abcdefghij'[number % 10]}{'x' * (number % 20)}{chr(97 + number // 400 % 26)} z", 0, tools)
    assert plain_line._may_open.cache_info().currsize <= 4096
