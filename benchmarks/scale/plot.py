"""The plot of `make scale`: requests in the last minute, the keys' shares, and jobs while processes are killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .cluster import LIMIT, NAMES
from .limit import MINUTE

_COLOURS = ("#2a7f62", "#c77d2b", "#3c5f9e", "#8a4f9e")
_KEYS = ("#b0b7bd", "#2a7f62", "#3c5f9e")
_KILLED = "#c0392b"


def draw(runs: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw scaling.svg."""
    settings = {"svg.hashsalt": "scale", "svg.fonttype": "none", "font.size": 8}
    with mpl.rc_context(settings):
        drawing, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained", width_ratios=(4, 2, 4))
        _draw_minutes(panels[0], runs)
        _draw_shares(panels[1], runs)
        _draw_jobs(panels[2], runs)
        for axes in panels:
            axes.spines[["top", "right"]].set_visible(False)
        drawing.savefig(file, metadata={"Date": None})
        plt.close(drawing)


def _name(run: dict[str, Any]) -> str:
    return f"{run['proxies']} {'proxy' if run['proxies'] == 1 else 'proxies'}"


def _draw_minutes(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    for run, colour in zip(runs, _COLOURS, strict=False):
        times = run["limit"]["times"]
        axes.step(*in_last_minute(times), where="post", color=colour, linewidth=0.9, label=_name(run))
    axes.axhline(LIMIT, color=_KILLED, linewidth=0.8, linestyle=":", label="the platform's limit")
    longest = max(run["limit"]["times"][-1] for run in runs)
    axes.set(
        title="requests of the last 60 s, counted by the agent",
        xlabel="seconds",
        ylim=(0, LIMIT * 1.15),
        xlim=(0, longest),
    )
    axes.legend(frameon=False, loc="lower right")


def in_last_minute(times: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return when the number of requests within the last minute changes, and the numbers; times are sorted.

    >>> in_last_minute([0, 10])
    ([0, 10, 60.0, 70.0], [1, 2, 1, 0])
    """
    changes = sorted([(time, 1) for time in times] + [(time + MINUTE, -1) for time in times])
    count, counts = 0, []
    for _, change in changes:
        count += change
        counts.append(count)
    return [time for time, _ in changes], counts


def _draw_shares(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    for place, run in enumerate(runs):
        below, shares = 0.0, run["limit"]["shares"]
        for name, colour in zip(NAMES, _KEYS, strict=True):
            share = 100 * shares.get(name, 0) / sum(shares.values())
            axes.bar(place, share, bottom=below, color=colour, width=0.6, label=name if not place else None)
            axes.annotate(f"{share:.0f} %", (place, below + share / 2), ha="center", va="center", color="white")
            below += share
    axes.set_xticks(range(len(runs)), [_name(run) for run in runs])
    axes.set(title="served requests by key", ylim=(0, 125), yticks=[])
    axes.legend(frameon=False, ncols=3, loc="upper center", columnspacing=1)


def _draw_jobs(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    for run, colour in zip(runs, _COLOURS, strict=False):
        chaos = run["chaos"]
        times = chaos["times"]
        axes.step(times, range(1, len(times) + 1), where="post", color=colour, linewidth=1, label=_name(run))
        for when, name in chaos["kills"]:
            done = sum(time <= when for time in times)
            axes.plot(when, done, marker="D" if name == "redis" else "x", color=colour, markersize=5)
    axes.plot([], [], "x", color="black", label="kill -9 of a proxy")
    axes.plot([], [], "D", color="black", label="kill -9 of Redis", markersize=4)
    axes.set(title="answers to items of jobs", xlabel="seconds")
    axes.legend(frameon=False, loc="lower right")
