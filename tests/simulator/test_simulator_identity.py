"""The identity host: section 1 of the wire contract."""

import asyncio
import time
from urllib.parse import quote

import httpx
import jwt
import pytest

FORM = "application/x-www-form-urlencoded"
URL = "/simulator/oidc/oauth/token"


async def test_a_token_is_a_jwt_with_its_lifetime(service):
    before = int(time.time())
    answer = await service.request_token()
    body = answer.json()
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 1200)
    assert claims["exp"] - claims["iat"] == 1200
    assert before <= claims["iat"] <= time.time()
    assert jwt.get_unverified_header(body["access_token"])["alg"] == "HS256"


async def test_two_tokens_are_never_the_same(service):
    first, second = [(await service.request_token()).json()["access_token"] for _ in range(2)]
    assert first != second


@pytest.mark.parametrize("changes", [{"client_secret": "wrong"}, {"client_id": "wrong"}])
async def test_wrong_credentials_are_unauthorized(service, changes):
    assert (await service.request_token(**changes)).status_code == 401


async def test_an_unknown_realm_is_not_found(service):
    assert (await service.request_token(realm="elsewhere")).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("application/json", b'{"grant_type":"client_credentials"}', id="json"),
        pytest.param("", b"grant_type=client_credentials", id="no content type"),
        pytest.param(FORM, b"", id="empty"),
        pytest.param(FORM, b"nonsense", id="no pairs"),
        pytest.param(FORM, b"grant_type=client_credentials&client_id=simulator", id="no secret"),
        pytest.param(FORM, b"client_id=simulator&client_secret=simulator-secret", id="no grant type"),
        pytest.param(FORM, b"grant_type=client_credentials&client_id=a&client_id=b&client_secret=c", id="twice the id"),
        pytest.param(
            FORM, b"grant_type=client_credentials&client_id=a&client_secret=b&scope=c", id="one field too many"
        ),
        pytest.param(FORM, b"grant_type=client_credentials&client_id=a&client_secret=%FF", id="not UTF-8 inside"),
        pytest.param(FORM, "grant_type=client_credentials&client_id=a&client_secret=ã".encode(), id="not encoded"),
        pytest.param(FORM, b"grant_type=refresh_token&refresh_token=x", id="the refresh grant does not work"),
        pytest.param(FORM, b"grant_type=password&client_id=simulator&client_secret=simulator-secret", id="other grant"),
    ],
)
async def test_another_token_form_is_a_bad_request(service, content_type, body):
    answer = await service.client.post(URL, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert "error" in answer.json()


async def test_a_secret_with_reserved_characters_must_be_url_encoded(service):
    secret = "a&b+c%d=é "
    await service.configure(client_secret=secret)
    assert (await service.request_token(client_secret=secret)).status_code == 200
    raw = f"grant_type=client_credentials&client_id=simulator&client_secret={quote('a b')}+c%d".encode()
    answer = await service.client.post(URL, content=raw, headers={"Content-Type": FORM})
    assert answer.status_code == 401


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic c2ltdWxhdG9y", "token"])
async def test_the_agent_refuses_invalid_bearer_tokens(service, header):
    del service.client.headers["Authorization"]
    request = service.build()
    if header is not None:
        request.headers["Authorization"] = header
    answer = await service.client.send(request)
    assert answer.status_code == 401
    assert set(answer.json()) == {"type", "code", "details"}


async def test_the_agent_refuses_a_token_with_another_signature(service):
    forged = jwt.encode({"expires": time.time() + 99}, "another key of 32 bytes or longer", algorithm="HS256")
    request = service.build()
    request.headers["Authorization"] = f"Bearer {forged}"
    assert (await service.client.send(request)).status_code == 401


async def test_a_token_expires(service):
    await service.configure(token_lifetime=0.4)
    await service.log_in()
    assert (await service.ask()).status_code == 200
    await asyncio.sleep(0.45)
    assert (await service.ask()).status_code == 401


async def test_revoked_tokens_are_refused_and_a_new_one_is_accepted(service):
    await service.client.post("/control/revoke")
    assert (await service.ask()).status_code == 401
    await service.log_in()
    assert (await service.ask()).status_code == 200
    assert (await service.state())["unauthorized"] == 1


async def test_a_new_secret_replaces_the_old_one_at_once(service):
    await service.configure(client_secret="rotated")
    assert (await service.request_token()).status_code == 401
    assert (await service.request_token(client_secret="rotated")).status_code == 200


@pytest.mark.parametrize("value", [None, "1199", 3, 0.5])
async def test_a_script_sets_expires_in(service, value):
    await service.script({"at": "token", "expires_in": value})
    assert (await service.request_token()).json()["expires_in"] == value
    assert (await service.request_token()).json()["expires_in"] == 1200


async def test_a_script_leaves_expires_in_out(service):
    await service.script({"at": "token", "expires_in": "missing"})
    assert "expires_in" not in (await service.request_token()).json()


@pytest.mark.parametrize("kind", ["opaque", "without_times"])
async def test_a_token_without_times_is_accepted(service, kind):
    await service.script({"at": "token", "token": kind})
    token = (await service.request_token()).json()["access_token"]
    assert token.count(".") == (0 if kind == "opaque" else 2)
    if kind == "without_times":
        assert not {"iat", "exp"} & set(jwt.decode(token, options={"verify_signature": False}))
    service.client.headers["Authorization"] = f"Bearer {token}"
    assert (await service.ask()).status_code == 200
    await service.client.post("/control/revoke")
    assert (await service.ask()).status_code == 401


async def test_a_refusal_can_be_html_empty_or_a_scripted_body(service):
    await service.script(
        {"at": "token", "html": True},
        {"at": "token", "empty": True, "status": 404},
        {"at": "token", "status": 503, "body": {"error": "busy"}, "headers": {"Retry-After": "3"}},
        {"at": "token", "html": True, "status": 200},
    )
    html, empty, own, portal = [await service.request_token() for _ in range(4)]
    assert (html.status_code, html.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert (empty.status_code, empty.content) == (404, b"")
    assert (own.status_code, own.json(), own.headers["retry-after"]) == (503, {"error": "busy"}, "3")
    assert (portal.status_code, portal.text[:6]) == (200, "<html>")


@pytest.mark.parametrize("fault", ["reset_before", "close_before"])
async def test_the_identity_host_can_break_the_connection(service, fault):
    await service.script({"at": "token", "fault": fault})
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await service.request_token()


async def test_the_identity_host_can_hang(service):
    await service.script({"at": "token", "fault": "hang_headers"})
    with pytest.raises(httpx.ReadTimeout):
        await service.client.post(
            URL, data={"grant_type": "client_credentials"} | _account(), timeout=httpx.Timeout(None, read=0.1)
        )


async def test_the_identity_host_can_be_a_bad_gateway(service):
    await service.script({"at": "token", "fault": "html_502"})
    assert (await service.request_token()).status_code == 502


async def test_a_token_script_with_match_waits_for_its_client(service):
    await service.script({"at": "token", "match": "other", "status": 500})
    assert (await service.request_token()).status_code == 200
    assert (await service.request_token(client_id="another")).status_code == 500


def _account():
    return {"client_id": "simulator", "client_secret": "simulator-secret"}
