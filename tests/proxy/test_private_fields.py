"""Reports and headers show deployments to the operator only."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.proxy._types import LitellmUserRoles

from custom_handler.proxy.middleware.private_fields import (
    has_private_fields,
    is_operator,
    remove_private_fields,
    with_requested_model,
)
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.request.context import current_request

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MODEL = {
    "model_name": "reviewer",
    "litellm_params": {"model": f"stackspot/{AGENT}", "api_base": "http://inside", "custom_llm_provider": "stackspot"},
    "model_info": {
        "id": "m-1",
        "mode": "chat",
        "agent_id": AGENT,
        "selected_model": "gpt-5",
        "agent_version": 3,
        "key": f"stackspot/{AGENT}",
        "max_tokens": 7,
    },
}
PUBLIC_MODEL = {
    "model_name": "reviewer",
    "litellm_params": {"model": "reviewer"},
    "model_info": {"id": "m-1", "mode": "chat", "max_tokens": 7},
}
HEALTH = {
    "healthy_endpoints": [{"model": f"stackspot/{AGENT}", "model_id": "m-1", "api_base": "http://inside"}],
    "unhealthy_endpoints": [
        {
            "model": f"stackspot/{AGENT}",
            "model_id": "m-2",
            "error": "realm acme at http://inside",
            "exception_status": 502,
        },
        "m-3",
    ],
    "healthy_count": 1,
}
PUBLIC_HEALTH = {
    "healthy_endpoints": [{"model": "reviewer", "model_id": "m-1"}],
    "unhealthy_endpoints": [{"model_id": "m-2", "exception_status": 502}, {}],
    "healthy_count": 1,
}


@pytest.fixture(autouse=True)
def router(monkeypatch):
    """A router that knows one deployment."""

    def get_deployment(model_id: str) -> Any:
        return SimpleNamespace(model_name="reviewer") if model_id == "m-1" else None

    running = SimpleNamespace(llm_router=SimpleNamespace(get_deployment=get_deployment))
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", running)


def state(role: LitellmUserRoles | None) -> dict[str, Any]:
    return {"principal": SimpleNamespace(source_key=SimpleNamespace(user_role=role))}


@pytest.mark.parametrize(
    ("report", "public"),
    [
        ({"data": [MODEL]}, {"data": [PUBLIC_MODEL]}),
        (MODEL, PUBLIC_MODEL),
        (HEALTH, PUBLIC_HEALTH),
        ([1, "a"], [1, "a"]),
    ],
)
def test_a_report_keeps_the_names_of_models(report, public):
    assert json.loads(remove_private_fields(json.dumps(report).encode())) == public


def test_a_report_that_is_no_json_is_removed():
    assert remove_private_fields(b"agent 01") == b"{}"


@pytest.mark.parametrize(
    ("path", "private"),
    [
        ("/health", True),
        ("/health/", True),
        ("/api/health", True),
        ("/health/latest", True),
        ("/model/info", True),
        ("/v2/model/info", True),
        ("/model_group/info", True),
        ("/health/liveliness", False),
        ("/v1/models", False),
        ("/v1/chat/completions", False),
    ],
)
def test_the_reports_are_known_by_their_path(path, private):
    assert has_private_fields(path) is private


@pytest.mark.parametrize(
    ("given", "operator"),
    [
        ({}, False),
        ({"state": {}}, False),
        ({"state": state(None)}, False),
        ({"state": state(LitellmUserRoles.INTERNAL_USER)}, False),
        ({"state": state(LitellmUserRoles.PROXY_ADMIN)}, True),
        ({"state": state(LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY)}, True),
    ],
)
def test_the_operator_is_whom_the_proxy_authenticated_as_its_administrator(given, operator):
    assert is_operator(given) is operator


async def answer(path: str, role: LitellmUserRoles, *bodies: bytes, model: str | None = None) -> tuple[Any, bytes]:
    """Serve one request of a caller, with the proxy's headers; return the headers and the body."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = state(role)
        request = current_request()
        assert request is not None
        request.model = model
        headers = [(b"x-litellm-model-api-base", b"http://inside"), (b"x-litellm-model-name", AGENT.encode())]
        headers += [(b"x-litellm-model-id", b"m-1"), (b"content-length", str(sum(map(len, bodies))).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, body in enumerate(bodies):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies) - 1})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await ProxyWrapper(app)({"type": "http", "path": path, "headers": []}, receive, send)
    return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize("path", ["/v1/model/info", "/health", "/v1/chat/completions"])
async def test_the_operator_sees_what_a_team_does_not(path):
    body = json.dumps({"data": [MODEL]}).encode()
    headers, seen = await answer(path, LitellmUserRoles.PROXY_ADMIN, body[:20], body[20:])
    assert AGENT in seen.decode()
    assert headers[b"x-litellm-model-name"] == AGENT.encode()
    headers, seen = await answer(path, LitellmUserRoles.INTERNAL_USER, body[:20], body[20:])
    assert (AGENT in seen.decode()) is (path == "/v1/chat/completions")
    assert headers.keys().isdisjoint({b"x-litellm-model-name", b"x-litellm-model-api-base"})
    assert headers[b"x-litellm-model-id"] == b"m-1"
    assert int(headers[b"content-length"]) == len(seen)


EVENTS = [
    b'data: {"type":"response.created","response":{"id":"r","model":"' + AGENT.encode() + b'","output":[]}}\n\n',
    b": ping\n\n",
    b'data: {"type":"response.output_text.delta","delta":"the event \\"response.completed\\" says model"}\n\n',
    b'event: response.completed\ndata: {"type":"response.completed","response":{"model":"'
    + AGENT.encode()
    + b'"}}\n\n',
    b"data: [DONE]\n\n",
]


async def test_a_stream_of_responses_names_the_model_of_the_request():
    _, seen = await answer("/v1/responses", LitellmUserRoles.INTERNAL_USER, *EVENTS, model="reviewer")
    assert (seen.count(b'"model":"reviewer"'), AGENT.encode() in seen) == (2, False)
    changed = b"".join(with_requested_model(event, "reviewer") for event in EVENTS)
    assert changed == b"".join(EVENTS).replace(AGENT.encode(), b"reviewer")


@pytest.mark.parametrize(
    "line", [b'data: "response.created"', b'data: {"response":"response.created"}', b'data: "response.created', b"x"]
)
def test_other_lines_of_a_stream_stay_as_they_are(line):
    assert with_requested_model(line, "reviewer") == line
