"""A proxy with two MCP servers, that of docs/mcp.md among them, and the search server of docs/clients.md.

It has a model whose agent no other test asks.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import BIN, ROOT, free_port, process, wait_for
from tests.support.proxy import Proxy, running_proxy

COUNTED = "counted"
"""The model whose agent's counts a test learns from."""

MODELS = f"""model_list:
- {{model_name: stackspot-chat, litellm_params: {{model: stackspot/chat}}}}
- model_name: {COUNTED}
  litellm_params: {{model: stackspot/chat}}
  model_info: {{agent_id: 01K00000000000000000000C0W}}
"""
DOCUMENTED_PORT = "8931"
DOCUMENTED_SEARCH = "http://127.0.0.1:8080"
LEDGER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("ledger")

@server.tool()
def balance_of(owner: str) -> str:
    "Return the balance of an owner's account."
    return {"ana": "R$ 120,00", "rui": "R$ 7,00"}[owner]

server.run("streamable-http", host="127.0.0.1", port=8931)
"""


def documented(language: str, page: str = "docs/mcp.md") -> str:
    """Return the code of a language on a page, its first block."""
    found = re.search(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


@contextlib.contextmanager
def running_server(file: Path, code: str) -> Iterator[str]:
    """Run an MCP server, on a free port; yield that."""
    port = str(free_port())
    file.write_text(code.replace(DOCUMENTED_PORT, port), encoding="utf-8")
    log = file.with_suffix(".log")
    with process([str(BIN / "python"), str(file)], log) as running:
        wait_for(log, "Uvicorn running on", running)
        yield port


@contextlib.contextmanager
def running_gateway(folder: Path, search_url: str, **environ: str) -> Iterator[Proxy]:
    """Start the MCP servers and the proxy."""
    clock, ledger = folder / "clock.py", folder / "ledger.py"
    with running_server(clock, documented("python")) as first, running_server(ledger, LEDGER) as second:
        servers = documented("yaml").replace(DOCUMENTED_PORT, first)
        servers += f"  ledger:\n    transport: http\n    url: http://127.0.0.1:{second}/mcp\n"
        servers += documented("yaml", "docs/clients.md").replace(DOCUMENTED_SEARCH, search_url)
        written = (ROOT / "config.yaml").read_text(encoding="utf-8")
        config = folder / "config.yaml"
        config.write_text(MODELS + servers + written[written.index("litellm_settings:") :], encoding="utf-8")
        with running_proxy(folder / "log", str(config), **environ) as running:
            yield running
