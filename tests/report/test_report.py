"""Reading a run, its summary, and its page."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from custom_handler.errors import ConfigurationError
from custom_handler.report import page, read_run, summarize
from custom_handler.report.plots import bars, columns, lines
from custom_handler.report.summary import percentile

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def line(second: float = 0, **changes: Any) -> dict[str, Any]:
    record = {
        "time": (START + timedelta(seconds=second)).isoformat(),
        "model": "chat",
        "latency_ms": 100.0,
        "time_to_first_token_ms": None,
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "status": 200,
        "error_class": None,
    }
    return record | changes


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write lines into a file of a run, and return the folder of the runs."""

    def write_lines(records: list[Any], run: str = "20260102T030405-aa", file: str = "interactions.jsonl") -> Path:
        folder = tmp_path / run
        folder.mkdir(exist_ok=True)
        texts = [entry if isinstance(entry, str) else json.dumps(entry) for entry in records]
        (folder / file).write_text("\n".join(texts) + "\n", encoding="utf-8")
        return tmp_path

    return write_lines


def test_the_newest_run_is_the_default(write):
    write([line()], run="20260101T000000-bb")
    directory = write([line(), line()], run="20260102T000000-aa")
    (directory / ".aa").symlink_to("20260102T000000-aa")
    assert read_run(directory).name == "20260102T000000-aa"
    assert len(read_run(directory).calls) == 2
    assert len(read_run(directory, "20260101T000000-bb").calls) == 1
    assert len(read_run(directory, str(directory / "20260101T000000-bb")).calls) == 1


def test_a_proxys_run_precedes_a_newer_one_of_a_command(write):
    for run, kind in (("20260101T000000-aa", "proxy"), ("20260102T000000-bb", "command")):
        (write([line()], run=run) / run / "manifest.json").write_text(json.dumps({"kind": kind}), encoding="utf-8")
    assert read_run(write([line()], run="20260102T000000-bb")).name == "20260101T000000-aa"


def test_files_that_were_moved_aside_belong_to_the_run(write):
    write([line(2)])
    directory = write([line(1)], file="interactions.123.jsonl")
    assert [call.at.second for call in read_run(directory).calls] == [6, 7]


@pytest.mark.parametrize("torn", ['{"time": "20', "{}", "[]", "null", '{"time": 5}'])
def test_a_truncated_line_is_counted_and_skipped(write, torn):
    run = read_run(write([line(), torn, "", line()]))
    assert (len(run.calls), run.unreadable) == (2, 1)


def test_an_unknown_run_is_an_error_that_lists_the_runs(write, tmp_path):
    with pytest.raises(ConfigurationError, match=r"There is no run in .*RUNS_DIR"):
        read_run(tmp_path / "nowhere")
    directory = write([line()])
    with pytest.raises(ConfigurationError, match=r"no run 'x' in .*; there are: 20260102T030405-aa"):
        read_run(directory, "x")


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [
        ([], 50, None),
        ([7], 99, 7),
        ([3, 1, 2], 50, 2),
        (range(1, 101), 95, 95),
        (range(1, 101), 99, 99),
        ([1, 2], 50, 1),
    ],
)
def test_a_percentile_is_one_of_the_values(values, percent, value):
    assert percentile(values, percent) == value


def test_the_summary_of_a_model(write):
    failed = line(1, status=503, error_class="ServiceUnavailableError", latency_ms=9000.0)
    records = [line(0, latency_ms=float(ms), time_to_first_token_ms=ms / 2) for ms in range(100, 200)]
    summary = summarize(read_run(write([*records, failed, line(2, model="other")])))
    chat = summary.models[0]
    assert (chat.name, chat.calls, chat.failed, chat.tokens_in, chat.tokens_out) == ("chat", 101, 1, 303, 404)
    assert (chat.latencies, chat.first_token) == ((149.0, 194.0, 198.0), 74.5)
    assert chat.cells() == ("chat", "101", "1", "149", "194", "198", "74", "303", "404")
    assert [model.name for model in summary.models] == ["chat", "other"]
    assert summary.errors == [("ServiceUnavailableError", 503, 1)]
    assert (summary.calls, summary.failures, summary.seconds) == (102, 1, 2.0)


def test_no_call_is_lost_between_the_spans(write):
    records = [
        line(second, error_class="E" if second % 2 else None, status=500 if second % 2 else 200)
        for second in range(500)
    ]
    spans = summarize(read_run(write(records))).spans
    assert 10 < len(spans) <= 41
    assert sum(span.errors["E"] for span in spans) == 250


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", text, re.DOTALL)[0])


def test_lines_go_up_with_their_values():
    drawn = svg(lines("a name", {"p50": [(0, 10), (5, 20), (10, 40)]}, "ms"))
    points = [tuple(map(float, point.split(","))) for point in drawn.find("polyline").get("points").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert [title.text for title in drawn.iter("title")] == ["p50: 10 ms", "p50: 20 ms", "p50: 40 ms"]


def test_the_parts_of_a_column_are_stacked():
    drawn = svg(columns("a name", [(1.0, {"A": 1, "B": 3}), (2.0, {"B": 2})], "calls"))
    (_, one, below), (_, three, above), (_, two, _) = (
        (rect.get("x"), float(rect.get("height")), float(rect.get("y"))) for rect in drawn.findall("rect")
    )
    assert three == pytest.approx(3 * one, abs=0.2)
    assert two == pytest.approx(2 * one, abs=0.2)
    assert above + three == pytest.approx(below, abs=0.2)


def test_bars_are_as_long_as_their_numbers():
    drawn = svg(bars("a name", [("chat", {"in": 10.0, "out": 30.0}), ("other", {"in": 20.0, "out": 0.0})]))
    widths = [float(rect.get("width")) for rect in drawn.findall("rect")]
    assert widths == pytest.approx([widths[0], 3 * widths[0], 2 * widths[0], 0], abs=0.2)


def test_the_page_has_no_scripts_and_no_external_resources(write):
    run = read_run(write([line(0), line(1, status=500, error_class="E")]))
    text = page(run, summarize(run))
    assert text.count("<svg") == 3
    assert not re.search(r"<script|src=|href=|url\(|@import|https?:", text)
    for drawn in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawn)


def test_names_from_clients_are_escaped(write):
    evil = '<script>alert("x")</script>'
    run = read_run(write([line(0, model=evil, error_class=evil, status=400)]))
    assert "<script" not in page(run, summarize(run))


@pytest.mark.parametrize("records", [[], [line()]], ids=["no call", "one call"])
def test_a_run_with_few_calls_has_a_page_too(write, records):
    run = read_run(write(records))
    assert "Run 20260102T030405-aa" in page(run, summarize(run))
