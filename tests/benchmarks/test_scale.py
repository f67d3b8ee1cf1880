"""The parts of `make scale` that need no processes."""

from __future__ import annotations

import copy
import doctest
import json
from collections import Counter
from typing import Any

import pytest

from benchmarks.scale import calculation, chaos, limit, plot, redis_cost, report
from benchmarks.scale.balancer import config
from benchmarks.scale.cluster import LIMIT, NAMES

STARTED = [0.61 * number for number in range(2 * LIMIT + 1)]
RUN: dict[str, Any] = {
    "proxies": 2,
    "idle": {"clients": 5.0, "scripts": 0.0},
    "costs": [{"request": "a chat", "clients": 12.4, "scripts": 30.0}],
    "native": {"continued": 7, "of": 7},
    "responses": {"whole": 8, "of": 8, "kept_by": 2},
    "limit": {
        "per_minute": 98.3,
        "used": 0.983,
        "most_in_a_minute": 99,
        "overruns": 0,
        "failures": {},
        "shares": {"greedy": 33, "busy": 34, "calm": 33},
        "times": STARTED,
        "redis": {"scripts_a_second": 9.0, "commands_a_second": 100.0, "cpu_percent": 0.5},
    },
    "chaos": {
        "jobs": 1,
        "completed": 1,
        "items": 2,
        "answered_once": 2,
        "ended_once": 1,
        "asked_again": 1,
        "overruns": 0,
        "continued_by": 2,
        "kills": [(1.0, "proxy-1"), (2.0, "redis")],
        "proxy_kills": 1,
        "redis_restarts": 1,
        "times": [1.0, 3.0],
    },
}
UNDER = {
    "date": "2026-11-29",
    "minutes": 1.0,
    "python": "3.11",
    "machine": "Linux x86_64",
    "cores": 2,
    "load_average": {"before": (1.0, 1.0, 1.0), "after": (1.0, 1.0, 1.0)},
    "packages": {"litellm": "1.108.7"},
}


@pytest.mark.parametrize("module", [limit, chaos, plot, calculation], ids=lambda module: module.__name__)
def test_the_examples_of_the_parts_are_true(module):
    tried = doctest.testmod(module)
    assert (tried.failed, tried.attempted > 0) == (0, True)


def test_the_balancer_serves_all_proxies_and_repeats_only_what_was_not_connected():
    text = config(4000, ["127.0.0.11:9", "127.0.0.12:9"])
    assert "bind 127.0.0.1:4000\n" in text
    assert "server proxy-1 127.0.0.11:9\n    server proxy-2 127.0.0.12:9\n" in text
    assert "retry-on conn-failure\n" in text


def records(gap: float, refused: int = 0) -> list[dict[str, Any]]:
    served = [{"status": 200, "started": gap * n, "prompt": f"{NAMES[n % 3]} {n}."} for n in range(2 * LIMIT + 1)]
    return served + [{"status": 429, "started": 1.0, "prompt": "greedy 0."}] * refused


def test_refused_requests_are_not_counted_as_served():
    assert limit.summary(records(0.61), 0, LIMIT) == limit.summary(records(0.61, refused=9), 0, LIMIT)
    found = limit.summary(records(0.61), LIMIT, LIMIT)
    assert found["used"] == pytest.approx(60 / 61)
    assert found["most_in_a_minute"] == 99
    assert sum(found["shares"].values()) == LIMIT


def test_more_than_the_limit_in_a_minute_is_seen_wherever_it_begins():
    found = limit.summary([*records(0.61), {"status": 200, "started": 90.0, "prompt": "busy 0."}] * 2, 0, LIMIT)
    assert found["most_in_a_minute"] == 200


STATE = {
    "status": "completed",
    "progress": {"total": 2, "done": 2, "failed": 0},
    "result": [{"item": 0, "content": "job 0 item 0."}, {"item": 1, "content": "job 0 item 1."}],
}


@pytest.mark.parametrize(
    ("change", "once"),
    [
        (lambda state: state["result"].pop(), 1),
        (lambda state: state["result"].append(state["result"][0]), 1),
        (lambda state: state["result"][0].update(content="job 1 item 0."), 1),
        (lambda state: state["progress"].update(done=3), 0),
    ],
    ids=["lost", "doubled", "another's", "counted twice"],
)
def test_an_item_that_is_lost_or_doubled_or_mixed_up_is_seen(change, once):
    state = copy.deepcopy(STATE)
    change(state)
    found = chaos.judge([state], 2, Counter({"job 0 item 0.": 1}))
    assert (found["answered_once"], found["never_asked"], found["asked_again"]) == (once, 1, 0)


def test_a_job_that_failed_is_not_completed():
    failed = STATE | {"progress": {"total": 2, "done": 2, "failed": 1}}
    assert chaos.judge([STATE, failed, STATE | {"status": "failed"}], 2, Counter())["completed"] == 1


