"""Included routers answer as FastAPI's own, and are built for their paths only."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket, routing
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from custom_handler.proxy.included_routers import build_when_asked

REQUESTS = (
    ("GET", "/plain"),
    ("POST", "/plain"),
    ("GET", "/plain/"),  # redirected
    ("GET", "/items/7"),
    ("GET", "/items/seven"),
    ("GET", "/starlette"),
    ("GET", "/mounted/any/path"),
    ("GET", "/inner/9"),
    ("GET", "/prefix/prefixed"),
    ("GET", "/prefix/deep/deepest"),
    ("GET", "/prefixed"),
    ("GET", "/none"),
    ("GET", "/"),
)


@pytest.fixture
def included(monkeypatch: pytest.MonkeyPatch) -> Any:
    """FastAPI's class, as it is; what a test does to it is undone."""
    kind = routing._IncludedRouter
    monkeypatch.setattr(kind, "matches", getattr(kind.matches, "__wrapped__", kind.matches))
    return kind


def application() -> FastAPI:
    app = FastAPI()
    plain, items, mounted, outer, inner, prefixed, deep = (APIRouter() for _ in range(7))
    plain.add_api_route("/plain", lambda: "plain")
    items.add_api_route("/items/{item}", lambda item: item, dependencies=[Depends(lambda: None)])

    @items.websocket("/socket/{item}")
    async def socket(websocket: WebSocket, item: str) -> None:
        await websocket.accept()
        await websocket.send_text(item)
        await websocket.close()

    async def text(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    mounted.routes.append(Route("/starlette", text))
    mounted.routes.append(Mount("/mounted", routes=[Route("/{rest:path}", text)]))
    mounted.routes.append(Host("other.example", app=PlainTextResponse("host")))
    inner.add_api_route("/inner/{item}", lambda item: item)
    outer.include_router(inner)
    prefixed.add_api_route("/prefixed", lambda: "prefixed")
    deep.add_api_route("/deepest", lambda: "deepest")
    prefixed.include_router(deep, prefix="/deep")
    for router in (plain, items, outer, mounted):
        app.include_router(router)
    app.include_router(prefixed, prefix="/prefix")
    return app


def answers(root_path: str = "") -> list[tuple[int, str]]:
    """Return the answers of an application that is new for each request, and of one for all."""
    one = application()
    return [
        (response.status_code, response.text)
        for new in (True, False)
        for method, path in REQUESTS
        for client in [TestClient(application() if new else one, root_path=root_path)]
        for response in [client.request(method, root_path + path)]
    ]


@pytest.mark.parametrize("root_path", ["", "/root"])
def test_answers_are_those_of_fastapi(included, root_path):
    before = answers(root_path)
    assert {status for status, _ in before} == {200, 404, 405}
    build_when_asked()
    assert answers(root_path) == before


def test_web_sockets_and_hosts_are_found(included):
    build_when_asked()
    with TestClient(application()).websocket_connect("/socket/7") as socket:
        assert socket.receive_text() == "7"
    assert TestClient(application(), base_url="http://other.example").get("/any").text == "host"


def built(app: FastAPI) -> list[str]:
    """Return the first path of each router whose routes are built."""
    return [
        getattr(route.original_router.routes[0], "path", "")
        for route in app.router.routes
        if isinstance(route, routing._IncludedRouter) and route._effective_candidates_version is not None
    ]


def test_only_the_router_of_the_path_is_built(included):
    app = FastAPI()
    for path in ("/a", "/b", "/c"):
        router = APIRouter()
        router.add_api_route(path, lambda: None)
        app.include_router(router)
    build_when_asked()
    assert TestClient(app).get("/none").status_code == 404
    assert built(app) == []
    assert TestClient(app).get("/b").status_code == 200
    assert built(app) == ["/b"]


class AnyCase(routing.APIRoute):
    """An operator's route that finds its path in capitals, too."""

    def matches(self, scope: Any) -> Any:
        return super().matches({**scope, "path": scope["path"].lower()})


def test_a_route_that_matches_in_its_own_way_is_asked(included):
    build_when_asked()
    app, router = FastAPI(), APIRouter(route_class=AnyCase)
    router.add_api_route("/hello", lambda: "hello")
    app.include_router(router)
    assert TestClient(app).get("/HELLO").text == '"hello"'


def test_it_is_replaced_once(included):
    build_when_asked()
    once = included.matches
    build_when_asked()
    assert included.matches is once


@pytest.mark.parametrize("missing", ["_IncludedRouter", "get_route_path"])
def test_another_fastapi_is_left_as_it_is(included, monkeypatch, missing):
    original = included.matches
    monkeypatch.delattr(routing, missing)
    build_when_asked()
    assert included.matches is original
