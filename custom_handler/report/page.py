"""Write the page of a run: one HTML file with SVG plots, without scripts or external resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from . import plots
from .run_log import RunLog
from .summary import PERCENTILES, Summary

GENERATOR = '<meta name="generator" content="stackspot-litellm">'
"""The mark of a page of this package, by which a later page may replace it."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #666; --line: #ddd; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0; --line: #3a3a3a; --paper: #161616; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 940px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.1em; margin: 2em 0 .3em; }
.soft { color: var(--soft); margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25em .6em; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } td { white-space: nowrap; }
.text th, .text td { text-align: left; vertical-align: top; }
.text td { white-space: normal; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; } .grid { stroke: var(--line); }
.legend { margin: .2em 0; color: var(--soft); font-size: .9em; } .legend span { margin-right: 1.2em; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
"""

_HEAD = (
    "Model",
    "Calls",
    "Failed",
    *(f"p{percent} ms" for percent in PERCENTILES),
    "First token p50 ms",
    "Tokens in",
    "Tokens out",
)


def page(run: RunLog, summary: Summary) -> str:
    """Return the HTML page of a run."""
    spans = summary.spans
    latencies = {
        f"p{percent}": [(span.middle, value) for span in spans if (value := span.latencies[number]) is not None]
        for number, percent in enumerate(PERCENTILES)
    }
    tokens = [(model.name, {"in": float(model.tokens_in), "out": float(model.tokens_out)}) for model in summary.models]
    errors = [(span.middle, dict(sorted(span.errors.items()))) for span in spans]
    sections = [
        ("Models", table(_HEAD, [model.cells() for model in summary.models])),
        ("Latency of answered calls over time", plots.lines("Latency percentiles over time", latencies, "ms")),
        ("Tokens by model", plots.bars("Tokens by model", tokens)),
        ("Errors over time", _errors(summary, errors)),
    ]
    return document(f"Run {run.name}", _facts(run, summary), sections)


def document(title: str, facts: Sequence[str], sections: Iterable[tuple[str, str]]) -> str:
    """Return an HTML page: facts below the title, then sections of a heading and HTML."""
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'{GENERATOR}<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f'<body><h1>{escape(title)}</h1><p class="soft">{escape(" · ".join(facts))}</p>{body}</body></html>\n'
    )


def _facts(run: RunLog, summary: Summary) -> list[str]:
    manifest, versions = run.manifest, run.manifest.get("dependencies")
    litellm = versions.get("litellm", "?") if isinstance(versions, dict) else "?"
    return [
        f"{summary.calls} calls, {summary.failures} failed",
        f"{summary.first} to {summary.last}",
        f"Python {manifest.get('python', '?')}",
        f"LiteLLM {litellm}",
        f"git {str(manifest.get('git_sha') or 'unknown')[:12]}",
        *([f"{run.unreadable} unreadable lines"] if run.unreadable else []),
    ]


def _errors(summary: Summary, stacks: Sequence[tuple[float, dict[str, int]]]) -> str:
    if not summary.errors:
        return '<p class="soft">None.</p>'
    rows = [tuple(map(str, error)) for error in summary.errors]
    return plots.columns("Errors over time", stacks, "calls") + table(("Error", "Status", "Calls"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: bool = False) -> str:
    """Return an HTML table, of figures or of `text`."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table{' class=text' if text else ''}>{line('th', head)}{''.join(line('td', row) for row in rows)}</table>"
