"""What 100 proxies would need, calculated from the results of `make scale` and of `make bench`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import servers
from .cluster import LIMIT

DOCS = servers.ROOT / "docs"
PROXIES = 100
_DELTAS = 100
_STREAMS = 200
_SOME_ACCOUNTS = 40  # of the table of Redis


def blocks(runs: Sequence[dict[str, Any]], figures: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the calculated parts of docs/scaling.md by their names, none without all measurements."""
    if not all({"limit", "idle", "costs"} <= run.keys() for run in runs):
        return {}
    loads = [run["limit"]["redis"]["cpu_percent"] for run in runs]
    if loads[0] >= loads[-1]:  # of one number of proxies, or of an idle Redis
        return {}
    whole = _ours(figures, "whole answer", "CPU of the proxy a request")
    token = _ours(figures, "growth by streams", f"{_STREAMS} streams: CPU a token")
    return {} if whole is None or token is None else {"cores": _cores(whole, _DELTAS * token), "redis": _redis(runs)}


def write(docs: Path = DOCS) -> None:
    """Calculate docs/scaling.md anew from both results.json."""
    page = docs / "scaling.md"
    results = [json.loads((docs / name / "results.json").read_text()) for name in ("scaling", "bench")]
    page.write_text(replaced(page.read_text(), blocks(results[0]["runs"], results[1]["figures"])))


def replaced(text: str, parts: dict[str, str]) -> str:
    """Return a page with new parts between their marks."""
    for name, part in parts.items():
        before, start, old = text.partition(f"<!-- {name} -->\n")
        _, end, after = old.partition(f"<!-- end {name} -->")
        text = before + start + part + end + after if end else text
    return text


def _ours(figures: Sequence[dict[str, Any]], row: str, name: str) -> float | None:
    """Return the milliseconds of this provider in a figure of the benchmark."""
    found = (figure for figure in figures if (figure["row"], figure["name"]) == (row, name))
    return next((figure["sides"]["stackspot"]["median"] for figure in found), None)


def _cores(whole: float, stream: float) -> str:
    """Return how many cores the requests of some accounts need, of so many milliseconds each."""
    one_whole, one_stream = (_rounded(60_000 / spent / LIMIT) for spent in (whole, stream))
    rows = [
        (
            f"{accounts:,}",
            f"{LIMIT * accounts:,}",
            *(_few(LIMIT * accounts * spent / 60_000) for spent in (whole, stream)),
        )
        for accounts in sorted({1, one_stream, one_whole, PROXIES * one_stream, PROXIES * one_whole})
    ]
    heads = (
        f"accounts of {LIMIT} requests a minute",
        "requests a minute",
        "cores for whole answers",
        "cores for streams",
    )
    return f"""\
**When the account's quota is the limit.** A whole answer costs a proxy {whole:.1f} ms of CPU, a stream of {_DELTAS} deltas
some {stream:.0f} ms (while {_STREAMS} run). So one core serves about {LIMIT * one_whole:,} whole answers a minute,
or {LIMIT * one_stream:,} such streams.

{_table(heads, rows)}
With fewer than {one_stream} accounts, the quota is the limit even for one proxy on one core; a second proxy is there for
restarts, not for speed. {PROXIES} proxies of one core make sense from some {PROXIES * one_stream:,} accounts on (streams),
or {PROXIES * one_whole:,} (whole answers).
"""


def _redis(runs: Sequence[dict[str, Any]]) -> str:
    """Return what the proxies and their requests cost Redis."""
    first, last = runs[0], runs[-1]
    more = last["proxies"] - first["proxies"]
    waiting, load = (
        (last["limit"]["redis"][name] - first["limit"]["redis"][name]) / more
        for name in ("commands_a_second", "cpu_percent")
    )
    pairs = _rounded(100 / load)
    idle, cost = last["idle"]["clients"], first["costs"][0]
    a_second = _SOME_ACCOUNTS * LIMIT / 60
    commands, in_scripts = (f"{_rounded(cost[kind] * a_second):,}" for kind in ("clients", "scripts"))
    rows = [
        (
            "an idle proxy: `BRPOP` of its four job workers, the search for left jobs",
            f"{idle:.0f} commands a second",
            f"{_rounded(idle * PROXIES):,} a second",
        ),
        (
            "a request",
            f"{cost['clients']:.0f} commands, {cost['scripts']:.0f} in scripts",
            f"{_SOME_ACCOUNTS} accounts ({a_second:.0f} requests a second): {commands} and {in_scripts} a second",
        ),
        (
            f"a proxy at which calls of an account wait: the table's row from {first['proxies']} to {last['proxies']} proxies",
            f"{waiting:.0f} commands a second, {load:.2f} % of a core",
            f"{pairs // PROXIES} accounts: {_rounded(pairs * waiting):,} a second, a whole core",
        ),
        ("connections of a proxy", "25", f"{25 * PROXIES:,} (`maxclients` is 10,000)"),
        (
            "memory of an account's quota, most of it the minutes of the day",
            "100 kB",
            f"{_SOME_ACCOUNTS} accounts: 4 MB",
        ),
    ]
    return f"""\
**One Redis is enough**, up to about {pairs:,} pairs of a proxy and an account whose calls wait at it: {PROXIES} proxies with
calls of {pairs // PROXIES} busy accounts.

{_table(("", "for each", f"{PROXIES} proxies"), rows)}"""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _few(value: float) -> str:
    """Return a number with two digits that count.

    >>> _few(0.0143), _few(8.6), _few(1140)
    ('0.014', '8.6', '1,100')
    """
    return f"{value:.2g}" if value < 99.5 else f"{_rounded(value):,}"


def _rounded(value: float) -> int:
    """Return a number of at least 1 with two digits that count.

    >>> _rounded(2517.3), _rounded(6.14), _rounded(0.3)
    (2500, 6, 1)
    """
    return max(1, int(float(f"{value:.2g}")))


if __name__ == "__main__":
    write()
