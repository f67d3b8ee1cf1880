"""The wrapper calls its observers in order, and lets only one response through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from custom_handler.proxy.middleware.body_limit import MAX_BODY_BYTES, NO_OBJECT, TOO_LARGE
from custom_handler.proxy.middleware.error_bodies import MESSAGE, rewrite
from custom_handler.proxy.middleware.exchange import CLIENT_DISCONNECTED, Outcome
from custom_handler.proxy.middleware.wrap import ProxyWrapper, wrap
from custom_handler.request.context import current_request


class Recorder:
    """An observer that records its calls."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events
        self.outcome = Outcome()

    def request_started(self, scope: Any) -> None:
        self.events.append(f"{self.name} started")

    def request_ended(self, scope: Any, outcome: Outcome) -> None:
        self.events.append(f"{self.name} ended")
        self.outcome = outcome


async def serve(app: Any, *observers: Recorder, received: tuple[Any, ...] = ()) -> list[Any]:
    messages = iter(received or ({"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}))
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/v1/chat/completions", "headers": []}
    await ProxyWrapper(app, observers)(scope, receive, send)
    return sent


async def respond(send: Any, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_the_first_observer_is_the_outermost():
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.append("proxy")
        await respond(send)

    await serve(app, Recorder("a", events), Recorder("b", events))
    assert events == ["a started", "b started", "proxy", "b ended", "a ended"]


@pytest.mark.parametrize(("responds", "status"), [(True, 200), (False, CLIENT_DISCONNECTED)])
async def test_a_disconnect_before_the_end_of_the_response_is_observed(responds, status):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if responds:
            await respond(send)
        await receive()

    await serve(app, observer := Recorder("a", []))
    assert (observer.outcome.status, observer.outcome.disconnected) == (status, not responds)


@pytest.mark.parametrize("begun", ["nothing", "a start", "a whole response"])
async def test_an_exception_of_the_proxy_is_a_500_and_the_connection_stays_open(begun):
    """The server closes the connection after an exception, although LiteLLM has sent its 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun != "nothing":
            await send({"type": "http.response.start", "status": 500, "headers": []})
        if begun == "a whole response":
            await send({"type": "http.response.body", "body": b"{}"})
        raise ValueError

    sent = await serve(app, observer := Recorder("a", []))
    assert observer.outcome.status == 500
    assert [message.get("status") for message in sent] == [500, None]
    assert (MESSAGE.encode() in sent[1]["body"]) is (begun != "a whole response")


async def test_an_exception_within_a_response_closes_the_connection():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError

    observer = Recorder("a", [])
    with pytest.raises(ValueError):
        await serve(app, observer)
    assert observer.outcome.status == 500


async def test_a_body_that_exceeds_the_limit_after_an_error_started_is_a_413():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await receive()
        with pytest.raises(HTTPException):
            await receive()
        await send({"type": "http.response.body", "body": b"{}"})

    half = {"type": "http.request", "body": b"x" * (MAX_BODY_BYTES // 2 + 1), "more_body": True}
    sent = await serve(app, received=(half, half))
    assert [message.get("status") for message in sent] == [413, None]


# --- the wrapper's own errors -------------------------------------------------------------------


async def exchange(path: str, app: Any, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, str], Any]:
    """Serve one request with a CORS middleware inside; return status, headers and JSON."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    wrapped = FastAPI()
    wrapped.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    wrapped.middleware_stack = app
    wrap(wrapped)
    assert wrapped.middleware_stack is not None
    await wrapped.middleware_stack({"type": "http", "path": path, "headers": raw}, receive, send)
    start = Headers(raw=sent[0]["headers"])
    return sent[0]["status"], dict(start), json.loads(b"".join(message["body"] for message in sent[1:]))


TOO_LONG = {"content_length": str(MAX_BODY_BYTES + 1)}
OWN_ERRORS = [
    (413, TOO_LONG, b"{}", TOO_LARGE),
    (400, {}, b"[]", NO_OBJECT),
]
ANTHROPIC = {413: "request_too_large", 400: "invalid_request_error", 403: "permission_error"}
GOOGLE = {413: "INVALID_ARGUMENT", 400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED"}


def shape(path: str, status: int, message: str) -> dict[str, Any]:
    """Return the error of a protocol."""
    if "messages" in path:
        return {"type": "error", "error": {"type": ANTHROPIC[status], "message": message}}
    if ":" in path:
        return {"error": {"code": status, "message": message, "status": GOOGLE[status]}}
    kind = "permission_error" if status == 403 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": str(status)}}


PATHS = [
    "/v1/chat/completions",
    "/v1/responses",
    "/chat",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/stackspot-chat:generateContent",
    "/models/a/b:streamGenerateContent",
]


async def reject_all(scope: Any, receive: Any, send: Any) -> None:
    request = current_request()
    assert request is not None
    request.denied = "The API key 'a' may not call it."
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"not ", "more_body": True})
    await send({"type": "http.response.body", "body": b"JSON"})


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    pytest.fail("the proxy was called")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("status", "headers", "body", "message"), OWN_ERRORS)
async def test_an_error_of_the_wrapper_has_the_form_of_its_protocol(path, status, headers, body, message):
    got, sent, content = await exchange(path, nothing, body, **headers, origin="https://a.example", x_request_id="r-1")
    assert (got, content) == (status, shape(path, status, message))
    assert sent["access-control-allow-origin"] == "https://a.example"
    assert sent["x-request-id"] == "r-1"
    assert sent["connection"] == "close"


@pytest.mark.parametrize("path", PATHS)
async def test_a_denied_route_is_a_403_whatever_the_proxy_answers(path):
    status, sent, content = await exchange(path, reject_all, origin="https://a.example")
    assert (status, content) == (403, shape(path, 403, "The API key 'a' may not call it."))
    assert sent["access-control-allow-origin"] == "https://a.example"
    assert sent["content-type"] == "application/json"
    assert "connection" not in sent


async def test_the_headers_of_the_proxys_own_cors_stay():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"access-control-allow-origin", b"https://b.example"), (b"vary", b"Origin")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    _, sent, _ = await exchange("/v1/chat/completions", app, origin="https://a.example")
    assert (sent["access-control-allow-origin"], sent["vary"]) == ("https://b.example", "Origin")


async def test_without_an_origin_no_origin_is_allowed():
    _, sent, _ = await exchange("/v1/chat/completions", nothing, **TOO_LONG)
    assert "access-control-allow-origin" not in sent


@pytest.mark.parametrize("path", PATHS[3:])
@pytest.mark.parametrize(
    "body",
    [
        {"detail": "Not allowed"},
        {"detail": {"error": "Not allowed"}},
        {"error": {"message": "Not allowed", "type": "x", "param": None, "code": "403"}},
    ],
)
def test_an_error_of_the_proxy_has_the_form_of_its_protocol(path, body):
    if "messages" in path and "error" in body:
        body = {"error": {"message": "Not allowed"} | body["error"]}
    assert json.loads(rewrite(403, json.dumps(body).encode(), path)[1]) == shape(path, 403, "Not allowed")


@pytest.mark.parametrize("path", ["/v1/models", "/models/m", "/v1/responses/r/input_items", "/openai/v1/responses/r"])
def test_an_invalid_query_is_an_error_object_without_its_value(path):
    detail = [{"loc": ["query", "n"], "msg": "Input should be a valid integer", "input": "secret"}, "x"]
    status, body = rewrite(422, json.dumps({"detail": detail}).encode(), path)
    message = "query.n: Input should be a valid integer; The request is invalid."
    assert (status, json.loads(body)) == (422, shape("/v1/chat/completions", 422, message))


def test_only_a_route_without_its_database_is_a_404():
    body = {"error": {"message": "DB not connected", "type": "x", "param": None, "code": "500"}}
    of_provider = json.dumps(body).encode()
    assert rewrite(500, of_provider, "/v1/chat/completions")[0] == 500
    assert rewrite(500, of_provider, "/key/list")[0] == 404


def test_a_detail_elsewhere_stays():
    body = b'{"detail": "Not Found"}'
    assert rewrite(404, body, "/model/new") == (404, body)
