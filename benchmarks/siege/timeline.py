"""The plot of `make siege`: what the other team measured over time, with the attacks shaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from .other import Row
from .probe import HEALTH

BUCKET_SECONDS = 0.25
_HEALTH, _CHAT, _LIMIT, _HELD, _MISSED = "#2a7f62", "#b0b7bd", "#c0392b", "#dfe7ef", "#f3c7c1"


def points(rows: Iterable[Row]) -> dict[str, list[tuple[float, float]]]:
    """Return the longest health probe and chat of each quarter of a second: start and seconds."""
    longest: dict[tuple[bool, int], Row] = {}
    for row in rows:
        place = (row.kind == HEALTH, int(row.began / BUCKET_SECONDS))
        if place not in longest or longest[place].seconds < row.seconds:
            longest[place] = row
    ordered = sorted(longest.items(), key=lambda item: item[1].began)
    return {
        name: [(row.began, row.seconds) for (health, _), row in ordered if health is wanted]
        for name, wanted in (("health", True), ("chats", False))
    }


def draw(results: Mapping[str, Any], file: Path) -> None:
    """Draw timeline.svg from the results and their `timeline`."""
    attacks, seen = results["attacks"], results["timeline"]
    start = seen["health"][0][0]
    settings = {"svg.hashsalt": "siege", "svg.fonttype": "none", "font.size": 8}
    with mpl.rc_context(settings):
        drawing, axes = plt.subplots(figsize=(11, 0.16 * len(attacks) + 4), layout="constrained")
        for name, colour, size in (("chats", _CHAT, 3), ("health", _HEALTH, 4)):
            times, seconds = zip(*((began - start, found * 1000) for began, found in seen[name]), strict=True)
            label = "health probes" if name == "health" else "chats of the other team"
            axes.scatter(times, seconds, s=size, color=colour, linewidths=0, label=label, rasterized=False)
        for number, attack in enumerate(attacks, 1):
            left, right = attack["began"] - start, attack["ended"] - start
            axes.axvspan(left, right, color=_MISSED if attack["failures"] else _HELD, linewidth=0, zorder=0)
            top = 1.01 + 0.03 * (number % 2)
            axes.text((left + right) / 2, top, str(number), transform=axes.get_xaxis_transform(), ha="center")
        axes.axhline(results["limit"] * 1000, color=_LIMIT, linewidth=0.8, linestyle=":", label="limit of a stall")
        axes.set_yscale("log")
        axes.set_xlabel("seconds")
        axes.set_ylabel("ms until the response")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        names = [f"{number} {attack['name']}" for number, attack in enumerate(attacks, 1)]
        handles = [Line2D([], [], linestyle="") for _ in names]
        points_legend = drawing.legend(
            *axes.get_legend_handles_labels(), loc="outside upper right", frameon=False, ncols=3
        )
        drawing.add_artist(points_legend)
        drawing.legend(
            handles, names, loc="outside lower center", ncols=3, frameon=False, handlelength=0, handletextpad=0
        )
        drawing.savefig(file, metadata={"Date": None})
        plt.close(drawing)
