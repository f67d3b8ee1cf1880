"""Draw bars as SVG, for a page without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]

# Distinguishable with colour blindness, on white and on black (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 16, 34


def bars(name: str, rows: Sequence[tuple[str, Mapping[str, float]]], colours: Mapping[str, str] | None = None) -> str:
    """Draw a bar of consecutive parts for each name, with the sum beside it; return HTML.

    `colours` are those of the parts, by name; without it, each part gets the next of COLOURS.
    """
    parts = list(colours or dict.fromkeys(part for _, row in rows for part in row))
    largest = max((sum(row.values()) for _, row in rows), default=0) or 1
    left, available = 230, WIDTH - 230 - 60
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


def _short(label: str) -> str:
    return label if len(label) <= 32 else f"{label[:31]}…"


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
