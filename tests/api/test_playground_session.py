"""`POST /playground/session`: the key for the code, for a browser of the proxy's own machine only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from custom_handler.api.playground_session import routes
from custom_handler.proxy.playground_code import PlaygroundCode

KEY = "sk-canary-of-a-master-key"
ADDRESS = "http://localhost:4000"
HERE = {"origin": ADDRESS}


@pytest.fixture
def issued(tmp_path: Path) -> PlaygroundCode:
    return PlaygroundCode(tmp_path / "code")


@pytest.fixture
def app(issued: PlaygroundCode) -> FastAPI:
    app = FastAPI()
    app.include_router(routes(issued, lambda: KEY))
    return app


def asked(app: FastAPI, code: Any, peer: str = "127.0.0.1", url: str = ADDRESS, **headers: str) -> httpx.Response:
    with TestClient(app, base_url=url, client=(peer, 50000)) as client:
        sent = {"origin": url} | {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/playground/session", json={"code": code}, headers=sent)


def test_the_code_is_exchanged_for_the_key_once(app: FastAPI, issued: PlaygroundCode):
    code = issued.issue()
    answer = asked(app, code, sec_fetch_site="same-origin")
    assert (answer.status_code, answer.json()) == (200, {"key": KEY})
    assert answer.headers["cache-control"] == "no-store"
    second = asked(app, code)
    assert second.status_code == 410
    assert "The code of this address was used, is older than five minutes" in second.json()["error"]["message"]


@pytest.mark.parametrize(
    ("peer", "url"),
    [("127.0.0.1", "http://127.0.0.1:4000"), ("::1", "http://[::1]:4000"), ("::ffff:127.0.0.1", ADDRESS)],
)
def test_each_name_of_this_machine_will_do(app: FastAPI, issued: PlaygroundCode, peer: str, url: str):
    assert asked(app, issued.issue(), peer, url).status_code == 200


ATTACKS: dict[str, dict[str, str]] = {
    "another machine": {"peer": "192.168.1.7"},
    "another machine over IPv6": {"peer": "2001:db8::1"},
    "a peer that is no address": {"peer": "testclient"},
    "a name that an attacker resolves to this machine": {"url": "http://rebound.example:4000"},
    "a name that begins like this machine": {"url": "http://localhost.example:4000"},
    "an address in the local network": {"url": "http://192.168.1.5:4000"},
    "all addresses": {"url": "http://0.0.0.0:4000"},
    "a page of another site": {"origin": "https://rebound.example"},
    "a page of another port of this machine": {"origin": "http://localhost:3000"},
    "a page of another scheme": {"origin": "https://localhost:4000"},
    "a page without an origin": {"origin": "null"},
    "a browser that knows another site asks": {"sec_fetch_site": "cross-site"},
    "a browser that knows another port asks": {"sec_fetch_site": "same-site"},
    "a reverse proxy": {"x_forwarded_for": "203.0.113.7"},
    "a reverse proxy that names this machine": {"x_forwarded_for": "127.0.0.1"},
    "a reverse proxy that names the host": {"x_forwarded_host": "localhost:4000"},
    "a reverse proxy by the standard": {"forwarded": "for=203.0.113.7"},
    "nginx": {"x_real_ip": "127.0.0.1"},
    "a tunnel": {"via": "1.1 tunnel"},
    "a host that cannot be read": {"host": "[::1"},
    "a host with a user": {"host": "localhost@rebound.example:4000"},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_anything_but_a_browser_of_this_machine_is_refused_and_the_code_stays_valid(
    app: FastAPI, issued: PlaygroundCode, attack: str
):
    code = issued.issue()
    answer = asked(app, code, **ATTACKS[attack])
    assert answer.status_code == 403
    assert "only in a browser on the proxy's own machine" in answer.json()["error"]["message"]
    assert KEY not in answer.text
    assert asked(app, code).status_code == 200


def test_a_client_that_names_no_origin_is_refused(app: FastAPI, issued: PlaygroundCode):
    with TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 50000)) as client:
        assert client.post("/playground/session", json={"code": issued.issue()}).status_code == 403


@pytest.mark.parametrize("headers", [[("host", "localhost:4000")] * 2, [("origin", ADDRESS)] * 2])
def test_a_header_that_comes_twice_is_refused(app: FastAPI, issued: PlaygroundCode, headers: list[tuple[str, str]]):
    sent = [*headers, ("content-type", "application/json")]
    sent += [] if headers[0][0] == "origin" else [("origin", ADDRESS)]
    with TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 50000)) as client:
        content = f'{{"code": "{issued.issue()}"}}'
        assert client.post("/playground/session", content=content, headers=sent).status_code == 403


@pytest.mark.parametrize(("code", "status"), [("wrong", 410), ("", 410), ("x" * 101, 422), (["a"], 422), (None, 422)])
def test_a_wrong_code_is_refused_and_is_not_quoted(app: FastAPI, issued: PlaygroundCode, code: Any, status: int):
    issued.issue()
    answer = asked(app, code)
    assert answer.status_code == status
    assert KEY not in answer.text
    assert "wrong" not in answer.text
    assert "x" * 101 not in answer.text


def test_text_that_is_no_unicode_is_refused(app: FastAPI, issued: PlaygroundCode):
    issued.issue()
    with TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 50000)) as client:
        sent = {"content-type": "application/json", **HERE}
        answer = client.post("/playground/session", content=rb'{"code": "\ud800"}', headers=sent)
    assert answer.status_code in {410, 422}


@pytest.fixture(params=["no code", "no key"])
def without(request: pytest.FixtureRequest, issued: PlaygroundCode) -> tuple[FastAPI, str]:
    app = FastAPI()
    made = routes(PlaygroundCode(None), lambda: KEY) if request.param == "no code" else routes(issued, lambda: None)
    app.include_router(made)
    return app, issued.issue()


def test_a_proxy_that_issued_no_code_or_has_no_key_gives_none(without: tuple[FastAPI, str]):
    app, code = without
    assert asked(app, code).status_code == 410
    assert asked(app, "").status_code == 410
