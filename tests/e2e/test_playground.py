"""The page to try the models with, driven in a headless Chromium as a person would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import opened_page
from tests.support.playground import (
    ANSWER,
    CALL,
    HOSTILE,
    MARKDOWN,
    MODELS,
    PICTURES,
    RESPOSTA,
    TOOLS,
    answered,
    ask_page,
    code_of,
    kept,
    picture,
    running_playground,
    set_options,
    sign_in,
)
from tests.support.processes import ROOT
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def playground(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_playground(tmp_path_factory.mktemp("playground"), simulator_process) as running:
        yield running


@pytest.fixture
def page(browser: Browser, playground: Proxy, simulator: Simulator) -> Iterator[Page]:
    """The page in English, with the master key."""
    size = {"width": 1000, "height": 760}
    with opened_page(browser, f"{playground.url}/playground", viewport=size) as opened:
        sign_in(opened, playground.key)
        yield opened


def test_an_answer_arrives_token_by_token_with_its_facts(page: Page, playground: Proxy, simulator: Simulator) -> None:
    simulator.script(
        {"pieces": ["Consistência", " eventual"], "fault": "stall", "after": 1},
        {"text": "Consistência eventual é…"},
    )
    answer = ask_page(page, "O que é consistência eventual?")
    expect(answer.locator(".answering")).to_have_text("Consistência")
    page.locator("#stop").click()
    expect(page.get_by_role("alert")).to_have_text("Stopped.")
    assert kept(page)["messages"][1]["content"] == "Consistência", "what had arrived is part of the conversation"
    answer = answered(page, "De novo, inteira")
    expect(answer.locator(".markdown")).to_have_text("Consistência eventual é…")
    told = dict(zip(answer.locator("dt").all_inner_texts(), answer.locator("dd").all_inner_texts(), strict=True))
    record = simulator.requests()[-1]
    assert told["correlation id"] == record["headers"]["correlation-id"]
    assert told["request"] in playground.log.read_text()
    assert told["Model"] == "stackspot-chat"
    prompt, output, total = map(int, re.findall(r"\d+", told["tokens"]))
    assert prompt + output == total
    assert float(told["cost"].removeprefix("$")) == pytest.approx(0.001 * prompt + 0.002 * output, rel=0.01)
    assert re.fullmatch(r"\d+ / 5000 \(\w+\)", told["requests left"])


def test_the_quota_is_shown_after_each_answer(page: Page, simulator: Simulator) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/quota") else None)
    expect(page.locator("#quota")).to_have_text(re.compile(r"^Requests this minute: \d+ of 5000"))
    with page.expect_response("**/quota") as response:
        answered(page, "Oi")
    used = response.value.json()["used"]  # not the number from before plus 1: older requests leave the minute
    expect(page.locator("#quota")).to_contain_text(f"Requests this minute: {used} of 5000")
    page.locator("#language").select_option("pt")
    expect(page.locator("#quota")).to_contain_text(f"Requisições neste minuto: {used} de 5000")
    full = {"limit": 90, "used": 90, "waiting": 7, "day": {"limit": 1000, "used": 300}, "paused_until": time.time()}
    full["keys"] = [{"name": "ana", "used": 45, "waiting": 7, "weight": 1, "share": 0.5}]
    page.route("**/quota", lambda route: route.fulfill(json=full))
    page.locator("#language").select_option("en")
    answered(page, "Oi")
    line = "Requests this minute: 90 of 90 · this key: 45 of 45 · in 24 hours: 300 of 1000 · waiting: 7 · paused until "
    expect(page.locator("#quota")).to_contain_text(line)
    page.route("**/quota", lambda route: route.fulfill(status=404))
    answered(page, "Oi")
    expect(page.locator("#quota")).to_be_hidden()
    assert len(asked) == 3, "it asks by itself"


def test_html_of_a_model_does_nothing_and_is_not_lost(page: Page, simulator: Simulator) -> None:
    page.evaluate("() => { window.alert = () => { window.hurt = true; }; }")
    simulator.script({"text": HOSTILE})
    shown = answered(page, "Oi").locator(".markdown")
    parts = ("<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "<svg onload=alert(5)>", "<Foo/>", "onclick")
    for part in parts:
        expect(shown).to_contain_text(part)
    expect(shown.locator("b")).to_have_text("bold")
    assert shown.locator("img, script, svg, iframe, form, [onclick], [onerror], [style]").count() == 0
    assert shown.locator("a").evaluate_all("links => links.map(link => [link.href, link.rel])") == [
        ["https://elsewhere.example/p.png", "noopener noreferrer"]
    ]
    assert page.evaluate("window.hurt") is None
    simulator.script({"text": ">" * 8000 + " fim"})  # nested more deeply than marked can follow
    expect(answered(page, "again").locator(".markdown")).to_contain_text("> fim")


def test_markdown_in_pieces_is_the_markdown_of_the_whole(page: Page, simulator: Simulator) -> None:
    simulator.script({"pieces": list(MARKDOWN), "cadence": 0.002}, {"text": MARKDOWN})
    shown = [answered(page, question).locator(".markdown").inner_html() for question in ("in pieces", "whole")]
    assert shown[0] == shown[1]
    answer = page.locator("article .markdown").last
    link = "a[href='https://example.com/']"
    for selector in ("h1", "em", "li >> nth=1", "td >> nth=1", "input[type=checkbox]", link):
        expect(answer.locator(selector)).to_have_count(1)
    expect(answer.locator(".hljs-keyword").first).to_have_text("def")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer.get_by_role("button", name="Copy").click()
    expect(answer.locator("button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "def soma(a: int, b: int) -> int:\n    return a + b  # <b>"


def test_scrolling_up_is_not_undone_while_an_answer_arrives(page: Page, simulator: Simulator) -> None:
    simulator.script({"pieces": [f"{number}\n\n" for number in range(150)], "cadence": 0.01})
    ask_page(page, "count")
    at_end = "({scrollHeight, clientHeight, scrollTop}) => scrollHeight - clientHeight - scrollTop < 4"
    log = page.locator("#log")
    page.wait_for_function("() => { const log = document.getElementById('log'); return log.scrollTop > 200; }")
    log.hover()
    log.evaluate("log => { log.scrollTop = 50; }")
    expect(page.locator("#status")).to_have_text("The answer is complete.", timeout=15_000)
    assert log.evaluate("log => log.scrollTop") == 50
    page.locator("#latest").click()
    assert log.evaluate(at_end)
    expect(page.locator("#latest")).to_be_hidden()
    answered(page, "short")
    assert log.evaluate(at_end)


def test_conversations_are_kept_in_the_tab_and_can_be_named_exported_and_deleted(
    page: Page, simulator: Simulator
) -> None:
    simulator.script({"text": "Um"}, {"text": "Dois"})
    answered(page, "primeira")
    set_options(page, system="Seja breve.")
    page.get_by_role("button", name="New conversation").first.click()
    expect(page.locator("article")).to_have_count(0)
    answered(page, "segunda")
    assert "primeira" not in simulator.prompts()[-1]
    page.locator("#name").fill("Outro nome")
    page.locator("#name").press("Enter")
    page.reload()
    expect(page.locator("#conversations button")).to_have_text(["Outro nome", "primeira"])
    expect(page.locator("article .markdown")).to_have_text("Dois")
    page.get_by_role("button", name="primeira").click()
    expect(page.locator("article .markdown")).to_have_text("Um")
    with page.expect_download() as download:
        page.locator("#export").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert download.value.suggested_filename == "primeira.json"
    assert [message["content"] for message in exported["messages"]] == ["primeira", "Um"]
    assert exported["options"]["system"] == "Seja breve."
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#remove").click()
    expect(page.locator("#conversations button")).to_have_text(["Outro nome"])
    expect(page.locator("article .markdown")).to_have_text("Dois")


def test_a_reload_within_an_answer_keeps_what_has_arrived(page: Page, simulator: Simulator) -> None:
    simulator.script({"pieces": ["Parte", " dois"], "fault": "stall", "after": 1})
    expect(ask_page(page, "Oi").locator(".answering")).to_have_text("Parte")
    page.reload()
    expect(page.locator("article .markdown")).to_have_text("Parte")
    answered(page, "E agora?")
    assert "Parte" in simulator.prompts()[-1]


def test_a_question_is_edited_and_an_answer_made_again(page: Page, simulator: Simulator) -> None:
    simulator.script(*({"text": text} for text in ("A", "B", "C", "D")))
    answered(page, "um")
    answered(page, "dois")
    page.get_by_role("button", name="Regenerate").last.click()
    expect(page.locator("article .markdown")).to_have_text(["A", "C"])
    page.get_by_role("button", name="Edit").first.click()
    page.locator("article.mine textarea").fill("outra")
    page.locator("article.mine").get_by_role("button", name="Send").click()
    expect(page.locator("article .markdown")).to_have_text(["D"])
    prompt = simulator.prompts()[-1]
    assert "outra" in prompt
    assert "dois" not in prompt


def test_options_reach_the_model_and_wrong_ones_are_told(page: Page, simulator: Simulator) -> None:
    sent: list[dict] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if request.method == "POST" else None)
    simulator.script({"text": '{"cidade": "Recife"}'})
    set_options(page, system="Responda em JSON.", temperature="0.2", max_tokens="50", json=True, params={"seed": 7})
    answered(page, "Onde?")
    wanted = {"temperature": 0.2, "max_tokens": 50, "seed": 7, "response_format": {"type": "json_object"}}
    assert wanted.items() <= sent[-1].items()
    assert sent[-1]["messages"][0] == {"role": "system", "content": "Responda em JSON."}
    assert "Responda em JSON." in simulator.prompts()[-1]
    page.locator("#open-options").click()
    page.locator("#params").fill("[1]")
    expect(page.locator("#problem")).to_contain_text("not a JSON object")
    page.locator("#options .close").click()
    ask_page(page, "again")
    expect(page.get_by_role("alert").last).to_contain_text("not a JSON object")
    assert len(sent) == 1


def test_a_loop_of_tool_calls_is_played(page: Page, simulator: Simulator) -> None:
    simulator.script({"text": CALL}, {"text": "Chove no Recife."})
    set_options(page, tools=TOOLS)
    answer = answered(page, "Que tempo faz?")
    expect(answer.locator("pre")).to_have_text('calls buscar_tempo({"cidade":"Recife"})')
    ask_page(page, "E?")
    expect(page.get_by_role("alert")).to_contain_text("results of the tool calls")
    page.get_by_label("Result of buscar_tempo").fill('{"chuva": true}')
    page.get_by_role("button", name="Send results").click()
    expect(page.locator("article").last.locator(".markdown")).to_have_text("Chove no Recife.")
    assert '{"chuva": true}' in simulator.prompts()[-1]
    expect(page.get_by_role("button", name="Send results")).to_have_count(0)
    expect(page.locator("article.result pre")).to_have_text('{"chuva": true}')


def test_files_go_with_a_question_where_the_model_reads_some(page: Page, simulator: Simulator) -> None:
    page.locator("#model").select_option("blind")
    expect(page.locator("#attach")).to_be_hidden()
    page.locator("#files").set_input_files([ROOT / "LICENSE"])
    expect(page.get_by_role("alert")).to_have_text("LICENSE: this model reads no such files.")
    page.locator("#model").select_option("stackspot-chat")
    page.locator("#files").set_input_files([PICTURES / "report.png", ROOT / "LICENSE"])
    expect(page.locator("#attached li")).to_have_count(2)
    page.get_by_role("button", name="Remove LICENSE").click()
    answered(page, "O que é isto?")
    assert len(simulator.requests(at="upload")) == 1
    assert len(simulator.requests()[-1]["body"]["upload_ids"]) == 1
    expect(page.locator("article.mine img")).to_have_attribute("alt", "report.png")
    expect(page.locator("#attached li")).to_have_count(0)


def test_the_code_of_a_request_runs(page: Page, playground: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "zero"}, *({"text": text} for text in ("um", "dois", "três")))
    set_options(
        page, system='It\'s \\ "quoted"\n$HOME `x`', tools=TOOLS, params={"seed": 7, "metadata": {"a": None, "b": True}}
    )
    answered(page, "Quem é você? '")
    page.locator("#open-code").click()
    codes = {}
    for language in ("curl", "python", "javascript"):
        page.locator("#code-language").select_option(language)
        codes[language] = page.locator("#code-text code").inner_text()
        assert playground.key not in codes[language]
    environ = {"PROXY_KEY": playground.key, "PATH": os.environ["PATH"]}
    ran = [
        subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
        for command in (["sh", "-c", codes["curl"] + " -s"], [sys.executable, "-c", codes["python"]])
    ]
    ran.append(
        page.evaluate(
            """async ([code, key]) => {
              const said = [], AsyncFunction = (async () => {}).constructor;
              await new AsyncFunction("process", "console", code)({ env: { PROXY_KEY: key } }, { log: (text) => said.push(text) });
              return said.join();
            }""",
            [codes["javascript"], playground.key],
        )
    )
    assert [text in answer for text, answer in zip(("um", "dois", "três"), ran, strict=True)] == [True] * 3, ran
    prompts = [re.sub(r"\s+", " ", prompt) for prompt in simulator.prompts()[-4:]]
    assert len(set(prompts)) == 1, "the code makes the request of the page"


def test_sources_are_cited(page: Page, simulator: Simulator) -> None:
    answer = answered(page, "Qual o prazo do estorno?", "wiki")
    [source] = answer.locator(".sources a").all()
    assert (source.inner_text(), source.get_attribute("href")) == (
        "Payments handbook",
        "https://wiki.example/payments-handbook",
    )


def test_only_models_that_can_answer_are_offered_and_a_simulator_is_named(page: Page, playground: Proxy) -> None:
    listed = WEB.get(f"{playground.url}/v1/models", headers=playground.headers).json()["data"]
    assert {"embeddings", "pictures"} <= {model["id"] for model in listed}, "the key may call more than answers chats"
    assert page.locator("#model option").all_inner_texts() == MODELS
    expect(page.locator("#badge")).to_have_text("simulator")
    assert WEB.get(f"{playground.url}/playground/models").status_code == 401


def test_errors_are_one_sentence_with_folded_details_and_can_be_tried_again(page: Page, simulator: Simulator) -> None:
    simulator.script({"status": 500})
    ask_page(page, "Oi")
    alert = page.get_by_role("alert")
    expect(alert.locator("p").first).to_have_text("The model or the proxy failed to answer.")
    expect(alert.locator(".said")).to_be_hidden()
    alert.locator("summary").click()
    expect(alert.locator("details")).to_contain_text("HTTP 500")
    page.locator("#language").select_option("pt")
    simulator.script({"status": 400, "body": {"details": "Output blocked by content filtering policy"}})
    ask_page(page, "de novo")
    expect(alert.last.locator("p").first).to_have_text("O filtro de conteúdo do modelo bloqueou isto: reformule.")
    simulator.script({"text": "Olá"})
    page.get_by_role("button", name="Tentar de novo").click()
    expect(page.locator("article .markdown")).to_have_text("Olá")
    page.locator("#change-key").click()
    page.locator("#key").fill("sk-wrong")
    page.locator("#key").press("Enter")
    expect(alert.last.locator("p").first).to_have_text("O proxy não aceita esta chave.")
    expect(page.locator("#question")).to_be_disabled()


def test_a_stream_that_breaks_off_keeps_its_text(page: Page, simulator: Simulator) -> None:
    simulator.script({"pieces": ["Metade", " inteira"], "fault": "reset_within", "after": 1, "times": "always"})
    ask_page(page, "Oi")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.locator("article .markdown")).to_have_text("Metade")
    simulator.reset()
    answered(page, "Continue")
    assert "Metade" in simulator.prompts()[-1]


def test_it_is_used_with_the_keyboard_alone(page: Page, playground: Proxy, simulator: Simulator) -> None:
    simulator.script({"match": "endless", "fault": "endless_empty", "cadence": 0.02, "text": "never"}, {"text": "Olá"})
    page.evaluate("sessionStorage.clear()")
    page.reload()
    for focused, typed in (("key", playground.key), ("question", "endless")):
        for _ in range(20):
            if page.evaluate("document.activeElement.id") == focused:
                break
            page.keyboard.press("Tab")
        page.keyboard.type(typed)
        page.keyboard.press("Enter" if focused == "key" else "Shift+Enter")
        expect(page.locator("#model option")).to_have_text(MODELS)
    page.keyboard.type("question")
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_enabled()
    eventually(lambda: simulator.requests("endless\nquestion"))
    page.keyboard.press("Escape")
    expect(page.locator("#stop")).to_be_disabled()
    eventually(lambda: simulator.requests("endless")[-1]["disconnected"])
    page.keyboard.type("again")
    page.keyboard.press("Enter")
    expect(page.locator("article .markdown").last).to_have_text("Olá")


def test_a_screen_reader_finds_a_name_for_everything(page: Page, simulator: Simulator) -> None:
    simulator.script({"text": CALL})
    set_options(page, tools=TOOLS)
    answered(page, "Que tempo faz?")
    for opened in (None, "#open-options", "#open-code"):
        if opened:
            page.locator(opened).click()
        controls = page.locator(
            "button:visible, input:visible, select:visible, textarea:visible, [role=log], nav, dialog[open]"
        )
        nameless = controls.evaluate_all(
            "nodes => nodes.filter(node => !(node.ariaLabel || node.labels?.length || node.innerText?.trim() && node.localName === 'button'"
            " || node.getAttribute('aria-labelledby'))).map(node => node.outerHTML)"
        )
        assert nameless == []
        page.keyboard.press("Escape")
    assert page.locator("article h2").all_inner_texts() == ["You", "Answer"]


def test_it_speaks_portuguese_and_remembers_the_key_in_its_tab_only(
    page: Page, playground: Proxy, browser: Browser
) -> None:
    page.locator("#language").select_option("pt")
    expect(page.locator("#send")).to_have_text("Enviar")
    page.reload()
    expect(page.locator("#send")).to_have_text("Enviar")
    expect(page.locator("#model option")).to_have_text(MODELS)
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    context = browser.new_context(locale="pt-BR")
    other = context.new_page()
    other.goto(f"{playground.url}/playground")
    expect(other.locator("#send")).to_have_text("Enviar")
    expect(other.locator("#key")).to_have_value("")
    context.close()


def test_the_code_of_a_start_opens_it_once_and_is_gone_from_the_address(playground: Proxy, browser: Browser) -> None:
    code = code_of(playground.log.parent).issue()
    with opened_page(browser, f"{playground.url}/playground#code={code}") as page:
        expect(page.locator("#model option")).to_have_text(MODELS)
        expect(page.locator("#key")).to_have_value(playground.key)
        assert page.url == f"{playground.url}/playground"
        page.reload()
        expect(page.locator("#model option")).to_have_text(MODELS)
        assert page.get_by_role("alert").count() == 0
    with opened_page(browser, f"{playground.url}/playground") as page:
        for language, said in (("en", "was used already"), ("pt", "já foi usado")):
            page.locator("#language").select_option(language)
            page.evaluate("code => { location.hash = `code=${code}`; }", code)  # pasted into an open tab
            expect(page.get_by_role("alert")).to_contain_text(said)
            assert page.url == f"{playground.url}/playground"
        expect(page.locator("#key")).to_have_value("")
    assert code not in playground.log.read_text()


def test_its_policy_lets_in_nothing_from_elsewhere(playground: Proxy) -> None:
    answer = WEB.get(f"{playground.url}/playground")
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert (rules["connect-src"], rules["script-src"], rules["img-src"]) == ("'self'", "'self'", "data:")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "http" not in answer.text


def test_the_pictures_of_the_documents_are_what_it_looks_like(page: Page, simulator: Simulator) -> None:
    """Draws those in docs/images anew that are missing."""
    simulator.script({"text": ANSWER}, {"text": CALL.replace("Vou consultar.", "")}, {"text": RESPOSTA})
    page.set_viewport_size({"width": 1000, "height": 960})
    set_options(page, tools=TOOLS)
    answered(page, "What is eventual consistency?")
    answered(page, "What is the weather in Recife?")
    picture(page, "playground")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    picture(page, "playground-dark")
    page.emulate_media(color_scheme="light")
    page.locator("#language").select_option("pt")
    set_options(page, tools="")
    page.locator("#fresh").click()
    ask_page(page, "Qual o prazo do estorno?", "wiki")
    expect(page.locator(".sources")).to_be_visible()
    picture(page, "playground-pt")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#menu").click()
    form = page.locator("#form").bounding_box()
    assert form
    assert form["height"] <= 844 / 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#log").evaluate("log => { log.scrollTop = 0; }")
    picture(page, "playground-phone")