def test_commands_of_scripts_are_told_from_those_of_clients():
    seen = redis_cost.read_monitor(
        [
            "OK",
            '1795918970.381844 [0 127.0.0.1:43612] "EVALSHA" "bac" "2" "a" "b"',
            '1795918970.381850 [0 lua] "get" "a"',
            '1795918970.381851 [0 lua] "time"',
            '1795918970.381900 [0 127.0.0.1:43612] "TIME"',
        ]
    )
    assert seen == redis_cost.Seen(Counter(EVALSHA=1, TIME=1), Counter(GET=1, TIME=1))


def test_the_counters_of_redis_are_subtracted():
    before = redis_cost.parse("cmdstat_get:calls=3,usec=9\r\nused_cpu_sys:0.5\r\nused_cpu_user:1.0\r\n")
    after = redis_cost.parse(
        "cmdstat_get:calls=7,usec=9\r\ncmdstat_script|load:calls=1,usec=2\r\nused_cpu_user:1.75\r\n"
    )
    assert after.since(before) == redis_cost.Stats(Counter({"get": 4, "script|load": 1}), 250_000)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("limit", {"used": 0.97}),
        ("limit", {"most_in_a_minute": 101}),
        ("limit", {"overruns": 1}),
        ("limit", {"failures": {"HTTP 500": 1}}),
        ("limit", {"shares": {"greedy": 60, "busy": 20, "calm": 20}}),
        ("native", {"continued": 6}),
        ("responses", {"whole": 7}),
        ("responses", {"kept_by": 1}),
        ("chaos", {"completed": 0}),
        ("chaos", {"answered_once": 1}),
        ("chaos", {"ended_once": 0}),
        ("chaos", {"overruns": 1}),
        ("chaos", {"continued_by": 1}),
    ],
)
def test_what_misses_its_goal_fails_the_run(part, values, capsys):
    assert report.print_rows(report.rows_of([RUN]))
    worse = RUN | {part: RUN[part] | values}
    assert not report.print_rows(report.rows_of([RUN, worse]))
    assert "**missed**" in report.table(report.rows_of([RUN, worse]), [RUN, worse])


def test_only_what_was_measured_has_rows():
    (row,) = report.rows_of([RUN, {"proxies": 1, "native": {"continued": 7, "of": 7}}])
    assert row.cells == ["7 of 7", "7 of 7"]


def test_results_are_written_and_those_of_other_numbers_kept(tmp_path):
    page = tmp_path / "scaling.md"
    marks = ("conditions", "results", "costs")
    page.write_text("".join(f"<!-- {mark} -->\nold\n<!-- end {mark} -->\n" for mark in marks))
    for run in (RUN, RUN | {"proxies": 1}, {"proxies": 2, "native": {"continued": 3, "of": 7}}):
        results = {"conditions": UNDER, "runs": [run]}
        report.write(report.merged(results, tmp_path / "results.json"), tmp_path, page)
    text = page.read_text()
    assert "old" not in text
    assert "|  | 1 proxy | 2 proxies | goal |  |\n" in text
    assert "| 7 of 7 | 3 of 7 | all | **missed** |" in text
    assert "| a chat | 12.4 | 30.0 |\n" in text
    assert "litellm 1.108.7" in text
    assert [run["proxies"] for run in json.loads((tmp_path / "results.json").read_text())["runs"]] == [1, 2]
    assert "2 proxies" in (tmp_path / "scaling.svg").read_text()


def test_the_calculation_is_that_of_the_measured_results() -> None:
    results = [json.loads((calculation.DOCS / name / "results.json").read_text()) for name in ("scaling", "bench")]
    parts = calculation.blocks(results[0]["runs"], results[1]["figures"])
    assert parts.keys() == {"cores", "redis"}
    page = (calculation.DOCS / "scaling.md").read_text()
    for name, part in parts.items():
        assert f"<!-- {name} -->\n{part}<!-- end {name} -->" in page, "python -m benchmarks.scale.calculation"


def bench_figure(row: str, name: str, milliseconds: float) -> dict[str, Any]:
    return {"row": row, "name": name, "sides": {"stackspot": {"median": milliseconds}}}


def test_the_calculation_follows_from_what_was_measured() -> None:
    more = copy.deepcopy(RUN) | {"proxies": 4}
    more["limit"]["redis"] = {"scripts_a_second": 9.0, "commands_a_second": 180.0, "cpu_percent": 0.6}
    figures = [
        bench_figure("whole answer", "CPU of the proxy a request", 10.0),
        bench_figure("growth by streams", "200 streams: CPU a token", 0.6),
    ]
    parts = calculation.blocks([RUN, more], figures)
    assert "about 6,000 whole answers a minute,\nor 1,000 such streams" in parts["cores"]
    assert "| 60 | 6,000 | 1 | 6 |" in parts["cores"]
    assert "| 40 commands a second, 0.05 % of a core | 20 accounts: 80,000 a second, a whole core |" in parts["redis"]
    assert calculation.blocks([RUN], figures) == calculation.blocks([RUN, more], figures[:1]) == {}
    assert calculation.replaced("a\n<!-- x -->\nold\n<!-- end x -->\n", {"x": "new\n"}) == (
        "a\n<!-- x -->\nnew\n<!-- end x -->\n"
    )
