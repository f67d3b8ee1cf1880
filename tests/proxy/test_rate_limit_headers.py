"""The headers that say what a caller may still send."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from custom_handler.proxy.middleware.rate_limit_headers import duration, rate_limit_headers
from custom_handler.proxy.middleware.wrap import wrap
from custom_handler.request.caller import Allowance
from custom_handler.request.context import report_allowance

OPENAI = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (1, "1s"), (60, "1m0s"), (61, "1m1s"), (360, "6m0s"), (86460, "24h1m0s")]
)
def test_durations_are_written_as_openai_does(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_only_messages_have_the_names_of_anthropic() -> None:
    now = datetime(2026, 11, 28, 10, 0, 59, 999_999, tzinfo=timezone.utc)
    headers = rate_limit_headers(Allowance(90, 3, 0.2), "/v1/messages", now)
    assert list(headers) == [
        *OPENAI,
        *(f"anthropic-ratelimit-requests-{name}" for name in ("limit", "remaining", "reset")),
    ]
    assert headers["x-ratelimit-reset-requests"] == "1s"
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-11-28T10:01:00Z"
    for path in ("/v1/chat/completions", "/v1/messages/count_tokens"):
        assert tuple(rate_limit_headers(Allowance(90, 3, 0.2), path, now)) == OPENAI


async def response_headers(status: int, allowance: Allowance | None, **own: str) -> dict[str, str]:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        report_allowance(allowance)
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in own.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    app: Any = SimpleNamespace(middleware_stack=serve)
    wrap(app)
    await app.middleware_stack({"type": "http", "path": "/v1/responses", "headers": []}, receive, send)
    return {name.decode(): value.decode() for name, value in sent[0]["headers"] if name != b"x-request-id"}


@pytest.mark.parametrize("status", [200, 429])
async def test_they_replace_those_of_litellm(status: int) -> None:
    headers = await response_headers(status, Allowance(45, 7, 61), x_ratelimit_limit_requests="1000")
    assert headers == dict(zip(OPENAI, ("45", "7", "1m1s"), strict=True))


async def test_a_response_without_a_call_of_an_agent_has_none() -> None:
    assert await response_headers(200, None, x_ratelimit_limit_requests="1000") == {
        "x-ratelimit-limit-requests": "1000"
    }


@pytest.mark.parametrize("provider", ["stackspot", "openai"])
async def test_the_answer_of_a_fallback_keeps_the_headers_of_its_provider(provider: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        "custom_handler.proxy.middleware.rate_limit_headers.response_provider",
        lambda headers: provider if headers.get("x-litellm-model-id") == "m" else None,
    )
    own = {"x_litellm_model_id": "m", "x_ratelimit_limit_requests": "1000"}
    answer = await response_headers(200, Allowance(45, 7, 61), **own)
    assert answer["x-ratelimit-limit-requests"] == ("45" if provider == "stackspot" else "1000")
    error = await response_headers(500, Allowance(45, 7, 61), **own)
    assert error["x-ratelimit-limit-requests"] == "45"
