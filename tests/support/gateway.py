"""A proxy with two MCP servers, that of docs/mcp.md among them, and the search server of docs/clients.md.

It has the names of models of that page, too, and a model whose agent no other test asks.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import BIN, ROOT, free_port, process, wait_for
from tests.support.proxy import Proxy, running_proxy

COUNTED = "counted"
"""The model whose agent's counts a test learns from."""

ONLY_SMALL, ONLY_CLAUDE = "sk-only-small-0123456789", "sk-only-claude-0123456789"
KEYS = f"""keys:
- {{name: small, key: {ONLY_SMALL}, models: [stackspot-small]}}
- {{name: claude, key: {ONLY_CLAUDE}, models: ["*claude-*"]}}
"""
MODELS = f"""
- model_name: {COUNTED}
  litellm_params: {{model: stackspot/chat}}
  model_info: {{agent_id: 01K00000000000000000000C0W}}
"""
DOCUMENTED_PORT = "8931"
DOCUMENTED_SEARCH = "http://127.0.0.1:8080"
HOLD = "hold"
"""The file beside the proxy's log that holds payments while it is there."""

LEDGER = f"""
import asyncio
from pathlib import Path
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
server = MCPServer("ledger")
payments = []

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def balance_of(owner: str) -> str:
    "Return the balance of an owner's account."
    return {{"ana": "R$ 120,00", "rui": "R$ 7,00"}}[owner]

@server.tool()
async def pay(owner: str) -> str:
    "Pay an owner."
    payments.append(owner)
    hold = Path(__file__).with_name("{HOLD}")
    hold.with_suffix(f".{{owner}}").touch()
    while hold.exists():
        await asyncio.sleep(0.01)
    return f"payment {{payments.count(owner)}} to {{owner}}"

server.run("streamable-http", host="127.0.0.1", port={DOCUMENTED_PORT})
"""


def documented(language: str, page: str = "docs/mcp.md") -> str:
    """Return the code of a language on a page, its first block."""
    return blocks(language, page)[0]


def blocks(language: str, page: str) -> list[str]:
    """Return the blocks of code of a language on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


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
        ledger_url = f"http://127.0.0.1:{second}/mcp"
        servers: dict[str, Any] = yaml.safe_load(documented("yaml").replace(DOCUMENTED_PORT, first))
        servers["mcp_servers"]["ledger"] = {"transport": "http", "url": ledger_url, "allow_all_keys": True}
        servers["mcp_servers"]["away"] = {"transport": "http", "url": f"http://127.0.0.1:{free_port()}/mcp"}
        names, default, search = blocks("yaml", "docs/clients.md")
        routing: dict[str, Any] = yaml.safe_load(names)
        config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
        config |= servers | yaml.safe_load(search.replace(DOCUMENTED_SEARCH, search_url))
        config["model_list"] = [*routing["model_list"], *yaml.safe_load(MODELS), *yaml.safe_load(default)]
        config["router_settings"] |= routing["router_settings"]
        file, keys = folder / "config.yaml", folder / "keys.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        keys.write_text(KEYS, encoding="utf-8")
        with running_proxy(folder / "log", str(file), **environ, KEYS_FILE=str(keys)) as running:
            yield running
