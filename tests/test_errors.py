"""The tree of errors, and the one that the module's opening draws."""

from __future__ import annotations

import re

import pytest

from custom_handler import errors
from custom_handler.errors import AgentFailed, RateLimited, RequestError, StackspotError

DRAWN = re.compile(r"^([│├└─ ]*)(\w+)(?: +(\d{3}) +(\w+) .*)?$", re.MULTILINE)


def tree_of(kind: type[StackspotError], depth: int = 0) -> list[tuple[int, str]]:
    below = [line for child in kind.__subclasses__() for line in tree_of(child, depth + 1)]
    return [(depth, kind.__name__), *below]


def drawn() -> list[tuple[int, str, str | None, str | None]]:
    drawing = (errors.__doc__ or "").partition("\n\n")[2]
    return [(len(found[1]) // 4, found[2], found[3], found[4]) for found in DRAWN.finditer(drawing)]


def test_the_drawn_tree_is_the_tree():
    assert [(depth, name) for depth, name, *_ in drawn()] == tree_of(StackspotError)


@pytest.mark.parametrize(("name", "status", "where"), [line[1:] for line in drawn() if line[2]])
def test_each_error_has_the_status_and_the_place_that_are_drawn(name, status, where):
    kind = getattr(errors, name)
    assert (kind("message").status_code, kind.where) == (int(status), where)


def test_an_error_can_have_a_status_of_its_own():
    assert (AgentFailed("a", status_code=503).status_code, AgentFailed.status_code) == (503, 502)


def test_an_error_says_its_message():
    assert str(RateLimited("wait", retry_after=7)) == "wait"
    assert RequestError("no", param="tools").param == "tools"
