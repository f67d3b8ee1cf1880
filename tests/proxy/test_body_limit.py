"""Reserved fields, limits of size, and the bodies of errors."""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import Any

import pytest
from litellm.proxy._types import ProxyException
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from custom_handler.proxy.middleware.body_limit import (
    MAX_BODY_BYTES,
    LimitedBody,
)
from custom_handler.proxy.middleware.body_structure import MAX_FIELDS, MAX_OBJECTS
from custom_handler.proxy.middleware.error_bodies import GOOGLE_STREAM, MESSAGE, as_error_object, protocol_events
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.proxy.validation.reserved_fields import RESERVED, reject_reserved_fields, sent_body
from custom_handler.request.context import RequestContext

MESSAGES = [{"role": "user", "content": "Oi"}]


def test_parameters_of_the_openai_api_are_not_reserved():
    openai = {
        "model", "messages", "input", "tools", "tool_choice", "stream", "stream_options", "temperature", "top_p", "n", "stop", "seed",
        "max_tokens", "max_completion_tokens", "response_format", "user", "metadata", "timeout", "parallel_tool_calls", "logprobs",
        "reasoning_effort", "reasoning", "verbosity", "service_tier", "store", "thinking", "system", "top_k", "stop_sequences", "tags",
        "instructions", "previous_response_id", "include", "text", "truncation", "prompt_cache_key", "safety_identifier", "modalities",
        "extra_headers", "extra_body", "fallbacks", "guardrails", "cache", "max_retries", "num_retries", "web_search_options",
    }  # fmt: skip
    assert openai & RESERVED == set()


@pytest.mark.parametrize(
    "name", ["api_key", "api_base", "custom_llm_provider", "azure", "aws_secret_access_key", "self", "_x"]
)
def test_a_reserved_field_is_a_400_that_names_it(name):
    for fields in ({name: "x"}, {"fallbacks": [{"model": "b", name: "x"}]}):
        with pytest.raises(ProxyException) as raised:
            reject_reserved_fields({"model": "a", "messages": MESSAGES, **fields})
        assert (raised.value.code, raised.value.param) == ("400", name)
        assert repr(name) in raised.value.message


@pytest.fixture
def scope():
    """The ASGI scope of a request whose body LiteLLM has read."""
    body = {"model": "a", "contents": []}
    scope = {"parsed_body": (tuple(body), body)}
    with RequestContext(scope).served():
        yield scope


def test_fields_that_litellm_adds_are_not_the_clients(scope):
    added = scope["parsed_body"][1] | {"_litellm_raw_sse_stream": True}
    scope["parsed_body"][1].update(added)  # LiteLLM's routes may change this object
    sent = sent_body({**added, "proxy_server_request": {"body": added}})
    assert sent == {"model": "a", "contents": []}
    reject_reserved_fields(sent)


def test_the_body_that_the_client_sent_is_validated(scope):
    body = {"model": "a", "_x": 1, "api_key": "x"}
    scope["parsed_body"] = (tuple(body), {"model": "a"})
    sent = sent_body({"model": "a", "proxy_server_request": {"body": {"model": "a"}}})
    assert set(sent) == set(body)


@pytest.mark.parametrize(("in_body", "refused"), [("a", False), ("b", True), ({"a": 1}, True)])
def test_a_body_must_not_name_another_model_than_the_path(scope, in_body, refused):
    scope["path_params"] = {"model_name": "a"}
    scope["parsed_body"] = (("model",), {"model": in_body})
    with contextlib.nullcontext() if not refused else pytest.raises(ProxyException, match="leave model out"):
        assert sent_body({"model": "a"}) == {"model": "a"}


def test_several_models_at_once_are_rejected():
    with pytest.raises(ProxyException) as raised:
        reject_reserved_fields({"model": "a,b", "messages": MESSAGES})
    assert (raised.value.code, raised.value.param) == ("400", "model")


def test_reserved_names_are_allowed_in_tools_and_batches():
    schema = {"type": "object", "properties": {"api_key": {"type": "string"}}}
    reject_reserved_fields(
        {"model": "a", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}
    )
    reject_reserved_fields({"custom_llm_provider": "openai", "input_file_id": "f"})
    reject_reserved_fields({"model": "a", "fallbacks": ["b", {"a": ["b"]}]})


