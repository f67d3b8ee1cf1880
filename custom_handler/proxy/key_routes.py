"""The routes that a key of KEYS_FILE may call; every other one is a 403.

LiteLLM's pass-through routes spend the operator's provider keys, and others show or change the
proxy's configuration. Only what is named here is allowed, so a new route of LiteLLM's is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.routing import compile_path

_SOCKET = "WEBSOCKET"

# Methods, then the template of a route. `{v1}` is `/v1` or nothing.
_TEMPLATES = (
    "GET {v1}/models",
    "GET {v1}/models/{model:path}",
    "POST {v1}/chat/completions",
    "POST {v1}/completions",
    "POST {v1}/embeddings",
    "POST /openai/deployments/{model:path}/chat/completions",
    "POST /openai/deployments/{model:path}/completions",
    "POST /openai/deployments/{model:path}/embeddings",
    "POST /engines/{model:path}/chat/completions",
    "POST /engines/{model:path}/completions",
    "POST /engines/{model:path}/embeddings",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST {v1}/responses",
    "POST {v1}/responses/compact",
    "POST {v1}/responses/input_tokens",
    "GET,DELETE {v1}/responses/{response_id}",
    "GET {v1}/responses/{response_id}/input_items",
    "POST {v1}/responses/{response_id}/cancel",
    "POST /openai/v1/responses",
    "POST /openai/v1/responses/compact",
    "POST /openai/v1/responses/input_tokens",
    "GET,DELETE /openai/v1/responses/{response_id}",
    "GET /openai/v1/responses/{response_id}/input_items",
    "POST /openai/v1/responses/{response_id}/cancel",
    "POST {v1beta}/models/{model_name:path}:generateContent",
    "POST {v1beta}/models/{model_name:path}:streamGenerateContent",
    "POST {v1beta}/models/{model_name:path}:countTokens",
    "GET,POST,DELETE /mcp",
    "GET,POST,DELETE /mcp/{path:path}",
    "GET,POST,DELETE /{mcp_server_name}/mcp",
    "GET,POST,DELETE /toolset/{toolset_name}/mcp",
    "GET /mcp-rest/tools/list",
    "POST /mcp-rest/tools/call",
    "GET /health",
    "GET /health/liveliness",
    "GET /health/liveness",
    "GET /health/readiness",
)
# Only where config.yaml has search tools: elsewhere LiteLLM would take a provider from the body.
_SEARCH_TEMPLATES = ("GET {v1}/search/tools", "POST {v1}/search", "POST {v1}/search/{search_tool_name}")
_VERSIONS = ("v1", "v1beta")
_OWN_PACKAGE = __name__.partition(".")[0]
_PASS_THROUGH = "litellm.proxy.pass_through_endpoints."

_PATTERN = re.compile(r"(?:/[\w.~:@-]+)+(?:/|/\*)?", re.ASCII)


def _compiled(templates: Iterable[str]) -> list[tuple[frozenset[str], re.Pattern[str]]]:
    return [
        (frozenset(methods.split(",")), compile_path(path)[0])
        for methods, template in (line.split(" ") for line in templates)
        for path in _with_and_without_version(template)
    ]


def _with_and_without_version(template: str) -> list[str]:
    version = next((name for name in _VERSIONS if template.startswith(f"{{{name}}}")), None)
    if version is None:
        return [template]
    path = template.removeprefix(f"{{{version}}}")
    return [path, f"/{version}{path}"]


_ROUTES = _compiled(_TEMPLATES)
_SEARCH_ROUTES = _compiled(_SEARCH_TEMPLATES)


def is_allowed(scope: Mapping[str, Any], *, has_search_tools: bool = False) -> bool:
    """Return whether any key may make a request: its ASGI scope, as the proxy's router left it."""
    endpoint = getattr(scope.get("endpoint"), "__module__", None) or ""
    if endpoint.partition(".")[0] == _OWN_PACKAGE:
        return True
    path = called_path(scope)
    if endpoint.startswith(_PASS_THROUGH) or not _is_unambiguous(path):
        return False
    method = _SOCKET if scope.get("type") == "websocket" else scope.get("method")
    routes = [*_ROUTES, *_SEARCH_ROUTES] if has_search_tools else _ROUTES
    return any(method in methods and regex.match(path) for methods, regex in routes)


def is_added(scope: Mapping[str, Any], added: Iterable[str]) -> bool:
    """Return whether a request is one of `added`, the routes of a key.

    These are paths, which may end with `/*`. A path that another server would read in another way,
    such as `/cohere/../x`, is none of them.
    """
    path = called_path(scope)
    return _is_unambiguous(path) and any(_matches(path, pattern) for pattern in added)


def called_path(scope: Mapping[str, Any]) -> str:
    """Return the decoded path of a request below the proxy's root path, without a last slash.

    >>> called_path({"path": "/api/v1/models/", "root_path": "/api"})
    '/v1/models'
    """
    path, root = str(scope.get("path") or ""), str(scope.get("app_root_path", scope.get("root_path")) or "")
    root = root.rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path.removesuffix("/") or "/"


def is_pattern(text: object) -> bool:
    """Return whether a value is a route that a key can have: a path, perhaps with `/*` at its end.

    >>> is_pattern("/cohere/*"), is_pattern("/v1/rerank"), is_pattern("*"), is_pattern("/a/../b")
    (True, True, False, False)
    """
    if not isinstance(text, str) or _PATTERN.fullmatch(text) is None:
        return False
    return _is_unambiguous(text.removesuffix("*").removesuffix("/"))


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/*"):
        return path.startswith(pattern[:-1]) or path == pattern[:-2]
    return path == pattern.removesuffix("/")


def _is_unambiguous(path: str) -> bool:
    """Return whether all segments are names, also for a server that decodes them once more."""
    return path == "/" or all(
        segment not in {"", ".", ".."} and "\\" not in segment and segment.isprintable()
        for form in (path, unquote(path))
        for segment in form[1:].split("/")
    )
