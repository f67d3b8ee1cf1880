"""Lines and sentences that are skipped by their first characters: nothing is read differently."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from custom_handler.emulation.tool_calls import plain_line, text_parser
from custom_handler.emulation.tool_calls.dialects import Dialects
from custom_handler.emulation.tool_calls.plain_line import OPEN, PlainLines, StartTree, is_plain_sentence, plain_lines
from tests.emulation.test_slips import SLIPS, lines
from tests.emulation.test_tool_calls import Reading, Schemas, cases, read
from tests.emulation.texts_of_lines import BODIES, CODE, KINDS, LEADS, PROSE

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
TOOLS: Schemas = {"read_file": {"properties": {"path": {"type": "string"}}, "required": ["path"]}, "see": {}}
CALL = "FUNCTION_CALL_START\nsee\narguments: {}\nFUNCTION_CALL_END\n"

Sample = tuple[str, Schemas]


@pytest.fixture(autouse=True)
def trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with empty trees, which have a place for all of a test."""
    for name in ("_LINES", "_CODE", "_SENTENCES"):
        monkeypatch.setattr(plain_line, name, StartTree(getattr(plain_line, name)._probe))
    monkeypatch.setattr(plain_line, "_MAX_NODES", 100_000)
    plain_lines.cache_clear()


def all_cases() -> Iterator[Sample]:
    for case in [*cases(), *(case for name in (*SLIPS, "honest.jsonl") for case in lines(name))]:
        tools = case["tools"]
        yield case["text"], tools if isinstance(tools, dict) else {name: {} for name in tools}


def samples() -> Iterator[Sample]:
    """Yield the texts of all cases behind prose and behind other text, and texts of random words."""
    kinds = itertools.cycle(KINDS.values())
    for text, tools in all_cases():
        yield f"{PROSE}{text}", tools
        yield f"{next(kinds)}{text}", tools
    chance = random.Random(7)
    for _ in range(600):
        yield "".join(chance.choice(WORDS) + chance.choice(JOINTS) for _ in range(40)), {"read_file": {}, "see": {}}


def forms() -> Iterator[Sample]:
    """Yield calls in many forms behind what may stand before one, at a line's start and within it."""
    chance = random.Random(11)
    pairs = list(itertools.product(LEADS, LEADS))
    for number, body in enumerate(BODIES):
        for lead in [*LEADS, *("".join(pair) for pair in chance.sample(pairs, 15))]:
            yield f"{PROSE}\n{lead}{body}", TOOLS
        for lead in LEADS[number % 4 :: 4]:
            yield f"We see.\n{CALL}It is read.\n{lead}{body}\n", TOOLS
            yield f"We see.\n\nIt is read. {lead}{body}\n", TOOLS


def odd_names() -> Iterator[Sample]:
    """Yield calls with a character in their name that only `regex` takes for a part of a word."""
    bodies = [body for body in BODIES if body.startswith(("read_file", "functions", "Vou"))]
    for character in "\u0301\u200c\u200d\uff3f\u200b\u2060\u00ad\u203f\u20dd–’…€":
        for name in (f"read{character}file", f"r{character}ead_file", f"read_file{character}"):
            for body in bodies:
                for lead in ("", "[", "(", "`", "**", "return "):
                    yield f"{PROSE}\n{lead}{body.replace('read_file', name)}", TOOLS


def look_at_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainLines, "is_plain", lambda *_: False)

    def search(pattern: Any, text: str, at: int, *_: Any) -> Any:
        return pattern.search(text, at, partial=True)

    monkeypatch.setattr(text_parser, "search_stop", search)


def readings(texts: Callable[[], Iterator[Sample]], *sizes: int) -> list[Reading]:
    return [
        read([text[at : at + size] for at in range(0, len(text), size)], tuple(tools), tools)
        for text, tools in texts()
        for size in (*sizes, len(text))
    ]


@pytest.mark.parametrize(("texts", "calls"), [(samples, 2000), (forms, 500), (odd_names, 500)])
def test_the_same_is_read_as_if_each_line_were_looked_at(
    monkeypatch: pytest.MonkeyPatch, texts: Callable[[], Iterator[Sample]], calls: int
) -> None:
    found = readings(texts, 7)
    look_at_each_line(monkeypatch)
    assert found == readings(texts, 7)
    assert sum(len(reading.calls) + len(reading.unreadable) for reading in found) > calls


