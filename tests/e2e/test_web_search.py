"""An agent searches the web for the clients of every protocol, whole and streamed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.support.gateway import DOCUMENTED_SEARCH, blocks
from tests.support.processes import ROOT
from tests.support.protocols import STREAMED, ask_chat, ask_messages, ask_responses, block
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.search_server import PAGES, SearchServer

QUERY = "taxa Selic hoje"
SEARCH = block("web_search", query=QUERY)
FIRST = PAGES[0]["url"]
TEXT = f"A taxa é 12%, segundo {FIRST}."
ANTHROPIC = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}


@pytest.fixture
def gpt(gateway: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(gateway: Proxy) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, auth_token=gateway.key, max_retries=0) as client:
        yield client


@STREAMED
def test_chat_completions_cite_what_the_agent_found(
    gpt: openai.OpenAI, simulator: Simulator, search_server: SearchServer, stream: bool
) -> None:
    simulator.script({"text": SEARCH}, {"text": TEXT})
    choice = ask_chat(gpt, "Qual é a taxa?", stream=stream, web_search_options={})
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    [cited] = [dict(one)["url_citation"] for one in choice.message.annotations]
    assert dict(cited)["url"] == FIRST
    assert search_server.queries == [QUERY]
    first, second = simulator.prompts()
    assert '{"name":"web_search"' in first
    assert f"«tool result name=web_search»\n1. Juros sobem\n{FIRST}\n2026-11-20\nA taxa subiu para 12%." in second


@STREAMED
def test_responses_have_the_search_and_its_pages(
    gpt: openai.OpenAI, simulator: Simulator, search_server: SearchServer, stream: bool
) -> None:
    simulator.script({"text": SEARCH}, {"text": TEXT})
    response = ask_responses(gpt, "Qual é a taxa?", stream=stream, tools=[{"type": "web_search"}])
    search, message = response.output
    assert (search.type, search.status, search.action.query) == ("web_search_call", "completed", QUERY)
    assert [source.url for source in search.action.sources] == [page["url"] for page in PAGES]
    assert message.content[0].text == response.output_text == TEXT
    assert [one.url for one in message.content[0].annotations] == [FIRST]
    simulator.script({"text": "Sim."})
    history = [{"role": "user", "content": "Qual é a taxa?"}, *response.output, {"role": "user", "content": "Subiu?"}]
    assert ask_responses(gpt, history, tools=[{"type": "web_search"}]).output_text == "Sim."


@STREAMED
def test_messages_have_anthropics_blocks_beside_other_tools(
    claude: anthropic.Anthropic, simulator: Simulator, search_server: SearchServer, stream: bool
) -> None:
    own = [{"name": f"Tool{number}", "input_schema": {"type": "object", "properties": {}}} for number in range(14)]
    first, second = ({"user": 10, "enrichment": 0, "input": number, "output": number // 10} for number in (100, 250))
    simulator.script(
        {"text": "Vou ver.\n" + SEARCH, "tokens": first}, {"text": TEXT, "tokens": second}, {"text": block("Tool3")}
    )
    chosen = {"type": "tool", "name": "web_search"}
    message = ask_messages(claude, "Qual?", stream=stream, tools=[*own, ANTHROPIC], tool_choice=chosen)
    blocks = {part.type: part for part in message.content}
    assert blocks["server_tool_use"].input == {"query": QUERY}
    assert blocks["web_search_tool_result"].tool_use_id == blocks["server_tool_use"].id
    assert [one.url for one in blocks["web_search_tool_result"].content] == [page["url"] for page in PAGES]
    texts = [part for part in message.content if part.type == "text"]
    assert "".join(part.text for part in texts) == f"Vou ver.\n\n{TEXT}"
    assert [(one.type, one.url) for one in texts[-1].citations] == [("web_search_result_location", FIRST)]
    assert (message.stop_reason, message.usage.server_tool_use.web_search_requests) == ("end_turn", 1)
    assert message.usage.output_tokens == 10 + 25, "the tokens of both requests"
    assert message.usage.input_tokens >= 100 + 250
    history: list[Any] = [
        {"role": "user", "content": "Qual?"},
        {"role": "assistant", "content": [part.model_dump(exclude_none=True) for part in message.content]},
        {"role": "user", "content": "Salve."},
    ]
    again = ask_messages(claude, history, stream=stream, tools=[*own, ANTHROPIC])
    assert [(part.type, part.name) for part in again.content] == [("tool_use", "Tool3")]


def test_a_search_that_fails_does_not_fail_the_answer(
    gateway: Proxy, claude: anthropic.Anthropic, simulator: Simulator, search_server: SearchServer
) -> None:
    search_server.status = 500
    simulator.script({"text": block("web_search", query="consulta-sigilosa")}, {"text": "Não consegui buscar."})
    message = ask_messages(claude, "Qual é a taxa?", tools=[ANTHROPIC])
    assert [part.type for part in message.content] == ["server_tool_use", "web_search_tool_result", "text"]
    assert message.content[1].content.error_code == "unavailable"
    assert "The search failed: the search server refused it (HTTP 500)." in simulator.prompts()[1]
    log = gateway.log.read_text()
    assert "A web search with web failed: the search server refused it (HTTP 500)" in log
    assert "consulta-sigilosa" not in log


def test_searches_are_counted(
    gateway: Proxy, gpt: openai.OpenAI, simulator: Simulator, search_server: SearchServer
) -> None:
    simulator.script({"text": SEARCH}, {"text": TEXT})
    ask_chat(gpt, "Qual é a taxa?", web_search_options={})
    metrics = WEB.get(f"{gateway.url}/metrics", headers=gateway.headers).text
    assert 'stackspot_web_searches_total{account="default",outcome="succeeded"}' in metrics


def test_the_example_shows_searches_and_pages(
    gateway: Proxy, simulator: Simulator, search_server: SearchServer
) -> None:
    simulator.script({"text": SEARCH}, {"text": TEXT})
    environ = os.environ | {"PROXY_URL": gateway.url, "LITELLM_MASTER_KEY": gateway.key}
    command = [sys.executable, str(ROOT / "examples/openai/search.py")]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"[search: {QUERY}]\n{TEXT}\n- Juros sobem: {FIRST}\n"


def test_the_document_shows_the_server_that_it_configures() -> None:
    assert DOCUMENTED_SEARCH in blocks("yaml", "docs/clients.md")[2]
