"""Do before the proxy is ready what LiteLLM and the plugin leave to the first requests.

These import modules, compile patterns and build routes: together they block the event loop for more
than a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from starlette.routing import BaseRoute
from starlette.types import Scope

from .model_paths import MODEL_PATHS

# What the first requests of each protocol import; another version of LiteLLM may lack some.
_MODULES = (
    "custom_handler.chat.quick_command_turn",
    "custom_handler.chat.search_loop",
    "custom_handler.emulation.announcement",  # its patterns
    "custom_handler.emulation.continuation",
    "custom_handler.emulation.json_schema",
    "custom_handler.emulation.tool_calls.parser",
    "custom_handler.stackspot.quote",
    "litellm.integrations.otel.logger",
    "litellm.integrations.shadow_eval_logger",
    "litellm.integrations.websearch_interception.tools",
    "litellm.llms.github_copilot.per_user_auth",
    "litellm.proxy._experimental.mcp_server.auth.user_api_key_auth_mcp",
    "litellm.proxy._experimental.mcp_server.mcp_server_manager",
    "nacl.secret",
)
_FUNCTIONS = (
    ("custom_handler.provider.prompt_tokens", "tokenizer"),  # LiteLLM's
    ("litellm.llms", "load_guardrail_translation_mappings"),
)
_GRAMMAR = "rfc3987_syntax"
_ASKED: Scope = {"type": "http", "method": "POST", "root_path": "", "headers": [], "query_string": b""}

# Paths of models' clients and of health checks. The first is unknown: FastAPI builds all routes for
# one, unless `included_routers` prevents it.
_PATHS = ("/-", "/v1/models", "/v1beta/models/-:generateContent", "/health/liveliness", *sorted(MODEL_PATHS))


def warm_up(routes: Iterable[BaseRoute]) -> None:
    """Import modules, and build the routes that the first requests of models' clients look for.

    What fails here fails again in the request that needs it, so it does not stop the start.
    """
    _import_jsonschema()
    for name in _MODULES:
        with suppress(Exception):
            import_module(name)
    for module, function in _FUNCTIONS:
        with suppress(Exception):
            getattr(import_module(module), function)()
    for route in routes:
        for path in _PATHS:
            with suppress(Exception):
                route.matches({**_ASKED, "path": path})


def _import_jsonschema() -> None:
    """Import jsonschema, and leave the grammar for its format `iri` to the first check of one.

    Where the grammar is installed, as beside `jsonschema[format-nongpl]`, building it takes three
    seconds. The plugin checks no formats.
    """
    if _GRAMMAR in sys.modules or "jsonschema" in sys.modules:
        return
    stand_in = ModuleType(_GRAMMAR)
    vars(stand_in)["is_valid_syntax"] = _is_valid_syntax
    sys.modules[_GRAMMAR] = stand_in
    try:
        with suppress(Exception):
            import_module("jsonschema")
    finally:
        del sys.modules[_GRAMMAR]


def _is_valid_syntax(term: str, value: str) -> bool:
    return bool(import_module(_GRAMMAR).is_valid_syntax(term, value))
