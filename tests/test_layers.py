"""The layers of docs/architecture.md: imports only go down, and each third-party library has its layer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "custom_handler"
LAYERS = [  # from the bottom up
    {"data_class"},
    {
        "env_file",
        "errors",
        "events",
        "instrumentation",
        "proxy_module",
        "setting_fields",
        "settings",
        "upload_settings",
    },
    {"request"},
    {"emulation", "stackspot"},
    {"chat", "history"},
    {"provider"},
    {"proxy"},
    {"jobs", "report"},
    {"api", "checks", "telemetry"},
    {"evaluate"},
    {"proxy_plugin"},
    {"__init__", "__main__", "cli"},
]
STANDALONE = "simulator"  # imports nothing of the package; only cli imports it
WITHIN_LAYER = {
    "setting_fields": {"errors"},
    "settings": {"env_file", "errors", "setting_fields", "upload_settings"},
    "upload_settings": {"setting_fields"},
    "env_file": {"proxy_module"},
    "cli": {"__version__"},
    "__main__": {"cli"},
}  # in all other cases packages of one layer are independent
LITELLM = {"provider", "proxy", "jobs", "api", "checks", "telemetry", "proxy_plugin", "cli"}
WEB_FRAMEWORK = {"proxy", "api", "telemetry", "proxy_plugin"}
NETWORK = {
    "stackspot/client.py",
    "stackspot/http/agent_lists.py",
    "stackspot/http/aiohttp_client.py",
    "stackspot/http/public_fetch.py",
    "stackspot/state/redis_client.py",
    "proxy/client.py",
    "proxy/asgi_transport.py",
    "checks/environment.py",
    "checks/probe.py",
    "checks/reachability.py",
    "jobs/queue.py",
    "jobs/redis_store.py",
    "cli/proxy_backend.py",
    "cli/ask.py",
    "cli/run/preflight.py",
    "cli/run/process.py",
    "simulator/exchange.py",
    "simulator/server.py",
}
TYPES_ONLY = {  # these use classes and functions of a network library, and open no connection
    "provider/annotations.py",
    "provider/litellm_call.py",
    "provider/litellm_errors.py",
    "provider/web_search.py",
    "stackspot/http/multipart.py",
    "stackspot/http/network_errors.py",
    "stackspot/http/tls.py",
    "stackspot/knowledge.py",
    "proxy/error_links.py",
    "proxy/key_routes.py",
    "proxy/own_browser.py",
    "proxy/middleware/websocket_key.py",
    "simulator/control.py",
    "simulator/request_log.py",
    "simulator/tokens.py",
    "simulator/uploads.py",
    "telemetry/call_log.py",
}
NETWORK_LIBRARIES = {
    "aiohttp",
    "http",
    "httpcore",
    "httpx",
    "redis",
    "requests",
    "socket",
    "ssl",
    "urllib",
    "websockets",
}


def imports_of(module: Path, source: str) -> tuple[set[str], set[str]]:
    """Return the parts of the package that a module imports, and the third-party libraries."""
    here = ("custom_handler", *module.with_suffix("").parts)
    imported: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = here[: -node.level] if node.level else ()
            parent = (*start, *node.module.split(".")) if node.module else start
            imported |= {(*parent, alias.name) for alias in node.names}
    own = {path[1] for path in imported if path[0] == "custom_handler" and len(path) > 1}
    return own, {path[0] for path in imported if path[0] != "custom_handler"}


def part_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


MODULES = {
    file.relative_to(PACKAGE): imports_of(file.relative_to(PACKAGE), file.read_text(encoding="utf-8"))
    for file in PACKAGE.rglob("*.py")
}


def test_every_part_of_the_package_has_a_layer():
    assert {part_of(module) for module in MODULES} == {STANDALONE}.union(*LAYERS)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_only_go_down(module):
    part, (own, _) = part_of(module), MODULES[module]
    if part == STANDALONE:
        assert own <= {STANDALONE}
        return
    below = set().union(*LAYERS[: layer_of(part)], WITHIN_LAYER.get(part, ()))
    assert own - {part} <= below | ({STANDALONE} if part == "cli" else set())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_libraries_are_imported_in_their_layers_only(module):
    _, libraries = MODULES[module]
    part = part_of(module)
    assert part in LITELLM or not libraries & {"litellm", "openai"}
    assert part in WEB_FRAMEWORK or not libraries & {"fastapi", "starlette"}
    assert module.as_posix() in NETWORK | TYPES_ONLY or not libraries & NETWORK_LIBRARIES


@pytest.mark.parametrize(
    "source",
    [
        "from ..provider import handler",
        "from .. import provider",
        "import custom_handler.provider.handler as h",
        "def f():\n from custom_handler.provider.handler import a",
    ],
)
def test_every_form_of_an_import_is_found(source):
    assert imports_of(Path("stackspot/sse.py"), source)[0] == {"provider"}