class Exchange:
    """One request to an application that reads the body and responds."""

    def __init__(self, pieces: list[bytes], answer: bytes = b"ok", status: int = 200, **headers: str) -> None:
        self.pieces, self.answer, self.status = pieces, answer, status
        self.scope = {
            "type": "http",
            "path": "/v1/chat/completions",
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        }
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.sent: list[Any] = []
        self.read = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            while (message := await receive())["more_body"]:
                self.read += len(message["body"])
        except HTTPException:
            self.status = 401  # the authentication of the proxy responds 401 to any error
        await send({"type": "http.response.start", "status": self.status, "headers": self.answer_headers})
        half = len(self.answer) // 2
        await send({"type": "http.response.body", "body": self.answer[:half], "more_body": True})
        await send({"type": "http.response.body", "body": self.answer[half:]})

    async def through(self, layer: Any) -> tuple[int, dict[bytes, bytes], bytes]:
        pieces = iter(self.pieces)

        async def receive() -> Any:
            piece = next(pieces, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await layer(self.app)(self.scope, receive, send)
        start, *rest = self.sent
        headers = {name: value for name, value in start["headers"] if name != b"x-request-id"}
        return start["status"], headers, b"".join(message["body"] for message in rest)


async def test_a_body_with_a_too_large_content_length_is_not_read():
    exchange = Exchange([b"x"], content_length=str(MAX_BODY_BYTES + 1))
    status, _, body = await exchange.through(ProxyWrapper)
    assert (status, json.loads(body)["error"]["code"], exchange.read) == (413, "413", 0)


async def test_a_body_of_unknown_length_is_read_up_to_the_limit():
    exchange = Exchange([b"x" * (MAX_BODY_BYTES // 4)] * 40)
    status, _, body = await exchange.through(ProxyWrapper)
    assert (status, "The request is larger than 32 MiB" in json.loads(body)["error"]["message"]) == (413, True)
    assert exchange.read <= MAX_BODY_BYTES


@pytest.mark.parametrize("headers", [{}, {"content_length": str(MAX_BODY_BYTES)}, {"content_length": "x"}])
async def test_a_body_within_the_limit_passes(headers):
    assert (await Exchange([b"x" * (MAX_BODY_BYTES // 2)] * 2, **headers).through(ProxyWrapper))[::2] == (
        200,
        b"ok",
    )


@pytest.mark.parametrize("sent", ["[]", ' \n["a"]', '"a"', "-1", "7", "true", "false", "null"])
@pytest.mark.parametrize("headers", [{}, {"content_type": "application/json; charset=utf-8"}])
async def test_json_other_than_an_object_is_rejected(sent, headers):
    status, _, body = await Exchange([sent.encode()], **headers).through(ProxyWrapper)
    assert (status, json.loads(body)["error"]["message"]) == (400, "The request's body must be a JSON object.")


@pytest.mark.parametrize(
    ("sent", "headers"),
    [(' {"a": 1}', {}), ("", {}), ("[]", {"content_type": "text/plain"}), ("a=1", {"content_type": "application/x"})],
)
async def test_objects_and_other_content_types_pass(sent, headers):
    assert (await Exchange([sent.encode()], **headers).through(ProxyWrapper))[0] == 200


@pytest.mark.parametrize("piece_size", [1 << 30, 1000])
async def test_a_body_of_too_many_values_is_rejected(piece_size):
    body = json.dumps({"messages": [{}] * MAX_OBJECTS}).encode()
    pieces = [body[start : start + piece_size] for start in range(0, len(body), piece_size)]
    status, _, answer = await Exchange(pieces).through(ProxyWrapper)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (400, "400")
    assert "objects and lists, 200000 strings or 400000 values: send fewer messages, parts or tools" in error["message"]


@pytest.mark.parametrize(
    ("encoding", "headers", "status"),
    [
        ("utf-8", {}, 200),
        ("latin-1", {}, 400),
        ("utf-16", {"content_type": "application/json"}, 400),
        ("latin-1", {"content_type": "text/plain"}, 200),
    ],
)
async def test_json_in_another_encoding_than_utf8_is_rejected(encoding, headers, status):
    sent = '{"content": "Olá"}'.encode(encoding)
    answered, _, body = await Exchange([sent[:13], sent[13:]], **headers).through(ProxyWrapper)
    assert (answered, b"body is not valid UTF-8: encode it as UTF-8" in body) == (status, status == 400)


async def test_a_rejected_body_cannot_be_read_on():
    messages = iter([{"type": "http.request", "body": b"[" * (2 * MAX_OBJECTS), "more_body": False}])

    async def receive() -> Any:
        return next(messages)

    body = LimitedBody(Headers({}), receive)
    for _ in range(2):  # LiteLLM reads on after an error
        with pytest.raises(HTTPException, match="objects and lists"):
            await body.receive()


TYPES = [
    "multipart/form-data; boundary=a",
    "Multipart/Form-Data; boundary=a",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "audio/wav",
    "text/plain",
    "x",
    "",
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("headers", [{}, {"content_length": str(MAX_BODY_BYTES + 1)}])
async def test_a_body_of_any_content_type_is_limited(content_type, headers):
    exchange = Exchange([b"x" * (MAX_BODY_BYTES // 2)] * 3, content_type=content_type, **headers)
    assert (await exchange.through(ProxyWrapper))[0] == 413
    assert exchange.read <= MAX_BODY_BYTES


@pytest.mark.parametrize("content_type", [*TYPES[2:], "multipart/mixed", "application/problem+json"])
async def test_what_litellm_parses_as_json_has_no_more_values_than_json(content_type):
    exchange = Exchange([b"[" * (2 * MAX_OBJECTS)], content_type=content_type)
    assert (await exchange.through(ProxyWrapper))[0] == (200 if "form" in content_type else 400)


async def test_the_bytes_of_a_file_are_not_counted_as_json():
    exchange = Exchange([b"[" * (2 * MAX_OBJECTS)], content_type=TYPES[0])
    assert (await exchange.through(ProxyWrapper))[0] == 200


@pytest.mark.parametrize("piece", [b"[],", b'"a",', b"\xff"])
async def test_a_body_is_refused_at_the_first_piece_that_exceeds_a_limit(piece):
    """A check of the whole body at its end would delay all other requests; 30 MB took a fifth of a second."""
    exchange = Exchange([piece * MAX_OBJECTS] * 100, content_type="application/json")
    assert (await exchange.through(ProxyWrapper))[0] == 400
    assert exchange.read < 20 * len(piece) * MAX_OBJECTS


@pytest.mark.parametrize("separator", [b"&", b";"])
async def test_a_form_of_very_many_fields_is_rejected_even_if_they_are_empty(separator):
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    for count, status in ((MAX_FIELDS, 200), (MAX_FIELDS + 1, 400)):
        exchange = Exchange([separator * (count // 2), separator * (count - count // 2)], content_type=content_type)
        answered, _, body = await exchange.through(ProxyWrapper)
        assert (answered, b"The form has more than 10000 fields" in body) == (status, status == 400)


async def test_a_character_may_be_cut_between_two_pieces():
    sent = '{"content": "Olá"}'.encode()
    for cut in range(len(sent)):
        assert (await Exchange([sent[:cut], sent[cut:]]).through(ProxyWrapper))[0] == 200
    assert (await Exchange([sent[: sent.index(b"\xa1")]]).through(ProxyWrapper))[0] == 400


TRACEBACK = 'no key\\nTraceback (most recent call last):\\n  File \\"/a/b.py\\", line 1'


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (f'{{"error": {{"message": "{TRACEBACK}", "code": "500"}}}}', {"error": {"message": "no key", "code": "500"}}),
        ('{"error": {"message": "1 validation error for Params"}}', {"error": {"message": MESSAGE}}),
        ('{"detail": ["at site-packages/a", 7]}', {"detail": [MESSAGE, 7]}),
        ('{"error": {"message": "ação inválida"}}', {"error": {"message": "ação inválida"}}),
        ('{"error": {"message": "no tool run.py"}}', {"error": {"message": "no tool run.py"}}),
        ('{"error": {"message": "in /a/b.py"}}', {"error": {"message": MESSAGE}}),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_an_error_has_no_traceback_and_no_path(sent, shown, packed):
    exchange = Exchange([], gzip.compress(sent.encode()) if packed else sent.encode(), 500)
    exchange.answer_headers = [(b"content-encoding", b"gzip")] * packed + [(b"content-length", b"1")]
    status, headers, body = await exchange.through(ProxyWrapper)
    plain = gzip.decompress(body) if b"content-encoding" in headers else body
    assert (status, json.loads(plain)) == (500, shown)
    if MESSAGE in str(shown) or "Traceback" in sent:
        assert (headers[b"content-length"], b"content-encoding" in headers) == (str(len(body)).encode(), False)
    else:
        assert headers == dict(exchange.answer_headers)


@pytest.mark.parametrize(("status", "is_shaped"), [(401, True), (400, False)])
async def test_an_invalid_key_is_an_error_object_instead_of_a_string(status, is_shaped):
    *_, body = await Exchange([], b'"Unauthorized access"', status).through(ProxyWrapper)
    error = {"message": "Unauthorized access", "type": "auth_error", "param": None, "code": "401"}
    assert json.loads(body) == ({"error": error} if is_shaped else "Unauthorized access")


@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages", "/v1/messages/count_tokens"])
def test_an_invalid_key_is_anthropics_error_on_its_routes(path):
    theirs = {"message": "no such key", "type": "auth_error", "param": "None", "code": "401"}
    ours = {"type": "error", "error": {"type": "authentication_error", "message": "no such key"}}
    assert json.loads(as_error_object(401, json.dumps({"error": theirs}).encode(), path)) == ours
    assert json.loads(as_error_object(401, json.dumps(ours).encode(), path)) == ours
    assert json.loads(as_error_object(401, json.dumps({"error": theirs}).encode(), "/v1/chat/completions")) == {
        "error": theirs
    }


@pytest.mark.parametrize(
    ("status", "kind"), [(402, "invalid_request_error"), (403, "permission_error"), (503, "internal_server_error")]
)
def test_an_error_without_a_type_gets_openais(status, kind):
    def error(kind):
        return {"error": {"message": "no", "type": kind, "param": None, "code": str(status)}}

    assert json.loads(as_error_object(status, json.dumps(error(None)).encode(), "/v1/completions")) == error(kind)
    kept = json.dumps(error("own")).encode()
    assert json.loads(as_error_object(status, kept, "/v1/completions")) == error("own")


def test_an_error_within_a_gemini_stream_has_googles_form_and_text_about_one_stays():
    chunk = b'data: {"candidates": [{"text": "data: {\\"error\\": 1}"}]}\n\n'
    error = b'data: {"error": {"message": "no", "type": null, "param": null, "code": "429"}}\n\n'
    theirs = b'data: {"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}}\n\n'
    assert protocol_events(chunk + error, GOOGLE_STREAM) == chunk + theirs
    assert protocol_events(chunk + theirs, GOOGLE_STREAM) == chunk + theirs
    assert protocol_events(b'data: {"error": cut off', GOOGLE_STREAM) == b'data: {"error": cut off'


def test_an_error_after_a_keepalive_of_a_messages_stream_has_anthropics_form():
    error = b'data: {"error": {"message": "no", "type": null, "param": null, "code": "504"}}\n\n'
    name, data = protocol_events(error, "/v1/messages").rstrip(b"\n").split(b"\n")
    found = json.loads(data.removeprefix(b"data: "))
    assert (name, found["type"], found["error"]["message"]) == (b"event: error", "error", "no")


async def test_an_error_other_than_json_is_replaced_if_it_has_internals():
    assert (await Exchange([], b'File "/a/b.py"', 500).through(ProxyWrapper))[2] == MESSAGE.encode()
    assert (await Exchange([], b"<html>no</html>", 502).through(ProxyWrapper))[2] == b"<html>no</html>"


async def test_a_successful_response_may_contain_a_traceback():
    exchange = Exchange([], b"Traceback (most recent call last)")
    assert (await exchange.through(ProxyWrapper))[2] == b"Traceback (most recent call last)"
    assert len(exchange.sent) == 3, "its messages are not joined"
