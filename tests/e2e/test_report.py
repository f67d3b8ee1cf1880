"""The report of a running proxy, in a headless Chromium as an operator would see it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import opened_page
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.waiting import eventually


@pytest.fixture
def page(browser: Browser, priced: Proxy) -> Iterator[Page]:
    """The page, just opened."""
    with opened_page(browser, f"{priced.url}/report", timezone_id="America/Sao_Paulo") as opened:
        yield opened


def calls_of(proxy: Proxy) -> list[dict[str, Any]]:
    """Return the calls that the proxy has logged so far."""
    logs = [log for log in proxy.log.parent.glob("runs/*/interactions.jsonl") if not log.parent.is_symlink()]
    lines = [line for log in logs for line in log.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_the_page_shows_calls_costs_and_failures_of_the_run(page: Page, priced: Proxy, simulator: Simulator) -> None:
    question = {"messages": [{"role": "user", "content": "Oi"}]}
    answer = priced.post("/v1/chat/completions", {"model": "credits", **question})
    missing = priced.post("/v1/chat/completions", {"model": "of-no-one", **question})
    assert (answer.status_code, missing.status_code) == (200, 400), missing.text
    wanted = [answer.headers["x-request-id"], missing.headers["x-request-id"]]
    eventually(lambda: set(wanted) <= {call["request_id"] for call in calls_of(priced)})
    page.locator("#key").fill(priced.key)
    page.locator("#key").press("Enter")
    expect(page.locator("canvas")).to_have_count(5)
    expect(page.locator("#failures")).to_contain_text(wanted[1])
    slowest = max(calls_of(priced), key=lambda call: call["latency_ms"] or 0)
    expect(page.locator("#slowest")).to_contain_text(slowest["request_id"])
    expect(page.locator("#by-model")).to_contain_text("(unknown models)")
    page.locator("#model").select_option(label="credits")
    row = page.locator("#by-model tbody tr")
    expect(row).to_have_count(1)
    calls, cost = (row.locator("td").nth(place).inner_text() for place in (1, 9))
    logged = [call for call in calls_of(priced) if call["model"] == "credits"]  # other tests ask this proxy, too
    assert int(calls) == len(logged)
    assert float(cost.removeprefix("$").replace(",", "")) == pytest.approx(sum(call["cost_usd"] for call in logged))
    page.locator("#all").click()
    page.reload()
    expect(page.locator("canvas")).to_have_count(5)


def test_a_single_call_is_one_call_per_minute_on_an_axis_of_one_minute(page: Page, priced: Proxy) -> None:
    columns = {
        "at": [1_790_000_000_000],
        "model": [0],
        "key": [0],
        "latency": [900],
        "first": [200],
        "in": [9],
        "out": [9],
    }
    columns |= {"cost": [0], "tools": [0], "retries": [0], "repairs": [0], "error": [-1], "id": ["one"]}
    data = {"run": "one", "runs": ["one"], "facts": [], "calls": columns, "models": ["m"], "keys": ["k"], "errors": []}
    page.route("**/report/data", lambda route: route.fulfill(json=data))
    page.locator("#key").fill(priced.key)
    page.locator("#key").press("Enter")
    expect(page.locator("canvas")).to_have_count(5)
    shown = page.evaluate("plots.map(({ scales: { x } }) => x.max - x.min)")
    assert (shown, page.evaluate("plots[0].data[1]")) == ([60] * 5, [1])


def test_a_wrong_key_is_told_and_asked_for_again(page: Page) -> None:
    page.locator("#key").fill("sk-wrong")
    page.locator("#key").press("Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.locator("#key")).to_be_visible()
    expect(page.locator("#report")).to_be_hidden()


def test_only_the_master_key_sees_the_calls_of_all(priced: Proxy) -> None:
    data = f"{priced.url}/report/data"
    assert WEB.get(data).status_code == 401
    other = WEB.get(data, headers={"Authorization": "Bearer sk-the-key-of-rich-1"})
    assert (other.status_code, "master key" in other.json()["error"]["message"]) == (403, True)
    for run in ("none", "..", "../runs", str(priced.log.parent)):
        told = WEB.get(data, params={"run": run}, headers=priced.headers)
        assert (told.status_code, "There is no run" in told.json()["error"]["message"]) == (404, True)


def test_the_page_has_no_data_and_runs_nothing_from_elsewhere(priced: Proxy) -> None:
    page = WEB.get(f"{priced.url}/report")
    assert page.status_code == 200
    assert 'id="data">null<' in page.text
    assert re.search(r"default-src 'none'.*script-src 'sha256-", page.headers["content-security-policy"])
