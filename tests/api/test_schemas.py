"""The body of `POST /chat`, and the errors of the services."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from pydantic import ValidationError

from custom_handler.api.page_policy import policy
from custom_handler.api.responses import api_router, sse_event
from custom_handler.api.schemas import ChatBody
from custom_handler.proxy.client import ProxyResponseError

HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"message": "hi"}, {"model": "default", "messages": HI}),
        ({"prompt": "hi", "model": "m"}, {"model": "m", "messages": HI}),
        (
            {"prompt": "hi", "system_prompt": "be kind"},
            {"model": "default", "messages": [{"role": "system", "content": "be kind"}, *HI]},
        ),
        ({"messages": [{**HI[0], "name": "Ana"}]}, {"model": "default", "messages": [{**HI[0], "name": "Ana"}]}),
        (
            {
                "message": "hi",
                "params": {"temperature": 0, "seed": None, "stream": True, "json_mode": True, "stop": ["x"]},
            },
            {
                "model": "default",
                "messages": HI,
                "temperature": 0,
                "stop": ["x"],
                "response_format": {"type": "json_object"},
            },
        ),
    ],
    ids=["message", "prompt", "prompt and system", "messages", "params"],
)
def test_each_input_becomes_the_body_of_a_chat_completion(fields, body):
    assert ChatBody.model_validate(fields).completion_body("default") == body


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of"),
        ({"message": "a", "prompt": "b"}, "exactly one of"),
        ({"message": "a", "messages": HI}, "exactly one of"),
        ({"message": "a", "system_prompt": "b"}, "goes with prompt"),
        ({"messages": []}, "at least 1 item"),
        ({"messages": [{"content": "a"}]}, "Field required"),
        ({"message": "a", "params": {"temperature": "hot"}}, "valid number"),
        ({"message": "a", "params": {"model": "other"}}, "params cannot hold model"),
        ({"message": "a", "parms": {}}, "not permitted"),
    ],
)
def test_an_invalid_body_is_rejected(fields, message):
    with pytest.raises(ValidationError, match=message):
        ChatBody.model_validate(fields)


async def answer(body: Any = None, content: bytes | None = None, refused: ProxyResponseError | None = None) -> Any:
    app, part = FastAPI(), api_router()

    @part.post("/chat")
    async def chat(asked: ChatBody) -> None:
        raise refused or AssertionError

    app.include_router(part)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://proxy") as client:
        return await client.post("/chat", json=body, content=content, headers={"content-type": "application/json"})


async def test_an_error_names_the_field_and_never_quotes_its_value():
    response = await answer({"message": "a secret", "params": {"seed": "a secret"}, "more": "a secret"})
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert "params.seed: " in message
    assert "more: Extra inputs are not permitted" in message
    assert "secret" not in response.text


async def test_a_body_that_is_no_json_is_reported():
    response = await answer(content=b"{secret")
    assert (response.status_code, response.json()["error"]["message"]) == (422, "what was sent is not valid JSON")


async def test_an_error_of_the_proxy_is_passed_on():
    headers = {"retry-after": "7", "x-litellm-call-id": "c", "content-length": "1", "server": "x"}
    response = await answer(
        {"message": "a"}, refused=ProxyResponseError(429, {"message": "slow down", "param": None}, headers)
    )
    assert response.status_code == 429
    assert response.json() == {"error": {"message": "slow down", "param": None, "type": None, "code": "429"}}
    assert (response.headers["retry-after"], response.headers["x-litellm-call-id"]) == ("7", "c")
    assert "server" not in response.headers


@pytest.mark.parametrize(
    ("data", "name", "written"),
    [
        ("a", "", "data: a\n\n"),
        (" a\nb\r\nc\rd", "", "data:  a\ndata: b\ndata: c\ndata: d\n\n"),
        ({"a": "é\n"}, "meta", 'event: meta\ndata: {"a": "é\\n"}\n\n'),
    ],
)
def test_an_event_follows_the_standard(data, name, written):
    assert sse_event(data, name) == written


def test_the_policy_allows_the_pages_script_and_style_by_hash():
    rules = policy("<style>a</style><script>b</script>")
    assert "script-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='" in rules
    assert "style-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='" in rules
    assert "default-src 'none'" in rules
