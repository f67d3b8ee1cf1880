"""The page of a report: one HTML file with its script, style and plots, and its data or without.

Without data, it fetches them from `GET /report/data` with the key of its tab.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_PARTS = ("uPlot.min.css", "report.css", "uPlot.iife.min.js", "report.js")
_EMPTY = '<script type="application/json" id="data">null</script>'


def page(data: Mapping[str, Any] | None = None) -> str:
    """Return the page, with `data` of `report_data` in it if given."""
    assets = files(__package__) / "assets"
    text = (assets / "report.html").read_text(encoding="utf-8")
    for name in _PARTS:
        text = text.replace(f"/* {name} */", (assets / name).read_text(encoding="utf-8"))
    if data is None:
        return text
    # No name of a model or a key can end the element.
    encoded = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return text.replace(_EMPTY, _EMPTY.replace("null", encoded))
