"""`make bench` at its smallest size; no thresholds, because machines differ."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks import parts, plots, report, rows_conversation, rows_own, rows_proxy, rows_start, texts
from benchmarks.bench import MODELS, QUICK, open_bench
from benchmarks.figures import Figure, Goal, exponent
from benchmarks.load import percentiles
from benchmarks.profile import _owners
from benchmarks.rows_start import by_package
from benchmarks.rows_stock import OTHER, OURS, PROMETHEUS, STOCK
from benchmarks.rows_stock import ROW as STOCK_ROW
from custom_handler.emulation.tool_calls.parser import ToolCallParser
from custom_handler.events import ToolCallStart

TINY = dataclasses.replace(QUICK, rounds=1, requests=8, streams=4, largest=100_000)
FASTER = Figure.ratio("row", "rate", "1/s", {"stackspot": [20, 30], "openai": [10, 10]}, Goal(2, at_least=True))


@pytest.mark.slow
def test_both_models_are_measured_and_return_the_same(tmp_path):
    with open_bench(tmp_path, TINY) as bench:
        for prompt in ("whole", "burst", "paced"):
            outcomes = [bench.load.run(bench.job(model, prompt, 2, 2)) for model in MODELS]
            assert outcomes[0].answers == outcomes[1].answers == 2
            assert outcomes[0].characters == outcomes[1].characters > 0
        assert {"p50", "p99", "max"} == set(outcomes[0].delay) == set(outcomes[0].gap) == set(outcomes[0].first)
        assert 0 < outcomes[0].delay["p50"] < outcomes[0].seconds
        figures = {figure.name: figure for figure in rows_proxy.burst(bench)}
        deltas = figures["deltas an answer"].sides
        assert deltas["stackspot"][0] < deltas["openai"][0] / 2
        assert figures["answers/s"].median > 0
        with pytest.raises(RuntimeError, match="requests failed"):
            bench.load.run(dataclasses.replace(bench.job(MODELS[0], "whole", 1), key="sk-wrong"))


def test_the_rows_without_a_proxy_are_measured():
    bench = dataclasses.make_dataclass("Own", ["size"])(TINY)
    figures = [*rows_own.reader(bench), *rows_own.prompt(bench)]
    assert all(figure.median > 0 for figure in figures if "characters" not in figure.name)


def test_an_exponent_tells_linear_from_quadratic_growth():
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3 * size for size in sizes]) == pytest.approx(1)
    assert exponent(sizes, [size**2 / 7 for size in sizes]) == pytest.approx(2)


def test_native_conversations_are_measured_by_characters():
    for figure in rows_conversation.conversation(dataclasses.make_dataclass("Own", ["size"])(TINY)):
        [native], [prompt] = figure.sides.values()
        assert 0 < native < prompt / 2


def test_the_median_of_the_rounds_is_compared_to_the_goal():
    assert (FASTER.median, FASTER.met, str(FASTER.goal)) == (2.5, True, "≥ 2")
    assert dataclasses.replace(FASTER, goal=Goal(2)).met is False
    assert dataclasses.replace(FASTER, goal=None).met is None


def test_the_table_shows_a_missed_goal():
    slower = dataclasses.replace(FASTER, goal=Goal(3, at_least=True))
    results = json.loads(report.as_json([FASTER, slower], {}))
    first, second = report.table(results).splitlines()[2:]
    assert first == "| row | rate | 25 1/s | 10 1/s | 2.5 | 2 … 3 | ≥ 2 | met |"
    assert second.endswith("| ≥ 3 | **missed** |")


def test_a_row_of_another_day_or_version_says_so():
    figures = json.loads(report.as_json([FASTER] * 4, {}))["figures"]
    usual, other = "2026-11-29, LiteLLM 1.108.7, at a load", "2026-11-21, LiteLLM 1.106.2, at a load"
    for figure, measured in zip(figures, (usual, usual, other, ""), strict=True):
        if measured:
            figure["measured"] = measured
    names = [line.split(" | ")[1] for line in report.table({"figures": figures}).splitlines()[2:]]
    assert names == ["rate", "rate", "rate (2026-11-21, LiteLLM 1.106.2)", "rate (measured earlier)"]


def test_a_single_row_leaves_the_conditions_of_the_others(tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"conditions": {"minutes": 20}, "figures": [{"row": "a"}, {"row": "b"}, {"row": "c"}]}))
    merged = report.merged({"conditions": {"minutes": 1}, "figures": [{"row": "b", "new": True}]}, file)
    assert merged == {"conditions": {"minutes": 20}, "figures": [{"row": "a"}, {"row": "b", "new": True}, {"row": "c"}]}
    whole = [{"row": row, "new": True} for row in "bc"]
    assert report.merged({"conditions": {"minutes": 9}, "figures": whole}, file)["conditions"] == {"minutes": 9}


@pytest.mark.parametrize("make", [texts.prose, texts.markdown, texts.code])
def test_the_texts_without_calls_are_text_and_reproducible(make):
    text = make(5000)
    assert text == make(5000)
    parser = ToolCallParser({"write_file": texts.TOOL})
    assert "".join(map(str, parser.feed(text) + parser.flush())) == text
    assert parser.calls == 0


def test_the_first_start_compiles_and_the_second_one_does_not(monkeypatch, tmp_path):
    prefixes = []

    @contextlib.contextmanager
    def running(bench, environ):
        prefixes.append(environ["PYTHONPYCACHEPREFIX"])
        yield

    monkeypatch.setattr(rows_start, "_running", running)
    monkeypatch.setattr(rows_start, "_started", lambda *_, **__: rows_start._Started(1.0, 1.0, 1.0, ""))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="0.1"))
    bench = SimpleNamespace(directory=tmp_path, size=TINY)
    names = [figure.name for figure in rows_start.start(bench) + rows_start.start(bench)]
    assert any("first start" in name for name in names)
    first, second, third, _ = prefixes
    assert first == second != third
    assert first.startswith(str(tmp_path))


def test_results_are_written_and_other_rows_preserved(tmp_path):
    page = tmp_path / "bench.md"
    page.write_text("a\n<!-- conditions -->\nold\n<!-- end conditions -->\nb\n<!-- table -->\nold\n<!-- end -->\nc\n")
    other = dataclasses.replace(FASTER, row="other")
    for figure in (other, FASTER):
        results = json.loads(report.as_json([figure], report.conditions((1.0, 1.0, 1.0), 60)))
        results = report.merged(results, tmp_path / "bench" / "results.json")
        report.write(results, tmp_path / "bench", page)
    text = page.read_text()
    assert "old" not in text
    assert "| row | rate |" in text
    assert "| other | rate |" in text
    assert text.startswith("a\n")
    assert text.endswith("c\n")


@pytest.mark.slow
def test_the_plots_show_what_was_compared(tmp_path):
    plots.draw(
        json.loads(report.as_json([dataclasses.replace(FASTER, row="whole answer", name="requests/s")], {})), tmp_path
    )
    assert "whole answer: requests/s" in (tmp_path / "ratios.svg").read_text()
    assert "whole answers a second" in (tmp_path / "sides.svg").read_text()


def test_a_sample_belongs_to_its_innermost_owner():
    ours, theirs, shared = "f (/x/custom_handler/a.py:1)", "g (/x/litellm/router.py:1)", "h (/x/aiohttp/client.py:1)"
    types, server = "i (/x/litellm/types/utils.py:1)", "s (/x/uvicorn/server.py:1)"
    stacks = [
        [theirs, ours],
        [theirs, ours, shared],
        [ours, types],
        [ours, theirs, shared],
        [ours, server],
        [theirs, "j (/x/custom_handler/api/chat.py:1)"],
    ]
    assert _owners((frames, 1) for frames in stacks) == {"own": 2, "ours": 4, "service": 1, "proxy": 2}


def test_percentiles_are_of_all_samples():
    assert percentiles(list(range(101))) == {"p50": 50, "p99": 99, "max": 100}
    assert percentiles([]) == {}


def test_the_tools_have_the_size_of_a_coding_agents():
    assert 225_000 < len(texts.compact(texts.tools())) < 235_000
    assert len(texts.conversation()) == 200


def test_the_answer_that_is_read_holds_calls():
    reader = ToolCallParser({"write_file": texts.TOOL})
    assert sum(isinstance(event, ToolCallStart) for event in reader.feed(texts.answer(50_000))) > 5


def stack(*places: str) -> list[str]:
    return [f"f ({place}:1)" for place in ("/x/litellm/proxy/proxy_cli.py", "/x/uvicorn/server.py", *places)]


@pytest.mark.parametrize(
    ("places", "part"),
    [
        (("/x/custom_handler/proxy/middleware/wrap.py", "/x/starlette/routing.py", "/x/re.py"), parts.SERVER),
        (("/x/litellm/main.py", "/x/custom_handler/chat/turn.py"), parts.OWN),
        (("/x/litellm/main.py", "/x/custom_handler/chat/turn.py", "/x/aiohttp/client.py"), parts.BELOW),
        (("/x/litellm/router.py", "/x/litellm/main.py", "/x/litellm/llms/openai/openai.py"), parts._PROVIDER),
        (
            ("/x/litellm/litellm_core_utils/litellm_logging.py", "/x/litellm/router.py"),
            "LiteLLM: log and cost of the call",
        ),
        (
            ("/x/litellm/litellm_core_utils/litellm_logging.py", "/x/litellm/integrations/prometheus.py", "/x/copy.py"),
            "LiteLLM: Prometheus",
        ),
        (("/x/litellm/proxy/auth/user_api_key_auth.py",), "LiteLLM: authentication"),
        (("/x/litellm/proxy/proxy_server.py", "/x/fastapi/encoders.py"), "LiteLLM: the rest of the proxy"),
    ],
)
def test_a_sample_belongs_to_one_part_of_a_request(places, part):
    assert parts.part_of(stack(*places)) == part


def part_figures() -> list[Figure]:
    return [
        Figure(parts.ROW, f"{side}: {part}", "ms", [number + 0.5])
        for side in (OURS, OTHER, PROMETHEUS, STOCK)
        for number, part in enumerate(parts.PARTS[:3] if side == OURS else parts.PARTS[2:])
    ]


def test_the_stock_proxy_and_the_parts_have_tables_of_their_own(tmp_path):
    page = tmp_path / "bench.md"
    page.write_text(
        "<!-- stock -->\nold\n<!-- end stock -->\n<!-- parts -->\nold\n<!-- end parts -->\n<!-- table -->\n<!-- end -->\n"
    )
    compared = Figure.ratio(
        f"{STOCK_ROW}, whole", f"CPU of {OURS} against {STOCK}", "ms", {OURS: [3], STOCK: [2]}, Goal(1)
    )
    under = report.conditions((1.0, 1.0, 1.0), 60)
    report.write(json.loads(report.as_json([compared, *part_figures(), FASTER], under)), tmp_path / "bench", page)
    text = page.read_text()
    assert f"| {OURS} against {STOCK}, whole | 1.5 (3 against 2 ms) | 1.5 … 1.5 | ≤ 1 | **missed** |" in text
    assert f"| {parts.OWN} | 0.00 | 0.00 | 0.00 | 0.50 |" in text
    assert f"| {parts.PARTS[2]} | 0.50 | 0.50 | 0.50 | 2.50 |" in text
    assert text.count(f"{under['date']}, LiteLLM {under['packages']['litellm']}, at a load average of 1.0") == 2
    assert text.count("| row | rate |") == 1
    assert text.count(STOCK_ROW) == 0
    assert "old" not in text


@pytest.mark.slow
def test_the_picture_of_the_parts_shows_each(tmp_path):
    plots.draw(json.loads(report.as_json(part_figures(), {})), tmp_path)
    drawn = (tmp_path / "parts.svg").read_text()
    assert all(part in drawn for part in parts.PARTS)
    assert f"{0.5 + 1.5 + 2.5:.1f} ms" in drawn


def test_imports_are_added_up_by_package():
    log = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:     1500 |       1500 |   litellm.main\n"
        "02:00 - LiteLLM: ready\n"
        "import time:      500 |       2000 | litellm\n"
        "import time:      250 |        250 |     openai._client\n"
    )
    assert by_package(log) == {"litellm": 0.002, "openai": 0.00025}
