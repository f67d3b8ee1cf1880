"""The page to try the models with, driven in a headless Chromium as a person would."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import opened_page
from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator

PICTURE = ROOT / "docs" / "images" / "playground.png"
CALL = 'Vou consultar.\nFUNCTION_CALL_START\nbuscar_tempo\narguments: {"cidade": "Recife"}\nFUNCTION_CALL_END'
TOOLS = {"tools": [{"type": "function", "function": {"name": "buscar_tempo", "parameters": {"type": "object"}}}]}


@pytest.fixture
def page(browser: Browser, services: Proxy) -> Iterator[Page]:
    """The page in English, just opened."""
    with opened_page(browser, f"{services.url}/playground", viewport={"width": 1000, "height": 760}) as opened:
        yield opened


def sign_in(page: Page, services: Proxy) -> None:
    page.locator("#key").fill(services.key)
    page.locator("#key").press("Enter")
    expect(page.locator("#model option")).to_have_count(4)


def ask_page(page: Page, question: str, model: str = "stackspot-chat") -> Locator:
    page.locator("#model").select_option(model)
    page.locator("#question").fill(question)
    page.locator("#question").press("Enter")
    return page.locator("article").last


def test_an_answer_arrives_token_by_token_with_its_facts(page: Page, services: Proxy, simulator: Simulator) -> None:
    simulator.script(
        {"pieces": ["Consistência", " eventual"], "fault": "stall", "after": 1}, {"text": "Consistência eventual é…"}
    )
    sign_in(page, services)
    answer = ask_page(page, "O que é consistência eventual?")
    expect(answer.locator("p")).to_have_text("Consistência")
    expect(answer.locator(".answering")).to_have_count(1)
    page.locator("#stop").click()
    answer = ask_page(page, "O que é consistência eventual?")
    expect(answer.locator("p")).to_have_text("Consistência eventual é…")
    expect(answer.locator("dl")).to_contain_text("stackspot")
    told = dict(zip(answer.locator("dt").all_inner_texts(), answer.locator("dd").all_inner_texts(), strict=True))
    assert told["correlation id"] == simulator.requests()[-1]["headers"]["correlation-id"]
    assert told["request"] in services.log.read_text()
    assert "=" in told["tokens"]


def test_the_quota_is_shown_after_each_answer(page: Page, services: Proxy, simulator: Simulator) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/quota") else None)
    expect(page.locator("#quota")).to_be_hidden()
    sign_in(page, services)
    expect(page.locator("#quota")).to_have_text(re.compile(r"^Requests this minute: \d+"))
    assert len(asked) == 1
    simulator.script({"text": "Olá"})
    with page.expect_response("**/quota") as response:
        expect(ask_page(page, "Oi").locator("dl")).to_contain_text("stackspot")
    used = response.value.json()["used"]  # not the number from before plus 1: older requests leave the minute
    assert used >= 1
    expect(page.locator("#quota")).to_contain_text(f"Requests this minute: {used}")
    assert len(asked) == 2
    page.locator("#language").select_option("pt")
    expect(page.locator("#quota")).to_have_text(re.compile(rf"^Requisições neste minuto: {used}\b"))
    full = {"limit": 90, "used": 90, "waiting": 7, "day": {"limit": 1000, "used": 300}, "paused_until": time.time()}
    full["keys"] = [{"name": "ana", "used": 45, "waiting": 7, "weight": 1, "share": 0.5}]
    page.route("**/quota", lambda route: route.fulfill(json=full))
    page.locator("#language").select_option("en")
    simulator.script({"text": "Olá"})
    ask_page(page, "Oi")
    line = "Requests this minute: 90 of 90 · this key: 45 of 45 · in 24 hours: 300 of 1000 · waiting: 7 · paused until "
    expect(page.locator("#quota")).to_contain_text(line)
    page.route("**/quota", lambda route: route.fulfill(status=404))
    simulator.script({"text": "Olá"})
    ask_page(page, "Oi")
    expect(page.locator("#quota")).to_be_hidden()
    assert len(asked) == 4, "it asks by itself"


HOSTILE = (
    "<img src=x onerror=alert(1)><b>bold</b><script>alert(2)</script>\n\n"
    "[a](javascript:alert(3)) ![picture](https://elsewhere.example/p.png) <a href='https://x.example' onclick=alert(4)>b</a>\n\n"
    "<svg onload=alert(5)> <iframe src=//x.example></iframe> <form action=/v1><button>go</button></form> `<Foo/>`"
)


def test_html_of_a_model_does_nothing_and_is_not_lost(page: Page, services: Proxy, simulator: Simulator) -> None:
    page.add_init_script("window.alert = () => { window.hurt = true; }")
    page.reload()
    simulator.script({"text": HOSTILE})
    sign_in(page, services)
    answer = ask_page(page, "Oi")
    expect(answer.locator("dl")).to_be_visible()
    shown = answer.locator(".markdown")
    for part in (
        "<img src=x onerror=alert(1)>",
        "<script>alert(2)</script>",
        "<svg onload=alert(5)>",
        "<Foo/>",
        "onclick",
    ):
        expect(shown).to_contain_text(part)
    expect(shown.locator("b")).to_have_text("bold")
    assert shown.locator("img, script, svg, iframe, form, [onclick], [onerror], [style]").count() == 0
    assert shown.locator("a").evaluate_all("links => links.map(link => [link.href, link.rel])") == [
        ["https://elsewhere.example/p.png", "noopener noreferrer"]
    ]
    assert page.evaluate("window.hurt") is None


MARKDOWN = """# Título

