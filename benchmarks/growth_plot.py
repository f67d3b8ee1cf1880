"""The plot of docs/bench of how the cost grows: with streams, turns, tools, characters and items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Row, the name behind its number, the axis, and the title.
_PANELS = (
    ("growth by streams", "CPU a token", "streams", "ms of CPU a token"),
    ("growth by streams", "gap, p99", "streams", "ms between tokens, p99"),
    ("growth by streams", "memory a stream", "streams", "KiB of memory a stream"),
    ("growth by the answer's length", "CPU of the proxy", "characters", "ms of CPU an answer"),
    ("growth of the prompt by turns", "time to render", "turns", "ms to render a prompt"),
    ("growth of the prompt by tools", "time to render", "tools", "ms to render a prompt"),
    ("growth of the prompt by turns", "memory to render", "turns", "KiB to render a prompt"),
    ("growth by a job's items", "time to store", "items", "ms to store a job"),
)
_COLOURS = MappingProxyType({"stackspot": "#2a7f62", "openai": "#8d99a3"})
_NAME = re.compile(r"(\d+) \w+: (.*?)(?:, (stackspot|openai))?")


def draw_growth(figures: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw a panel for each kind of growth, with both sides where both were measured."""
    drawing, panels = plt.subplots(2, 4, figsize=(12, 5.2), layout="constrained")
    for axes, (row, name, unit, title) in zip(panels.flat, _PANELS, strict=True):
        for side, points in _lines(figures, row, name).items():
            axes.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, color=_COLOURS[side], label=side)
        _label(axes, unit, title)
    drawing.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    drawing.savefig(file, metadata={"Date": None})
    plt.close(drawing)


def _lines(figures: Sequence[dict[str, Any]], row: str, name: str) -> dict[str, list[tuple[int, float]]]:
    lines: dict[str, list[tuple[int, float]]] = {}
    for figure in figures:
        found = _NAME.fullmatch(figure["name"])
        if figure["row"] != row or found is None or found[2] != name:
            continue
        sides = figure["sides"] or {found[3] or "stackspot": figure["result"]}
        for side, samples in sides.items():
            lines.setdefault(side, []).append((int(found[1]), samples["median"]))
    return lines


def _label(axes: Axes, unit: str, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(unit)
    axes.set_xscale("log")
    axes.set_yscale("log")
