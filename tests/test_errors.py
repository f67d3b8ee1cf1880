"""The tree of errors, and the one in the module's docstring."""

from __future__ import annotations

import re

import pytest

from custom_handler import errors
from custom_handler.errors import AgentFailed, RateLimited, RequestError, StackspotError

DRAWN = re.compile(r"^([│├└─ ]*)(\w+)(?: +(\d{3}) .*)?$", re.MULTILINE)


def tree_of(kind: type[StackspotError], depth: int = 0) -> list[tuple[int, str]]:
    below = [line for child in kind.__subclasses__() for line in tree_of(child, depth + 1)]
    return [(depth, kind.__name__), *below]


def drawn() -> list[tuple[int, str, str | None]]:
    drawing = (errors.__doc__ or "").partition("\n\n")[2]
    return [(len(found[1]) // 4, found[2], found[3]) for found in DRAWN.finditer(drawing)]


def test_the_drawn_tree_is_the_tree():
    assert [(depth, name) for depth, name, *_ in drawn()] == tree_of(StackspotError)


@pytest.mark.parametrize(("name", "status"), [line[1:] for line in drawn() if line[2]])
def test_each_error_has_the_status_that_is_drawn(name, status):
    kind = getattr(errors, name)
    assert kind("message").status_code == int(status)


def test_an_error_can_override_the_status_of_its_class():
    assert (AgentFailed("a", status_code=503).status_code, AgentFailed.status_code) == (503, 502)


def test_an_error_carries_its_message_and_its_param():
    assert str(RateLimited("wait", retry_after=7)) == "wait"
    assert RequestError("no", param="tools").param == "tools"
