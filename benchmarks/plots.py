"""The plots of docs/bench: ratios with their spread, and the reader's speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(results: dict[str, Any], directory: Path) -> None:
    """Draw what the results hold."""
