"""The command `evaluate --compact-tools` as an operator runs it, and its page in a headless Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import opened_page
from tests.support.processes import BIN, ROOT, START_SECONDS, process

COMMAND = [str(BIN / "python"), "-m", "custom_handler", "evaluate", "--simulate", "0", "--compact-tools"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of the shipped configuration."""
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copy(ROOT / "config.yaml", folder)
    log = folder / "log"
    with process([*COMMAND, "--kind", "coding agent"], log, cwd=folder, PYTHONPATH=str(ROOT)) as running:
        assert running.wait(START_SECONDS) == 0, log.read_text(errors="replace")
    return folder


@pytest.fixture
def page(browser: Browser, evaluated: Path) -> Iterator[Page]:
    """The page of the evaluation on a small screen."""
    file = evaluated / "evaluation" / "evaluation.html"
    with opened_page(browser, file.as_uri(), viewport={"width": 1000, "height": 800}) as opened:
        yield opened


def test_shorter_prompts_stand_side_by_side(evaluated: Path) -> None:
    printed = (evaluated / "log").read_text(encoding="utf-8")
    found = re.search(r"^stackspot-chat +10 +10 +10 +([\d,]+) +([\d,]+) +(\d+) %$", printed, re.MULTILINE)
    assert found, printed
    whole, compact, saved = (int(figure.replace(",", "")) for figure in found.groups())
    assert round(100 * (1 - compact / whole)) == saved > 15
    rows = [json.loads(line) for line in (evaluated / "evaluation" / "results.jsonl").read_text().splitlines()]
    sizes: dict[str, list[int]] = {row["model"]: [] for row in rows}
    for row in rows:
        sizes[row["model"]].append(row["prompt_characters"])
    assert {model: round(sum(some) / 10) for model, some in sizes.items()} == {
        "stackspot-chat": whole,
        "stackspot-chat (compact tools)": compact,
    }


def test_the_page_has_the_comparison_within_its_width(page: Page) -> None:
    section = page.locator("section", has=page.get_by_role("heading", name="With and without compact tools"))
    expect(section.get_by_role("row")).to_have_count(2)  # no task is lost
    widths = "tables => tables.map(table => table.scrollWidth - table.clientWidth)"
    assert set(page.locator(".table").evaluate_all(widths)) == {0}


def test_on_a_phone_the_tables_scroll_and_the_page_does_not(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