Um *parágrafo* com `código`, [um link][1] e uma lista:

- um
- dois

  ainda dois

1. [ ] tarefa

| a | b |
|---|--:|
| 1 | 2 |

```python
def soma(a: int, b: int) -> int:
    return a + b  # <b>
```

[1]: https://example.com/
"""


def test_markdown_in_pieces_is_the_markdown_of_the_whole(page: Page, services: Proxy, simulator: Simulator) -> None:
    sign_in(page, services)
    simulator.script({"pieces": list(MARKDOWN), "cadence": 0.002}, {"text": MARKDOWN})
    shown = []
    for question in ("in pieces", "whole"):
        answer = ask_page(page, question)
        expect(answer.locator("dl")).to_be_visible()
        shown.append(answer.locator(".markdown").inner_html())
    assert shown[0] == shown[1]
    answer = page.locator("article .markdown").last
    for selector in (
        "h1",
        "em",
        "li >> nth=1",
        "td >> nth=1",
        "input[type=checkbox]",
        "a[href='https://example.com/']",
    ):
        expect(answer.locator(selector)).to_have_count(1)
    expect(answer.locator(".hljs-keyword").first).to_have_text("def")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer.get_by_role("button", name="Copy").click()
    expect(answer.locator("button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "def soma(a: int, b: int) -> int:\n    return a + b  # <b>"


def test_a_tool_call_is_shown(page: Page, services: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": CALL})
    sign_in(page, services)
    page.locator("summary").click()
    page.locator("#params").fill(json.dumps(TOOLS))
    answer = ask_page(page, "Que tempo faz?")
    expect(answer.locator("pre")).to_have_text('calls buscar_tempo({"cidade":"Recife"})')


def test_errors_are_shown_and_the_next_question_is_answered(page: Page, services: Proxy, simulator: Simulator) -> None:
    page.locator("#key").fill("sk-wrong")
    page.locator("#key").press("Enter")
    expect(page.get_by_role("alert")).to_have_count(1)
    sign_in(page, services)
    simulator.script({"status": 500}, {"text": "Olá"})
    ask_page(page, "first")
    expect(page.get_by_role("alert")).to_have_count(2)
    page.locator("#params").evaluate("node => node.value = '[1]'")
    ask_page(page, "with parameters that are none")
    expect(page.get_by_role("alert")).to_have_count(3)
    page.locator("#params").evaluate("node => node.value = ''")
    expect(ask_page(page, "second").locator("p")).to_have_text("Olá")


def test_it_is_used_with_the_keyboard_alone(page: Page, services: Proxy, simulator: Simulator) -> None:
    simulator.script({"match": "endless", "fault": "endless_empty", "cadence": 0.02, "text": "never"}, {"text": "Olá"})
    page.keyboard.press("Tab")
    page.keyboard.type(services.key)
    page.keyboard.press("Enter")
    expect(page.locator("#model option")).to_have_count(4)
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "question":
            break
        page.keyboard.press("Tab")
    page.keyboard.type("endless")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("question")
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_enabled()
    deadline = time.monotonic() + 5
    while not simulator.requests("endless\nquestion") and time.monotonic() < deadline:
        time.sleep(0.02)
    page.keyboard.press("Escape")
    expect(page.locator("#stop")).to_be_disabled()
    while not simulator.requests("endless")[-1]["disconnected"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert simulator.requests("endless")[-1]["disconnected"]
    page.keyboard.type("again")
    page.keyboard.press("Enter")
    expect(page.locator("article p").last).to_have_text("Olá")


def test_it_speaks_portuguese_and_remembers_the_key_in_its_tab_only(
    page: Page, services: Proxy, browser: Browser
) -> None:
    sign_in(page, services)
    page.locator("#language").select_option("pt")
    expect(page.locator("#send")).to_have_text("Enviar")
    page.reload()
    expect(page.locator("#send")).to_have_text("Enviar")
    expect(page.locator("#model option")).to_have_count(4)
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    context = browser.new_context(locale="pt-BR")
    other = context.new_page()
    other.goto(f"{services.url}/playground")
    expect(other.locator("#send")).to_have_text("Enviar")
    expect(other.locator("#key")).to_have_value("")
    context.close()


def test_its_policy_lets_in_nothing_from_elsewhere(services: Proxy) -> None:
    answer = httpx.get(f"{services.url}/playground", trust_env=False)
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "http" not in answer.text.replace('replace("http", "ws")', "")


def test_its_picture_in_the_readme_is_what_it_looks_like(page: Page, services: Proxy, simulator: Simulator) -> None:
    """Draws docs/images/playground.png anew where that is missing."""
    simulator.script(
        {"text": "Réplicas aceitam escritas sem esperar umas pelas outras e, na falta de novas, convergem."},
        {"text": CALL},
    )
    sign_in(page, services)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    expect(ask_page(page, "O que é consistência eventual?").locator("dl")).to_be_visible()
    page.locator("#params").evaluate("(node, value) => node.value = value", json.dumps(TOOLS))
    expect(ask_page(page, "Que tempo faz no Recife?").locator("dl")).to_be_visible()
    picture = page.screenshot()
    assert len(picture) > 10_000
    if not PICTURE.exists():
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_bytes(picture)
