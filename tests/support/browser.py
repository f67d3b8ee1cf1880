"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

expect.set_options(timeout=20_000)  # a busy machine is several times slower


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Debian's Chromium; without it a test is skipped, and fails in CI."""
    chromium = shutil.which("chromium")
    if chromium is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        # Tests run as root in containers, where Chromium's own sandbox does not start.
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
        yield running
        running.close()


@contextlib.contextmanager
def opened_page(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """Open a page in English; what it complains about in the console fails the test."""
    made = browser.new_context(locale="en-US", **context)
    page = made.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    yield page
    made.close()
    assert [text for text in said if "Failed to load resource" not in text] == []