@pytest.mark.parametrize("kind", KINDS)
def test_calls_among_other_text_are_found_at_every_cut(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    chance = random.Random(kind)
    part = KINDS[kind][:160]
    body = chance.choice(BODIES)
    text = f"{part}\n{CALL}\n{part}\n{body}\n"

    def at_each_cut() -> list[Reading]:
        pieces = [[text[:cut], text[cut:]] for cut in range(0, len(text), 2)]
        return [read(pair, tuple(TOOLS), TOOLS) for pair in pieces]

    found = at_each_cut()
    assert all(reading.calls for reading in found)
    look_at_each_line(monkeypatch)
    assert found == at_each_cut()


@pytest.mark.parametrize("size", [64, 100_000])
@pytest.mark.parametrize("kind", ["prose", *KINDS])
def test_few_lines_are_looked_at(monkeypatch: pytest.MonkeyPatch, kind: str, size: int) -> None:
    looked: list[str] = []
    found = Dialects.found

    def counting(self: Dialects, text: str, at: int, *, ended: bool) -> str | None:
        looked.append(text[at : at + 20])
        return found(self, text, at, ended=ended)

    text = (PROSE if kind == "prose" else KINDS[kind]) * 100
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    read(pieces, ("delete_row",))  # what starts a line is known then
    monkeypatch.setattr(Dialects, "found", counting)
    assert read(pieces, ("delete_row",)).content == text
    allowed = len(pieces) + text.count("\n") / (3 if kind in CODE else 10)  # a piece may end in a word
    assert len(looked) < allowed, looked[:9]


@pytest.mark.parametrize(
    "line",
    [
        "FUNCTION CALL START", "Tool call read_file with {", "Vou chamar read_file", "Chamando read_file",
        "return read_file(", "await read_file(", "Action: read_file", "Read File: x", "read_file {", "READ it", "assistant to=x",
        "Result of read_file: 1", "Então vou chamar", "function_call_end", "Start function call", "Observation of it: 1",
        "Resposta da busca: 1", "Saída de x: 1", "- READ it", "# read_file(", "(read_file {", "[x y] read_file(", "_`read_file` {",
        "x = functions.read_file(", "tools:read {", "@ await read_file(", '{"a": 1}', "[foo bar", "<tool_call>", "[user]\n", "</s>",
        "```\nread", "<think>", "\\n read", "&lt;tool", "\u00a0FUNCTION", "ＦUNCTION CALL", "-" * 90 + " x", "x" * 70 + " y", "We", "We ",
    ],
)  # fmt: skip
def test_a_line_that_may_start_something_is_not_plain(line: str) -> None:
    assert not PlainLines(["read_file", "Read"]).is_plain(line[:-1] if line == "We " else line, 0)


@pytest.mark.parametrize(
    "line",
    [
        "We see", "O arquivo", "É assim, como", "Yes, it is", "a {", "- We see", "1. We see", "12,a_3,4.5", "| a | b |", "# A title\n",
        "> We see", "self.value = other\n", "def see(self):\n", "word\nother", "}\n\nx y", "@property\ndef f",
        "# TODO: this", "[a](https://x.y/z) ",
        "return value\n", "- [ ] to do",
    ],
)  # fmt: skip
def test_usual_lines_are_plain(line: str) -> None:
    plain = PlainLines(["read_file"])
    assert any(plain.is_plain(line, 0) for _ in range(4))  # a start becomes known in some steps


@pytest.mark.parametrize("names", [["arquivo é"], ["_"], ["a b"], ["工具"]])
def test_lines_are_looked_at_for_names_that_are_no_words(names: list[str]) -> None:
    assert not PlainLines(names).is_plain("We see it", 0)


def test_a_bounded_number_of_first_words_is_kept() -> None:
    plain = PlainLines(["read_file"])
    for number in range(3 * plain_line._MAX_WORDS):
        for _ in range(2):
            plain.is_plain(f"{number} words", 0)
        assert len(plain._plain) <= plain_line._MAX_WORDS
    assert plain._plain
    assert not plain.is_plain("FUNCTION CALL", 0)


def test_the_same_names_share_what_is_known_and_others_do_not() -> None:
    assert plain_lines(("a", "see")) is plain_lines(("a", "see"))
    assert [any(plain_lines(names).is_plain("see it", 0) for _ in range(4)) for names in (("a",), ("see",))] == [
        True,
        False,
    ]


def test_a_sentence_is_plain_by_its_first_characters() -> None:
    found = [is_plain_sentence(text, 0) for text in ("We see", "Vou chamar", "Now we", "Let me", "Le")]
    assert found == [True, False, True, False, False]


def test_few_starts_are_tried_at_once_and_a_bounded_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_line, "_MAX_NODES", 100)
    monkeypatch.setattr(plain_line, "_MISSED", 50)
    tried: list[str] = []

    def probe(start: str) -> int | None:
        tried.append(start)
        return None if len(start) < 9 else 3

    tree = StartTree(probe)
    assert tree.find("x" * 30, 0) == OPEN
    assert len(tried) == plain_line._NEW_NODES
    assert [tree.find("x" * 30, 0) for _ in range(4)][-1] == 3
    assert len(tried) == 9
    assert tree.find("x" * 8, 0) == OPEN
    for number in range(10_000):
        before = len(tried)
        tree.find(f"{number:09} ", 0)
        assert tree.size < 100 + plain_line._NEW_NODES
        assert len(tried) <= before + plain_line._NEW_NODES
    # It fills up again and again, and does nothing meanwhile.
    assert 1000 < len(tried) < 10_000
