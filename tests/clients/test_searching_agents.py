"""Coding agents search the web through the proxy: what the search server found reaches the agent and the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.protocols import block
from tests.support.proxy import Simulator
from tests.support.search_server import PAGES, SearchServer

from .conftest import Workplace

QUERY = "taxa Selic hoje"
SEARCH = {"text": block("web_search", query=QUERY)}
FIRST = PAGES[0]
QUESTION = "Qual é a taxa Selic?"
FOUND = {"text": f"A taxa é 12%, segundo {FIRST['url']}."}


def test_codex_searches(workplace: Workplace, simulator: Simulator, search_server: SearchServer) -> None:
    config = workplace.example("codex/config.toml", ".codex/config.toml")
    disabled = 'web_search = "disabled"'
    assert disabled in config.read_text()
    config.write_text(config.read_text().replace(disabled, 'web_search = "live"'))
    simulator.script(SEARCH, FOUND)
    printed = workplace.run("codex", "codex", "exec", "--skip-git-repo-check", QUESTION)
    assert FOUND["text"] in printed
    assert QUERY in printed
    assert search_server.queries == [QUERY]
    first, second = simulator.prompts()
    assert FIRST["content"] not in first
    assert FIRST["content"] in second


def test_claude_code_searches(
    workplace: Workplace,
    simulator: Simulator,
    search_server: SearchServer,
    call: Callable[..., dict[str, Any]],
) -> None:
    workplace.example("claude_code/settings.json", "settings.json")
    # It declares its tool WebSearch once ToolSearch has named it. WebSearch asks the model in a request of its own, with
    # the search of Anthropic's servers.
    load, search = call("ToolSearch", query="select:WebSearch"), call("WebSearch", query=QUERY)
    simulator.script(load, search, SEARCH, FOUND, {"text": "A Selic é 12%."})
    command = ("claude", "--settings", "settings.json", "--allowedTools=WebSearch", "-p", QUESTION)
    printed = workplace.run("claude_code", *command)
    assert "A Selic é 12%." in printed
    assert search_server.queries == [QUERY]
    asked, loaded, searching, reading, last = simulator.prompts()
    assert QUESTION in asked
    declared = '{"name":"WebSearch"'
    assert declared not in asked
    assert declared in loaded
    assert "[tool WebSearch: it can be called now]" in loaded
    assert "DeferredToolPlaceholder" not in asked + loaded
    assert QUERY in searching
    assert FIRST["content"] in reading
    assert FIRST["url"] in last
