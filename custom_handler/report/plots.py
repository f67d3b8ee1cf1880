"""Draw plots as SVG: three shapes do not justify a plotting library of 50 MB."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import accumulate

Point = tuple[float, float]

# Distinguishable with colour blindness, on white and on black (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 16, 34


def lines(name: str, series: Mapping[str, Sequence[Point]], unit: str) -> str:
    """Draw a line for each series of (seconds, value) points; return HTML."""
    x, y, axes = _frame([point for points in series.values() for point in points], unit)
    drawn = []
    for colour, (label, points) in zip(COLOURS, series.items(), strict=False):
        path = " ".join(f"{x(seconds):.1f},{y(value):.1f}" for seconds, value in points)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        )
        drawn += [
            f'<circle cx="{x(seconds):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}">'
            f"<title>{escape(label)}: {value:,.0f} {escape(unit)}</title></circle>"
            for seconds, value in points
        ]
    return _legend(series) + _svg(name, axes + "".join(drawn))


def columns(name: str, stacks: Sequence[tuple[float, Mapping[str, float]]], unit: str) -> str:
    """Draw a column of stacked parts at each point in time (seconds); return HTML."""
    parts = list(dict.fromkeys(part for _, stack in stacks for part in stack))
    x, y, axes = _frame([(seconds, sum(stack.values())) for seconds, stack in stacks], unit)
    width = max(3.0, min(24.0, 0.6 * (WIDTH - LEFT - RIGHT) / max(1, len(stacks))))
    drawn = []
    for seconds, stack in stacks:
        tops = list(accumulate(stack.values()))
        for part, value, top in zip(stack, stack.values(), tops, strict=True):
            drawn.append(
                f'<rect x="{x(seconds) - width / 2:.1f}" y="{y(top):.1f}" width="{width:.1f}" '
                f'height="{y(top - value) - y(top):.1f}" fill="{_colour(parts, part)}">'
                f"<title>{escape(part)}: {value:,.0f}</title></rect>"
            )
    return _legend(parts) + _svg(name, axes + "".join(drawn))


def bars(name: str, rows: Sequence[tuple[str, Mapping[str, float]]], colours: Mapping[str, str] | None = None) -> str:
    """Draw a bar of consecutive parts for each name, with the sum beside it; return HTML.

    `colours` are those of the parts, by name; without it, each part gets the next of COLOURS.
    """
    parts = list(colours or dict.fromkeys(part for _, row in rows for part in row))
    largest = max((sum(row.values()) for _, row in rows), default=0) or 1
    left, available = 200, WIDTH - 200 - 110
    drawn = []
    for number, (label, row) in enumerate(rows):
        top, start = number * 34 + 4, float(left)
        drawn.append(f'<text x="{left - 8}" y="{top + 16}" text-anchor="end">{escape(_short(label))}</text>')
        for part, value in row.items():
            width = available * value / largest
            drawn.append(
                f'<rect x="{start:.1f}" y="{top}" width="{width:.1f}" height="22" '
                f'fill="{(colours or {}).get(part) or _colour(parts, part)}">'
                f"<title>{escape(label)}, {escape(part)}: {value:,.0f}</title></rect>"
            )
            start += width
        drawn.append(f'<text x="{start + 8:.1f}" y="{top + 16}">{sum(row.values()):,.0f}</text>')
    legend = _legend(parts, list(colours.values()) if colours else COLOURS)
    return legend + _svg(name, "".join(drawn), height=max(1, len(rows)) * 34 + 8)


def _frame(points: Sequence[Point], unit: str) -> tuple[Callable[[float], float], Callable[[float], float], str]:
    """Return the scales x(seconds) and y(value), which start at zero, and the axes as SVG."""
    x_max, y_max = max((x for x, _ in points), default=0) or 1, max((y for _, y in points), default=0) or 1
    x_step, y_step = _step(x_max), _step(y_max)
    y_max = math.ceil(y_max / y_step) * y_step

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / (x_max * 1.02)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / y_max

    axes = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,.10g}</text>'
        for tick in (number * y_step for number in range(round(y_max / y_step) + 1))
    ]
    axes += [
        f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{_duration(tick)}</text>'
        for tick in (number * x_step for number in range(int(x_max / x_step) + 1))
    ]
    return x, y, "".join(axes) + f'<text x="{LEFT}" y="{TOP - 4}" class="unit">{escape(unit)}</text>'


def _step(largest: float) -> float:
    """Return a round distance between ticks, for about five of them up to `largest`."""
    power = 10 ** math.floor(math.log10(largest / 5))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= largest / 5))


def _duration(seconds: float) -> str:
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.4g} {unit}"
    return f"{seconds:,.4g} s"


def _short(label: str) -> str:
    return label if len(label) <= 26 else f"{label[:25]}…"


def _colour(parts: Sequence[str], part: str) -> str:
    return COLOURS[parts.index(part) % len(COLOURS)]


def _legend(parts: Mapping[str, object] | Sequence[str], colours: Sequence[str] = COLOURS) -> str:
    keys = "".join(
        f'<span><i style="background:{colours[number % len(colours)]}"></i>{escape(part)}</span>'
        for number, part in enumerate(parts)
    )
    return f'<p class="legend">{keys}</p>'


def _svg(name: str, drawn: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">{drawn}</svg>'
