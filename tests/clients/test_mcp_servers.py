"""Codex calls an MCP server of its own, whose tools it declares in a namespace."""

from __future__ import annotations

import json

from tests.support.gateway import documented
from tests.support.processes import BIN
from tests.support.protocols import block
from tests.support.proxy import Simulator

from .conftest import Workplace

QUESTION = "What time zone is Recife in?"
ANSWER = "Recife is at UTC-3."


def test_codex_calls_an_mcp_server(workplace: Workplace, simulator: Simulator) -> None:
    config = workplace.example("codex/config.toml", ".codex/config.toml")
    server = workplace.folder / "server.py"
    server.write_text(documented("python").partition("if __name__")[0] + 'server.run("stdio")\n')
    started = f"command = {json.dumps(str(BIN / 'python'))}\nargs = [{json.dumps(str(server))}]\n"
    config.write_text(f"{config.read_text()}\n[mcp_servers.clock]\n{started}")
    simulator.script({"text": block("mcp__clock__offset_of", city="Recife")}, {"text": ANSWER})
    command = ("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", QUESTION)
    assert ANSWER in workplace.run("codex", *command)
    asked, answered = (request["prompt"] for request in simulator.requests(QUESTION))
    assert '{"name":"mcp__clock__offset_of"' in asked
    assert "UTC-3" not in asked
    assert "UTC-3" in answered.partition("«tool result name=mcp__clock__offset_of»")[2]
