"""Write a page, but over no other file."""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigurationError
from .static_page import GENERATOR

_HEAD_BYTES = 1000


def write_page(target: Path, text: str) -> None:
    """Write a page to a new file, or replace an earlier page.

    Raises ConfigurationError for a file that is no page of this package, and OSError.
    """
    if target.is_file() and not is_page(target):
        raise ConfigurationError(f"{target} is not a page of this command: remove it, or choose another --output.")
    target.write_text(text, encoding="utf-8")


def is_page(file: Path) -> bool:
    """Return whether a file is a page of this package, or empty."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return not head or GENERATOR.encode() in head
