"""The files of a page: what the proxy serves, and under which address."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from custom_handler.api.page_policy import policy
from custom_handler.api.page_routes import add_page, read_assets
from custom_handler.api.playground import ASSETS
from custom_handler.api.playground import routes as playground_routes
from custom_handler.settings import AccountSettings

MODULE = '<script type="module" src="{assets}/main.js"></script>'


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.include_router(playground_routes(None, AccountSettings()))
    return TestClient(app)


def linked(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(playground/assets/[^"]+)"', page)


def test_every_file_that_the_page_and_its_modules_name_is_served(client):
    waiting = [f"/{link}" for link in linked(client.get("/playground").text)]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = client.get(path)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff"), path
        assert "immutable" in answer.headers["cache-control"]
        kind = {"css": "text/css", "js": "text/javascript"}[path.rpartition(".")[2]]
        assert answer.headers["content-type"].startswith(kind)
        folder = path.rpartition("/")[0]
        named = re.findall(r'^(?:import|export) (?:[^"\n]* from )?"\./([^"]+)"', answer.text, flags=re.MULTILINE)
        waiting += {f"{folder}/{name}" for name in named} - seen
    served = {path.split("/", 4)[4] for path in seen}
    assert served == set(read_assets(ASSETS)), "a file that nothing names is dead"


def test_a_file_of_another_release_or_outside_of_the_folder_is_not_served(client):
    [first, *_] = linked(client.get("/playground").text)
    digest = first.split("/")[2]
    assert client.get(f"/playground/assets/{'0' * len(digest)}/main.js").status_code == 404
    for name in ("playground.html", "../playground.py", "..%2fplayground.py", "%2fetc%2fpasswd", "none.js"):
        assert client.get(f"/playground/assets/{digest}/{name}").status_code == 404, name


def test_a_changed_file_has_another_address(tmp_path):
    addresses = []
    for text in ("1;", "2;"):
        (tmp_path / "main.js").write_text(text)
        app, router = FastAPI(), APIRouter()
        add_page(router, "/there", MODULE, tmp_path)
        app.include_router(router)
        [address] = re.findall(r'src="([^"]+)"', TestClient(app).get("/there").text)
        assert TestClient(app).get(f"/{address}").text == text
        addresses.append(address)
    assert len(set(addresses)) == 2


def test_only_a_page_that_names_files_may_load_some():
    assert "'self'" not in policy("<script>a</script>").replace("connect-src 'self'", "")
    rules = dict(rule.split(" ", 1) for rule in policy(MODULE).split("; "))
    assert (rules["script-src"], rules["style-src"]) == ("'self'", "'none'")
