"""Keys of KEYS_FILE may call the routes of `key_routes` only, of all that the real proxy has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from custom_handler.api.status_page import StatusRoute
from custom_handler.proxy.key_routes import called_path, is_added, is_allowed, is_pattern

# Load every router of LiteLLM's, and ask for each route by the method and a path of its template.
_ENUMERATE = """
import asyncio, json, re, sys
from fastapi.routing import iter_route_contexts
from litellm.proxy import proxy_server
from litellm.proxy._lazy_features import LAZY_FEATURES, _force_load
from starlette.routing import Match
from custom_handler.proxy.key_routes import is_allowed

app = proxy_server.app

async def load():
    for feature in LAZY_FEATURES:
        await _force_load(app, feature, LAZY_FEATURES)

def answering(scope):
    for route in app.router.routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return scope | child
    return scope

asyncio.run(load())
found = {}
for route in iter_route_contexts(app.router.routes):
    sockets = "WebSocket" in type(getattr(route, "original_route", route)).__name__
    methods = ["WEBSOCKET"] if sockets else sorted(getattr(route, "methods", None) or ["GET", "POST", "DELETE"])
    for method in methods:
        path = re.sub(r"{[^}]*}", "some", route.path or "/")
        scope = {"type": "websocket" if sockets else "http", "path": path, "root_path": "", "headers": []}
        scope |= {} if sockets else {"method": method}
        found[f"{method} {route.path}"] = is_allowed(answering(scope), has_search_tools="search" in sys.argv)
