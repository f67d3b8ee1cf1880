"""Writes the page of an evaluation: one HTML file with plots, without scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from ..report import plots
from ..report.static_page import document, table
from .compact import HEAD as COMPACT_HEAD
from .compact import comparisons
from .results import FAILED, OBEYED, REFUSED, REPAIRED, VERDICTS, WRONG, Result, Summary

HEAD = (
    "Model",
    "Obeyed",
    "Repaired",
    "Wrong",
    "Refused",
    "Failed",
    "Right",
    "95 %",
    "Requests",
    "Seconds",
    "Tokens",
    "Prompt",
)
COLOURS = {OBEYED: "#009e73", REPAIRED: "#56b4e9", WRONG: "#d55e00", REFUSED: "#cc79a7", FAILED: "#999999"}
_MAX_REASON = 160


def cells(summary: Summary) -> tuple[str, ...]:
    """Return the row of a model: requests, seconds, tokens and prompt are means of a task."""
    low, high = summary.interval()
    tasks = max(1, summary.tasks)
    return (
        summary.contender,
        *(str(summary.verdicts[verdict]) for verdict in VERDICTS),
        f"{100 * summary.right / max(1, summary.judged):.1f} %",
        f"{100 * low:.0f}–{100 * high:.0f}",
        f"{summary.requests / tasks:.2f}",
        f"{summary.seconds / tasks:.1f}",
        f"{(summary.tokens_in + summary.tokens_out) / tasks:,.0f}",
        f"{summary.prompt_characters:,}" if summary.prompt_characters else "–",
    )


def page(results: Sequence[Result], summaries: Sequence[Summary], note: str = "") -> str:
    """Return the HTML page of an evaluation; `note` says what a reader has to know first."""
    kinds = list(dict.fromkeys(result.kind for result in results))
    overview = [(summary.contender, _parts(summary.verdicts)) for summary in summaries]
    sections = [
        ("Models", table(HEAD, [cells(summary) for summary in summaries])),
        *_compact_tools(results),
        ("Verdicts", plots.bars("Verdicts by model", overview, COLOURS)),
        (
            "Kinds of tasks, right of all",
            table(("Kind", *(s.contender for s in summaries)), _by_kind(kinds, summaries)),
        ),
        *(
            (
                f"Kinds of tasks: {summary.contender}",
                plots.bars(
                    summary.contender, [(k, _parts(summary.kinds[k])) for k in kinds if k in summary.kinds], COLOURS
                ),
            )
            for summary in summaries
        ),
        ("What did not end right", _faults(results)),
    ]
    facts = [
        *filter(None, [note]),
        f"{len({result.task for result in results})} tasks",
        f"{len(summaries)} {'model' if len(summaries) == 1 else 'models'}",
        "requests, seconds and tokens are means of a task",
        "prompt: characters of its first prompt to an agent",
        "right: obeyed or repaired, of those that were answered; 95 %: confidence interval",
    ]
    return document("Evaluation", facts, sections)


def _compact_tools(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return the section on the models that were asked with and without compact tools."""
    found = comparisons(results)
    if not found:
        return []
    rows = [row for one in found for row in one.differences()]
    different = table(("Task", "Model", "With compact tools"), rows, text=True) if rows else ""
    return [("With and without compact tools", table(COMPACT_HEAD, [one.cells() for one in found]) + different)]


def _parts(verdicts: Mapping[str, int]) -> dict[str, float]:
    return {verdict: float(verdicts[verdict]) for verdict in VERDICTS if verdicts.get(verdict)}


def _by_kind(kinds: Sequence[str], summaries: Sequence[Summary]) -> list[tuple[str, ...]]:
    def share(summary: Summary, kind: str) -> str:
        verdicts = summary.kinds.get(kind, Counter())
        return f"{verdicts[OBEYED] + verdicts[REPAIRED]}/{sum(verdicts.values())}"

    return [(kind, *(share(summary, kind) for summary in summaries)) for kind in kinds]


def _faults(results: Sequence[Result]) -> str:
    rows = [
        (result.task, result.contender, result.verdict, result.reason[:_MAX_REASON])
        for result in results
        if result.verdict not in {OBEYED, REPAIRED}
    ]
    if not rows:
        return f'<p class="soft">{escape("Nothing.")}</p>'
    return table(("Task", "Model", "Verdict", "Reason"), rows, text=True)
