"""The examples in the docstrings of the package run, and return what they show."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import custom_handler

ROOT = Path(custom_handler.__file__).parent
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name, settings):
    """Run them; `settings` are those of a running simulator."""
    results = doctest.testmod(importlib.import_module(name), extraglobs={"settings": settings})
    assert (results.attempted > 0, results.failed) == (True, 0)
