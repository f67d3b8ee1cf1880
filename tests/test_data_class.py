"""The decorator of values: compared and hashed by their fields, and as cheap to create as it is meant to be."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from custom_handler.data_class import data_class

PACKAGE = Path(__file__).resolve().parents[1] / "custom_handler"
FROZEN_BY_PYTHON = {"stackspot/agent_list.py"}  # which are sorted, too


@data_class
class Pair:
    """Two values, of which the second is not compared."""

    one: str
    other: int = dataclasses.field(default=0, compare=False)


@data_class
class Name:
    """Another class with the same compared field."""

    one: str


def test_values_are_equal_and_one_key_if_their_compared_fields_are():
    assert Pair("a", 1) == Pair("a", 2) != Pair("b", 1)
    assert {Pair("a", 1): "found"}[Pair("a", 2)] == "found"
    assert len({Pair("a"), Name("a"), Pair("a", 3)}) == 2


def test_a_value_with_a_list_is_no_key():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Pair(["a"]))


def test_values_have_no_other_attributes_and_can_be_copied_with_a_change():
    with pytest.raises(AttributeError):
        Pair("a").third = 1  # type: ignore[attr-defined]
    assert dataclasses.replace(Pair("a", 1), one="b") == Pair("b")
    assert repr(Pair("a", 1)) == "Pair(one='a', other=1)"


@pytest.mark.slow
def test_mypy_keeps_the_fields_from_being_assigned(tmp_path):
    changed = tmp_path / "changed.py"
    changed.write_text("from custom_handler.events import Text\nText('a').text = 'b'\n", encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", str(changed)], cwd=PACKAGE.parent, check=False, capture_output=True, text=True
    )
    assert 'Property "text" defined in "Text" is read-only' in checked.stdout


def test_no_other_class_of_the_package_is_frozen_at_run_time():
    frozen = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "frozen" and "simulator" not in file.parts
    }
    assert frozen == FROZEN_BY_PYTHON
