"""The plots of docs/bench: ratios with goals, and what a client of a loaded proxy measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

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
_SIDES = [
    ("whole answer", "requests/s", "whole answers a second"),
    ("100 deltas in a burst", "answers/s", "answers of 100 deltas a second"),
    ("100 deltas at 20 ms", "time to first token, p50", "ms to the first token, p50"),
    ("100 deltas at 20 ms", "delay added to a token, p50", "ms added to a token, p50"),
    ("streams at 20 ms", "longest pause of a stream, p50", "ms of a stream's longest pause, p50"),
    ("streams at 20 ms", "time for all streams", "s until all streams end"),
]


def draw(results: dict[str, Any], directory: Path) -> None:
    """Draw ratios.svg and sides.svg from results.json; skip figures that were not measured."""
    figures = results["figures"]
    if compared := [figure for figure in figures if set(figure["sides"]) == {"stackspot", "openai"}]:
        _draw_ratios(compared, directory / "ratios.svg")
        _draw_sides(compared, directory / "sides.svg")


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
