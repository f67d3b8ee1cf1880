"""The plots of docs/bench: ratios with goals, what a client of a loaded proxy measures, and a
request's milliseconds by part.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from . import parts
from .growth_plot import draw_growth
from .rows_stock import OTHER, OURS, PROMETHEUS, STOCK

mpl.use("svg")
mpl.rcParams |= {
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

_MET, _MISSED, _NO_GOAL = "#2a7f62", "#c0392b", "#7f8c8d"
_OURS, _THEIRS = "#2a7f62", "#b0b7bd"
_PARTS = ("#2a7f62", "#7fc4a8", "#c0392b", "#e08e79", "#d8b26e", "#b0b7bd", "#8d99a3", "#66727c", "#444e57")
_BARS = MappingProxyType(
    {
        OURS: "stackspot-chat,\nthis proxy",
        OTHER: "openai/,\nthis proxy",
        PROMETHEUS: "openai/, stock proxy\nwith prometheus",
        STOCK: "openai/,\nstock proxy",
    }
)
_SIDES = [
    ("whole answer", "requests/s", "whole answers a second"),
    ("100 deltas in a burst", "answers/s", "answers of 100 deltas a second"),
    ("100 deltas at 20 ms", "time to first token, p50", "ms to the first token, p50"),
    ("100 deltas at 20 ms", "delay added to a token, p50", "ms added to a token, p50"),
    ("streams at 20 ms", "longest pause of a stream, p50", "ms of a stream's longest pause, p50"),
    ("streams at 20 ms", "time for all streams", "s until all streams end"),
]


def draw(results: dict[str, Any], directory: Path) -> None:
    """Draw the plots from results.json; skip figures that were not measured."""
    figures = [figure for figure in results["figures"] if not figure["row"].startswith("growth ")]
    if growth := [figure for figure in results["figures"] if figure["row"].startswith("growth ")]:
        draw_growth(growth, directory / "growth.svg")
    if compared := [figure for figure in figures if set(figure["sides"]) == {"stackspot", "openai"}]:
        _draw_ratios(compared, directory / "ratios.svg")
        _draw_sides(compared, directory / "sides.svg")
    if spent := {figure["name"]: figure["result"]["median"] for figure in figures if figure["row"] == parts.ROW}:
        _draw_parts(spent, directory / "parts.svg")


def _draw_parts(spent: dict[str, float], file: Path) -> None:
    """Draw one stacked bar per side: the milliseconds of a request by part."""
    drawing, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for place, side in enumerate(reversed(_BARS)):
        left = 0.0
        for part, colour in zip(parts.PARTS, _PARTS, strict=True):
            width = spent.get(f"{side}: {part}", 0.0)
            axes.barh(place, width, left=left, color=colour, height=0.6, label=part if place == 0 else None)
            if width > 0.3:
                middle = (left + width / 2, place)
                axes.annotate(f"{width:.1f}", middle, ha="center", va="center", color="white", fontsize=8)
            left += width
        axes.annotate(f"{left:.1f} ms", (left, place), (4, -3), textcoords="offset points")
    axes.set_yticks(range(len(_BARS)), list(reversed(_BARS.values())))
    axes.set_xlabel("ms of the proxy's CPU for a whole answer")
    axes.margins(x=0.1)
    drawing.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _save(drawing, file)


def _draw_ratios(figures: list[dict[str, Any]], file: Path) -> None:
    """Draw a bar per figure: the median of the rounds, with their spread and the goal."""
    drawing, axes = plt.subplots(figsize=(9, 0.34 * len(figures) + 1.2), layout="constrained")
    for place, figure in enumerate(reversed(figures)):
        result = figure["result"]
        colour = {True: _MET, False: _MISSED, None: _NO_GOAL}[figure["met"]]
        axes.barh(place, result["median"] - 1, left=1, color=colour, height=0.6)
        axes.plot([result["low"], result["high"]], [place, place], color="black", linewidth=1)
        if figure["goal"]:
            goal = float(figure["goal"].split()[1])
            axes.plot([goal, goal], [place - 0.42, place + 0.42], color="black", linewidth=2)
        axes.annotate(
            f"{result['median']:.3g}",
            (max(1.2, result["high"]), place),
            (4, -3),
            textcoords="offset points",
        )
    axes.set_yticks(range(len(figures)), [f"{figure['row']}: {figure['name']}" for figure in reversed(figures)])
    axes.axvline(1, color=_NO_GOAL, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("stackspot ÷ openai: median of the rounds, and their spread; the thick mark is the goal")
    axes.xaxis.set_label_coords(0.2, -0.06)
    _save(drawing, file)


def _draw_sides(figures: list[dict[str, Any]], file: Path) -> None:
    shown = [(title, found) for row, name, title in _SIDES if (found := _found(figures, row, name))]
    drawing, panels = plt.subplots(2, 3, figsize=(9, 4.2), layout="constrained")
    for axes in panels.flat[len(shown) :]:
        axes.axis("off")
    for axes, (title, figure) in zip(panels.flat, shown, strict=False):
        _draw_side(axes, title, figure)
    _save(drawing, file)


def _draw_side(axes: Axes, title: str, figure: dict[str, Any]) -> None:
    for side, colour in (("stackspot", _OURS), ("openai", _THEIRS)):
        samples = figure["sides"][side]
        spread = [[samples["median"] - samples["low"]], [samples["high"] - samples["median"]]]
        axes.bar(side, samples["median"], color=colour, width=0.6, yerr=spread, capsize=3)
        axes.margins(y=0.15)
        axes.annotate(
            f"{samples['median']:.3g}", (side, samples["median"]), (7, 3), textcoords="offset points", ha="left"
        )
    axes.set_title(title, fontsize=9)


def _found(figures: list[dict[str, Any]], row: str, name: str) -> dict[str, Any] | None:
    return next((figure for figure in figures if figure["row"].endswith(row) and figure["name"] == name), None)


def _save(drawing: Any, file: Path) -> None:
    drawing.savefig(file, metadata={"Date": None})
    plt.close(drawing)
