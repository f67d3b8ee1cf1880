"""The short way of a model's request to its route, and the long way of all others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.testclient import TestClient

from custom_handler.proxy.model_paths import ModelRoutes, without_features

CHAT = "/v1/chat/completions"


class Counting(BaseRoute):
    """A route that matches nothing, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def matches(self, scope: Any) -> tuple[Match, Any]:
        self.asked += 1
        return Match.NONE, {}


def application(name: str) -> tuple[FastAPI, Counting]:
    """Return an application whose chat completions follow a route that counts."""
    app, router, counting = FastAPI(), APIRouter(), Counting()

    @router.post(CHAT)
    @router.get("/v1/models")
    def answer() -> str:
        return name

    app.router.routes.append(counting)
    app.include_router(router)
    app.router.routes.insert(0, ModelRoutes(app.router))
    return app, counting


def test_the_routes_before_it_are_asked_once() -> None:
    app, counting = application("first")
    client = TestClient(app)
    assert [client.post(CHAT).json() for _ in range(3)] == ["first"] * 3
    assert counting.asked == 1
    assert client.get("/v1/models").json() == "first"
    assert counting.asked == 2


def test_a_route_that_comes_to_stand_before_it_is_found() -> None:
    app, _ = application("first")
    client = TestClient(app)
    assert client.post(CHAT).json() == "first"
    other = APIRouter()
    other.add_api_route(CHAT, lambda: "second", methods=["POST"])
    app.router.routes[1:1] = other.routes
    assert client.post(CHAT).json() == "second"
    del app.router.routes[1]
    assert client.post(CHAT).json() == "first"


def test_what_no_route_has_is_not_found() -> None:
    app, counting = application("first")
    client = TestClient(app)
    assert client.post("/v1/embeddings").status_code == 404
    assert client.get(CHAT).status_code == 405
    assert client.options(CHAT).status_code == 405
    assert counting.asked > 2


def test_behind_a_root_path_all_routes_are_asked() -> None:
    app, counting = application("first")
    client = TestClient(app, root_path="/llm")
    assert [client.post(f"/llm{CHAT}").json() for _ in range(2)] == ["first"] * 2
    assert counting.asked == 2


class Feature:
    """A feature that LiteLLM has not loaded, and that counts its comparisons."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.asked = 0

    def matches(self, path: str) -> bool:
        self.asked += 1
        return path.startswith(self.prefix)


class Middleware:
    """LiteLLM's middleware, with the attributes that the shortcut uses."""

    def __init__(self, *features: Feature, root_path: str = "") -> None:
        self._features = features
        self._root_path = root_path
        self.calls: list[str] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append("app")


@pytest.fixture
def serve() -> Callable[..., Any]:
    async def original(self: Middleware, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append("original")

    return without_features(original)


async def test_a_path_is_compared_once(serve: Callable[..., Any]) -> None:
    middleware = Middleware(Feature("/policies"))
    for _ in range(3):
        await serve(middleware, {"type": "http", "path": CHAT}, None, None)
    assert middleware.calls == ["app"] * 3
    assert [feature.asked for feature in middleware._features] == [1]


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        ({"type": "lifespan"}, {}),
        ({"type": "http", "path": "/policies/x"}, {}),
        ({"type": "http", "path": CHAT, "root_path": "/v1"}, {}),
        ({"type": "http", "path": CHAT}, {"root_path": "/v1"}),
    ],
)
async def test_other_requests_are_the_originals(
    serve: Callable[..., Any], scope: dict[str, str], options: dict[str, str]
) -> None:
    middleware = Middleware(Feature("/policies"), **options)
    await serve(middleware, scope, None, None)
    assert middleware.calls == ["original"]


async def test_a_feature_of_a_models_path_is_loaded(serve: Callable[..., Any]) -> None:
    middleware = Middleware(Feature("/v1/chat"))
    await serve(middleware, {"type": "http", "path": CHAT}, None, None)
    assert middleware.calls == ["original"]


def test_litellm_itself_finds_the_same_route_and_features() -> None:
    code = """
from litellm.proxy._lazy_features import LAZY_FEATURES, LazyFeatureMiddleware
from litellm.proxy.proxy_server import app
from starlette.routing import Match
from custom_handler.proxy.model_paths import MODEL_PATHS, ModelRoutes, without_features
routes = ModelRoutes(app.router)
for path in MODEL_PATHS:
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    full = [route for route in app.router.routes if route.matches(dict(scope))[0] is Match.FULL]
    assert (routes.matches(dict(scope))[0] is Match.FULL) == bool(full), path
    assert routes._found.get(path) is next(iter(full), None), path
    assert full or any(feature.matches(path) for feature in LAZY_FEATURES), path

import asyncio
served = []
async def inner(scope, receive, send):
    served.append(scope["path"])
async def original(*_):
    served.append("original")
middleware = LazyFeatureMiddleware(inner, fastapi_app=app)
for path in sorted(MODEL_PATHS):
    asyncio.run(without_features(original)(middleware, {"type": "http", "path": path}, None, None))
loading = {path for path in MODEL_PATHS if any(feature.matches(path) for feature in LAZY_FEATURES)}
assert served == ["original" if path in loading else path for path in sorted(MODEL_PATHS)]
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def test_it_has_no_name_so_that_the_names_of_the_other_routes_are_found() -> None:
    with pytest.raises(NoMatchFound):
        ModelRoutes(FastAPI().router).url_path_for("answer")
