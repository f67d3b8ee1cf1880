"""Some of these tests go to the limit of recursion, where the collector could not finalize what other tests have left."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Leave the garbage lying until the test has ended."""
    gc.disable()
    yield
    gc.enable()
