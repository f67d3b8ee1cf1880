"""Serve requests of models without what LiteLLM and the plugin try before their routes.

FastAPI tries some forty routes before that of a chat completion, and LiteLLM compares its path with
the beginnings of all optional features. For these paths both find the same each time.
`STACKSPOT_SHORTCUTS=false` leaves both as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Router
from starlette.types import Receive, Scope, Send

MODEL_PATHS = frozenset(
    {
        "/chat/completions",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/responses",
    }
)
"""Paths without parameters, of which no route looks at anything but the path and the method."""

_Serve: TypeAlias = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


class ModelRoutes(BaseRoute):
    """The first route of an application: a POST to one of MODEL_PATHS goes to the route it has.

    `router` is the application's; a change of its routes is noticed.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._seen: list[BaseRoute] = []
        self._found: dict[str, BaseRoute] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a request if one of the other routes does."""
        path = scope["path"]
        if path not in MODEL_PATHS or scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
            return Match.NONE, {}
        if self._seen != self._router.routes:
            self._seen, self._found = list(self._router.routes), {}
        if (route := self._found.get(path)) is not None:
            return route.matches(scope)
        for route in self._seen:
            if route is not self and (found := route.matches(scope))[0] is Match.FULL:
                self._found[path] = route
                return found
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise NoMatchFound: the routes that it leads to have names of their own."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that has matched."""
        await self._found[scope["path"]].handle(scope, receive, send)


def without_features(original: _Serve) -> _Serve:
    """Return a `LazyFeatureMiddleware.__call__` that asks once for each of MODEL_PATHS."""

    kept: dict[str, tuple[object, bool]] = {}

    def may_load(path: str, features: Iterable[Any]) -> bool:
        if path not in kept or kept[path][0] is not features:
            kept[path] = features, any(feature.matches(path) for feature in features)
        return kept[path][1]

    @functools.wraps(original)
    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        path = scope.get("path")
        if path in MODEL_PATHS and not (scope.get("root_path") or self._root_path or may_load(path, self._features)):
            await self.app(scope, receive, send)
        else:
            await original(self, scope, receive, send)

    return __call__
