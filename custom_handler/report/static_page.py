"""Pages of one HTML file with SVG plots, without scripts or external resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

GENERATOR = '<meta name="generator" content="stackspot-litellm">'
"""The mark of a page of this package, by which a later page may replace it."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #666; --line: #ddd; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0; --line: #3a3a3a; --paper: #161616; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.1em; margin: 2em 0 .3em; }
.soft { color: var(--soft); margin-top: 0; }
.table { overflow-x: auto; margin-bottom: .8em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25em .3em; border-bottom: 1px solid var(--line); } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 8em; }
.text th, .text td { text-align: left; vertical-align: top; }
.text td { white-space: normal; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; } .grid { stroke: var(--line); }
.legend { margin: .2em 0; color: var(--soft); font-size: .9em; } .legend span { margin-right: 1.2em; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
"""


def document(title: str, facts: Sequence[str], sections: Iterable[tuple[str, str]]) -> str:
    """Return an HTML page: facts below the title, then sections of a heading and HTML."""
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'{GENERATOR}<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f'<body><h1>{escape(title)}</h1><p class="soft">{escape(" · ".join(facts))}</p>{body}</body></html>\n'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: bool = False) -> str:
    """Return an HTML table, of figures or of `text`; one that is too wide scrolls."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = f"{line('th', head)}{''.join(line('td', row) for row in rows)}"
    return f'<div class="table"><table{" class=text" if text else ""}>{lines}</table></div>'
