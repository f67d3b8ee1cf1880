"""What the first requests need is imported and built before the proxy is ready."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, routing
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Match

from custom_handler.proxy import warm_up as module
from custom_handler.proxy.warm_up import warm_up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_imports(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(module, "_MODULES", ())
    monkeypatch.setattr(module, "_FUNCTIONS", ())
    return monkeypatch


@pytest.mark.parametrize("name", [*module._MODULES, *(name for name, _ in module._FUNCTIONS)])
def test_each_module_exists(name):
    assert find_spec(name) is not None


def test_modules_and_functions_of_other_versions_are_skipped(without_imports):
    without_imports.setattr(module, "_MODULES", ("litellm.no_such_module", "no_such_package.module"))
    without_imports.setattr(module, "_FUNCTIONS", (("litellm", "no_such_function"), ("no_such_package", "call")))
    warm_up([])


class Route(BaseRoute):
    """A route that keeps the paths that are looked for."""

    def __init__(self) -> None:
        self.looked: list[str] = []

    def matches(self, scope: Any) -> tuple[Match, Any]:
        self.looked.append(scope["path"])
        scope["path"] = "changed"
        return Match.NONE, {}


def test_every_route_is_asked_for_the_paths_of_clients(without_imports):
    warm_up(routes := [Route(), Route()])
    for route in routes:
        assert sorted(route.looked) == sorted(module._PATHS)
        assert {"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/models"} <= set(route.looked)


def test_a_route_that_fails_does_not_stop_the_start(without_imports):
    class Failing(BaseRoute):
        def matches(self, scope: Any) -> tuple[Match, Any]:
            raise LookupError

    warm_up([Failing(), asked := Route()])
    assert "/v1/models" in asked.looked


def test_routes_of_clients_are_built_before_the_first_request(without_imports):
    app = FastAPI()
    router = APIRouter()
    router.add_api_route("/v1/models", lambda: None)
    app.include_router(router)
    warm_up(app.router.routes)
    without_imports.setattr(routing, "_populate_api_route_state", None)  # builds a route
    assert TestClient(app).get("/v1/models").status_code == 200


def test_the_grammar_of_iris_is_built_by_their_first_check_only():
    code = (
        "import sys\n"
        "from custom_handler.proxy import warm_up\n"
        "warm_up._import_jsonschema()\n"
        "import jsonschema\n"
        "assert 'rfc3987_syntax' not in sys.modules\n"
        "checker = jsonschema.Draft7Validator.FORMAT_CHECKER\n"
        "assert checker.conforms('https://exemplo.com/ação', 'iri')\n"
        "assert not checker.conforms('no iri', 'iri')\n"
        "assert sys.modules['rfc3987_syntax'].parse\n"
    )
    pytest.importorskip("rfc3987_syntax")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)
