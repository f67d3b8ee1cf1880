"""Let FastAPI build the routes of an included router when one of its paths is asked for.

FastAPI builds all of a router that it asks for a path. An unknown path asks every router, so it
would build all pages of LiteLLM: 16 MiB, in half a second that stops the proxy. One router takes at
most a tenth of a second.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

from fastapi import routing
from starlette.routing import Match, Mount, Route, WebSocketRoute
from starlette.types import Scope

_Matched: TypeAlias = tuple[Match, Scope]

_MATCH_BY_PATTERN = {
    kind.matches for kind in (routing.APIRoute, routing.APIWebSocketRoute, Route, WebSocketRoute, Mount)
}


def build_when_asked() -> None:
    """Replace how included routers look for a path, where FastAPI has what this needs."""
    kind, get_path = getattr(routing, "_IncludedRouter", None), getattr(routing, "get_route_path", None)
    if kind is None or get_path is None or hasattr(kind.matches, "__wrapped__"):
        return
    original = kind.matches

    @functools.wraps(original)
    def matches(self: Any, scope: Scope) -> _Matched:
        unbuilt = getattr(self, "_effective_candidates_version", 0) is None
        if unbuilt and not _may_match(self, get_path(scope)):
            return Match.NONE, {}
        found: _Matched = original(self, scope)
        return found

    kind.matches = matches


def _may_match(route: Any, path: str) -> bool:
    """Say whether a route could match a path, by the pattern that it has before it is built."""
    if (context := getattr(route, "include_context", None)) is not None:
        # A pattern that is not built lacks the prefix.
        return bool(getattr(context, "prefix", True)) or any(
            _may_match(one, path) for one in route.original_router.routes
        )
    if type(route).matches not in _MATCH_BY_PATTERN:  # an operator's, or another kind of route
        return True
    pattern = getattr(route, "path_regex", None)
    return pattern is None or pattern.match(path) is not None
