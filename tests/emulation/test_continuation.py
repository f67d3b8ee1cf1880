"""A second reply joined to a first one that broke off: at every character, in every manner, at every cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.continuation import TAIL, Continuation
from custom_handler.emulation.labels import COMPLETE
from tests.support.growth import is_linear

TEXT = (
    "Olá! O estorno leva três dias úteis 🚀; peça-o no portal.\n\n```python\ndef f(x):\n    return x + 1\n```\n\n"
    "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nNo fim, grite: «acabou» 👩‍💻. O estorno leva três dias úteis no portal."
)
APOLOGY = "Desculpe a interrupção, continuando de onde parei:\n\n"
SORRY = "I'm sorry, I was cut off. Here is the rest of my answer:\n\n"


def pieces(text: str, size: int) -> Iterable[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def join(said: str, second: str, size: int = 1) -> tuple[str, Continuation]:
    continuation = Continuation(said)
    added = [continuation.feed(piece) for piece in pieces(second, size)]
    return said + "".join(added) + continuation.flush(), continuation


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("manner", ["exact", "anew", "repeats 30", "repeats 50", "apologises", "is sorry and repeats"])
def test_the_text_is_whole_wherever_it_broke_off(manner: str, size: int) -> None:
    for cut in range(1, len(TEXT)):
        said, rest = TEXT[:cut], TEXT[cut:]
        second = {
            "exact": rest,
            "anew": TEXT,
            "repeats 30": TEXT[max(0, cut - 30) :],
            "repeats 50": TEXT[max(0, cut - 50) :],
            "apologises": APOLOGY + rest,
            "is sorry and repeats": SORRY + TEXT[max(0, cut - 40) :].lstrip("\n"),
        }[manner]
        joined, continuation = join(said, second, size)
        assert joined == TEXT, (said[-20:], second[:20])
        assert not any((continuation.restarted, continuation.empty, continuation.complete))


@dataclass(frozen=True, slots=True)
class Joint:
    id: str
    said: str
    second: str
    whole: str


JOINTS = [
    Joint("an unfinished word is written again", "The quick bro", "brown fox", "The quick brown fox"),
    Joint("a syllable is not an overlap", "ba na", "nas", "ba nanas"),
    Joint("a number is not an overlap", "1 2 1", "1 12", "1 2 11 12"),
    Joint("equal words with a space are two words", "It was very", " very good", "It was very very good"),
    Joint(
        "other white space in the overlap",
        "One line\nand two lines",
        "One line and  two lines more",
        "One line\nand two lines more",
    ),
    Joint("the space at the joint is not doubled", "One line and ", " two", "One line and two"),
    Joint("an indentation is kept", "if x:\n    ", "    return", "if x:\n        return"),
    Joint(
        "the line end behind an overlap",
        "A sentence to repeat.",
        "A sentence to repeat.\n\nNext",
        "A sentence to repeat.\n\nNext",
    ),
    Joint(
        "a line end that was sent already",
        "A sentence to repeat.\n",
        "A sentence to repeat.\n\nNext",
        "A sentence to repeat.\n\nNext",
    ),
    Joint("a row of a table is not an overlap", "| --- | --- |", " --- | --- |\n", "| --- | --- | --- | --- |\n"),
    Joint("lines that repeat", "print('hello')\n" * 3, "print('hello')\nend", "print('hello')\n" * 4 + "end"),
    Joint("a fence opened again", "```python\nx = 1\n", "```python\ny = 2\n```", "```python\nx = 1\ny = 2\n```"),
    Joint("a fence closed", "```python\nx = 1\n", "```\nDone", "```python\nx = 1\n```\nDone"),
    Joint("a fence opened behind another", "```\nx\n```\n", "```python\ny", "```\nx\n```\n```python\ny"),
    Joint(
        "an overlap at the end of the reply", "A sentence to repeat.", "A sentence to repeat.", "A sentence to repeat."
    ),
    Joint(
        "an apology that is the answer",
        "He wrote: ",
        "I'm sorry for the delay.\nBye",
        "He wrote: I'm sorry for the delay.\nBye",
    ),
    Joint("prose about going on", "Steps:\n", "Continue with these steps:\n1", "Steps:\nContinue with these steps:\n1"),
    Joint("JSON begun anew in other white space", '{"a": 1, "b', '{\n  "a": 1,\n  "b": 2\n}', '{"a": 1, "b": 2\n}'),
    Joint("only white space was said", "\n", "\nHi", "\n\nHi"),
]


@pytest.mark.parametrize("case", JOINTS, ids=lambda case: case.id)
def test_joints(case: Joint) -> None:
    for size in (1, 2, 1000):
        assert join(case.said, case.second, size)[0] == case.whole


def test_what_cannot_repeat_is_not_held() -> None:
    continuation = Continuation("The refund takes three")
    assert continuation.feed(" working") == " working"
    assert continuation.feed(" days. The refund takes three") == " days. The refund takes three"
    assert continuation.flush() == ""


def test_an_answer_that_begins_anew_with_other_words_is_not_joined() -> None:
    said = "The refund takes three working days, counted from the day of the request. Ask"
    joined, continuation = join(said, "The refund takes three working days, but only if you are lucky.")
    assert (joined, continuation.restarted) == (said, True)
    assert continuation.feed("more") == ""


@pytest.mark.parametrize(
    ("second", "complete", "empty"),
    [
        (COMPLETE, True, False),
        ("[Complete].\n", True, False),
        ("", False, True),
        (" \n", False, True),
        (SORRY, False, True),
    ],
)
def test_a_reply_without_a_rest(second: str, complete: bool, empty: bool) -> None:
    continuation = join("All was said.", second)[1]
    assert (continuation.complete, continuation.empty) == (complete, empty)


def test_a_text_that_only_begins_like_the_word_for_complete_is_text() -> None:
    assert join("The list: ", "[com")[0] == "The list: [com"
    assert join("The list: ", "[complete] and [open]")[0] == "The list: [complete] and [open]"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 7))
def test_the_result_does_not_depend_on_the_cut(said: str, second: str, size: int) -> None:
    assert join(said, second, size)[0] == join(said, second, 1000)[0]


def test_the_overlap_is_longer_than_what_is_searched() -> None:
    said = " ".join(map(str, range(TAIL)))
    whole = f"{said} and more"
    assert join(said[:-1], whole, 50)[0] == whole
    assert join(said[:-1], whole[len(said) - TAIL // 2 :], 50)[0] == whole


def test_the_work_is_linear() -> None:
    """A whole answer begun anew, in small deltas, is the longest text that is held."""

    def work(size: int) -> None:
        said = ("word " * 9 + "and\n") * (size // 50)
        assert join(said[:-9], said, 4)[0] == said

    assert is_linear(work, 400_000)
