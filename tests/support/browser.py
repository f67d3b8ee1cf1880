"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright


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