json.dump(found, sys.stdout)
"""

MODELS = {"GET /v1/models", "GET /models", "GET /v1/models/{model_id}", "GET /models/{model_id}"}
CALLS = {
    f"POST {prefix}/{call}"
    for prefix in ("", "/v1", "/engines/{model:path}", "/openai/deployments/{model:path}")
    for call in ("chat/completions", "completions", "embeddings")
}
MESSAGES = {"POST /v1/messages", "POST /v1/messages/count_tokens"}
RESPONSES = {
    f"{method} {prefix}/responses{rest}"
    for prefix in ("", "/v1", "/openai/v1")
    for method, rest in [
        ("POST", ""),
        ("POST", "/compact"),
        ("POST", "/input_tokens"),
        ("GET", "/{response_id}"),
        ("DELETE", "/{response_id}"),
        ("GET", "/{response_id}/input_items"),
        ("POST", "/{response_id}/cancel"),
    ]
}
GEMINI = {
    f"POST {prefix}/models/{{model_name:path}}:{method}"
    for prefix in ("", "/v1beta")
    for method in ("generateContent", "streamGenerateContent", "countTokens")
}
MCP = {
    f"{method} {path}"
    for method in ("GET", "POST", "DELETE")
    for path in ("/mcp", "/mcp/proxy", "/{mcp_server_name}/mcp", "/toolset/{toolset_name}/mcp")
} | {"GET /mcp-rest/tools/list", "POST /mcp-rest/tools/call"}
HEALTH = {"GET /health", "GET /health/liveliness", "GET /health/liveness", "GET /health/readiness"}
EVERY_KEY = MODELS | CALLS | MESSAGES | RESPONSES | GEMINI | MCP | HEALTH
SEARCH = {
    f"{call.replace(' ', f' {prefix}')}"
    for prefix in ("", "/v1")
    for call in ("GET /search/tools", "POST /search", "POST /search/{search_tool_name}")
}


def enumerated(*arguments: str) -> dict[str, bool]:
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "true"}
    command = [sys.executable, "-c", _ENUMERATE, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return json.loads(ended.stdout[ended.stdout.rindex("\n{") + 1 if "\n{" in ended.stdout else 0 :])


@pytest.fixture(scope="module")
def routes() -> dict[str, bool]:
    """Return whether a key may call each route of the real proxy."""
    return enumerated()


@pytest.mark.slow
def test_of_the_real_proxys_routes_a_key_may_call_those_of_the_protocols_only(routes):
    assert len(routes) > 600
    assert {route for route, allowed in routes.items() if allowed} == EVERY_KEY


@pytest.mark.slow
def test_search_is_allowed_where_it_is_configured(routes):
    assert {route for route, allowed in enumerated("search").items() if allowed} == EVERY_KEY | SEARCH


def scope(path: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", **more}


@pytest.mark.parametrize(
    "path",
    [
        "/v1//chat/completions",
        "//v1/chat/completions",
        "/v1/./chat/completions",
        "/cohere/../v1/chat/completions",
        "/V1/chat/completions",
        "/v1/Chat/Completions",
        "/v1/chat/completions/x",
        "/x/v1/chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/completions\x00",
        "/v1/chat/completions\n",
        "/v1/chat\\completions",
        "/engines/../mistral/chat/completions",
        "/engines/a/%2e%2e/chat/completions",
        "/openai/deployments//chat/completions",
        "/openai/chat/completions",
        "",
        "/",
        "*",
    ],
)
def test_a_path_of_another_form_is_not_allowed(path):
    assert not is_allowed(scope(path))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/chat/completions/", "/engines/a/b/chat/completions"])
def test_a_last_slash_and_a_model_with_slashes_change_nothing(path):
    assert is_allowed(scope(path))
    assert is_allowed(scope(f"/api{path}", root_path="/api"))
    assert is_allowed(scope(f"/api{path}", root_path="/api/mounted", app_root_path="/api"))
    assert not is_allowed(scope(f"/api{path}"))
    assert not is_allowed(scope(f"/apix{path}", root_path="/api"))


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "post", ""])
def test_another_method_is_not_allowed(method):
    assert not is_allowed(scope("/v1/chat/completions", method))


def test_no_socket_of_litellms_is_allowed():
    for path in ("/v1/responses", "/v1/realtime", "/v1/chat/completions", "/vertex_ai/live"):
        assert not is_allowed({"type": "websocket", "path": path})


def test_routes_of_this_package_are_allowed_whatever_their_path():
    assert is_allowed(scope("/anything", "PUT", endpoint=StatusRoute().endpoint))


def test_a_pass_through_route_is_not_allowed_on_an_allowed_path():
    endpoint = type("E", (), {"__module__": "litellm.proxy.pass_through_endpoints.llm_passthrough_endpoints"})()
    assert not is_allowed(scope("/cohere/mcp", endpoint=endpoint))
    assert is_allowed(scope("/cohere/mcp"))


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/rerank", "/v1/rerank", True),
        ("/v1/rerank", "/v1/rerank/", True),
        ("/v1/rerank/", "/v1/rerank", True),
        ("/v1/rerank", "/v1/rerank/x", False),
        ("/v1/rerank", "/v1/rerankx", False),
        ("/cohere/*", "/cohere/v2/chat", True),
        ("/cohere/*", "/cohere", True),
        ("/cohere/*", "/coherent/v2/chat", False),
        ("/cohere/*", "/cohere/../mistral/v1/chat", False),
        ("/cohere/*", "/cohere/%2e%2e/mistral", False),
        ("/cohere/*", "/cohere//mistral", False),
        ("/cohere/*", "/Cohere/v2/chat", False),
        ("/cohere/*", "/cohere/a\\..\\b", False),
    ],
)
def test_a_key_has_routes_of_its_own(pattern, path, matches):
    assert is_pattern(pattern)
    assert is_added(scope(path), [pattern]) is matches
    assert not is_added(scope(path), [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/*",
        "cohere",
        "*",
        "/cohere*",
        "/a/*/b",
        "/a/../b",
        "/a//b",
        "/a b",
        "/a?b",
        "/a%2fb",
        "/ä",
        7,
        None,
        ["/a"],
    ],
)
def test_what_is_no_path_is_no_route(text):
    assert not is_pattern(text)


def test_the_path_that_a_message_names_is_the_routers():
    assert called_path({"path": "/api", "root_path": "/api/"}) == "/"
    assert called_path({"path": "/v1/x"}) == "/v1/x"
    assert called_path({}) == "/"
    assert re.fullmatch("/+", called_path({"path": "//"}))
