"""Format tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows in aligned columns, with a bold head."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join([click.style(lines[0].rstrip(), bold=True), *(line.rstrip() for line in lines[1:])])
