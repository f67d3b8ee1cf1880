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
from custom_handler.report import page, read_run, report_data, summarize
from custom_handler.report.data import UNKNOWN_MODELS
from custom_handler.report.plots import bars
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


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", text, re.DOTALL)[0])


def test_bars_are_as_long_as_their_numbers():
    drawn = svg(bars("a name", [("chat", {"in": 10.0, "out": 30.0}), ("other", {"in": 20.0, "out": 0.0})]))
    widths = [float(rect.get("width")) for rect in drawn.findall("rect")]
    assert widths == pytest.approx([widths[0], 3 * widths[0], 2 * widths[0], 0], abs=0.2)


def test_the_page_has_no_external_resources(write):
    text = page(report_data(read_run(write([line(0), line(1, status=500, error_class="E")]))))
    assert not re.search(r"<link|<img|<iframe|src=|href=|url\(|@import|/\* \w+[.\w]*\.(js|css) \*/", text)
    assert text.count("<script>") == 2


def test_names_from_clients_end_no_element_of_the_page(write):
    evil = '</script><script>alert("x")</script>'
    text = page(report_data(read_run(write([line(0, model=evil, provider="p", key=evil)]))))
    assert text.count("<script") == 3
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert data["models"] == data["keys"] == [evil]


def test_the_data_have_every_call_and_fold_the_names_that_only_clients_know(write):
    failed = {"status": 404, "error_class": "NotFoundError"}
    records = [
        line(0, provider="stackspot", key="ana", cost_usd=0.5, tool_calls=2, retries=1, repairs=3, request_id="r-1"),
        line(1, model="gpt-one", **failed),
        line(2, model="gpt-two", **failed),
        line(3, provider="stackspot", status=502, error_class="E", time_to_first_token_ms=7.0),
    ]
    data = report_data(read_run(write(records)), ["a run"])
    assert data["models"] == ["chat", UNKNOWN_MODELS]
    assert data["keys"] == ["ana", "(no key)"]
    assert data["errors"] == ["404 NotFoundError", "502 E"]
    calls = data["calls"]
    assert {len(column) for column in calls.values()} == {4}
    assert (calls["model"], calls["key"], calls["error"]) == ([0, 1, 1, 0], [0, 1, 1, 1], [-1, 0, 0, 1])
    assert [calls[name][0] for name in ("cost", "tools", "retries", "repairs", "id")] == [0.5, 2, 1, 3, "r-1"]
    assert (calls["first"], calls["at"][1] - calls["at"][0]) == ([None, None, None, 7.0], 1000)
    assert data["runs"] == ["a run"]


def test_lines_of_an_older_release_have_no_new_fields(write):
    calls = report_data(read_run(write([line()])))["calls"]
    assert (calls["cost"], calls["repairs"], calls["id"]) == ([0.0], [0], [""])


def test_the_newest_calls_are_shown_and_the_others_counted(write, monkeypatch):
    monkeypatch.setattr("custom_handler.report.data.MAX_CALLS", 3)
    data = report_data(read_run(write([line(second) for second in range(5)])))
    assert len(data["calls"]["at"]) == 3
    assert "the newest 3 calls, without 2 before them" in data["facts"]


@pytest.mark.parametrize("max_bytes", [0, 100, 500, 1000, 10_000])
def test_the_newest_lines_are_read_up_to_a_size(write, max_bytes):
    records = [line(second) for second in range(10)]
    run = read_run(write(records), max_bytes=max_bytes)
    size = len(json.dumps(records[0])) + 1
    assert len(run.calls) == min(10, max_bytes // size)
    assert (run.unreadable, run.truncated) == (0, max_bytes < 10 * size)
    assert [call.at.second for call in run.calls] == [5 + second for second in range(10)][10 - len(run.calls) :]


@pytest.mark.parametrize("records", [[], [line()]], ids=["no call", "one call"])
def test_a_run_with_few_calls_has_a_page_too(write, records):
    assert "Run 20260102T030405-aa" in page(report_data(read_run(write(records))))
