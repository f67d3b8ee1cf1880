"""Refusals of the agent's host, and the errors that they become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from custom_handler.errors import (
    AgentFailed,
    AgentForbidden,
    AgentNotFound,
    AgentRejected,
    AgentTimeout,
    ContentFiltered,
    CreditExhausted,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    StackspotError,
    TokenRefused,
    UploadUnknown,
)
from custom_handler.stackspot.agent_errors import DEFAULT_RETRY_AFTER, error_from_response
from custom_handler.stackspot.private import Private

TOO_LONG = "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens."


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer of the agent's host that is no answer, and the error it becomes."""

    id: str
    status: int
    body: Any
    error: type[StackspotError]
    status_code: int
    said: str = ""
    headers: dict[str, str] = field(default_factory=dict)


HOURLY = "Your limit is 100 requests in the last 60 minutes"
MINUTELY = "Your limit is 20 requests in the last 1 minutes"
DAILY = "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes"
FILTER = "Output blocked by content filtering policy"
PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"
LIMIT = {"type": "INFERENCE", "code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", "details": "Rate limit exceeded"}
REFUSALS = [
    Refusal(
        "prompt too long",
        400,
        {"type": "INFERENCE", "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST", "details": TOO_LONG},
        PromptTooLong,
        400,
        "340000 tokens, the limit is 272000",
    ),
    Refusal("prompt too long, as text", 400, TOO_LONG, PromptTooLong, 400, "272000"),
    Refusal("too large", 413, PAGE, PromptTooLong, 400, "too long"),
    Refusal(
        "another bad request",
        400,
        {"code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST", "details": "no"},
        AgentRejected,
        400,
        "INFERENCE_6001",
    ),
    Refusal("a fresh token is refused", 401, None, TokenRefused, 502, "CLIENT_ID"),
    Refusal("not shared", 403, "", AgentForbidden, 403, "not shared with this account"),
    Refusal("no such agent", 404, {"code": "AGENT_NOT_FOUND"}, AgentNotFound, 404, "GENAI_AGENT_ID"),
    Refusal("the account's limit", 429, LIMIT, RateLimited, 429, "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED"),
    Refusal("a limit without a body", 429, "", RateLimited, 429, "10 s"),
    Refusal("a limit with Retry-After", 429, LIMIT, RateLimited, 429, "7 s", {"retry-after": "7"}),
    Refusal("no credit", 429, "Credit Limit Reached", CreditExhausted, 402, "credit"),
    Refusal("no credit, as JSON", 429, {"details": "Credit limit reached"}, CreditExhausted, 402, "credit"),
    Refusal("no credit, as a message", 429, {"message": "Credit Limit Reached"}, CreditExhausted, 402, "credit"),
    Refusal("no credit, under 403", 403, {"message": "Credit Limit Reached"}, CreditExhausted, 402, "credit"),
    Refusal("no credit, by status", 402, "", CreditExhausted, 402, "credit"),
    Refusal("payment", 402, {"code": "PAYMENT_REQUIRED"}, CreditExhausted, 402, "PAYMENT_REQUIRED"),
    Refusal("a limit of an hour", 429, {"details": HOURLY}, RateLimited, 429, "3600 s"),
    Refusal("a limit of a minute", 429, {"details": MINUTELY}, RateLimited, 429, "10 s"),
    Refusal("a daily limit", 429, {"details": DAILY}, QuotaExhausted, 429, "100 requests in 1440 minutes is reached"),
    Refusal("a daily limit as a message", 429, {"message": DAILY}, QuotaExhausted, 429, "1440"),
    Refusal("a daily limit as text", 429, DAILY, QuotaExhausted, 429, "1440"),
    Refusal("a filter", 400, {"details": FILTER}, ContentFiltered, 400, "content filter"),
    Refusal("a filter, as a code", 400, {"error": {"code": "content_filter"}}, ContentFiltered, 400, "content_filter"),
    Refusal("a filter, under 500", 500, {"message": FILTER}, ContentFiltered, 400, FILTER),
    Refusal(
        "a filter, as JSON in a text",
        400,
        {"details": json.dumps({"error": {"message": FILTER}})},
        ContentFiltered,
        400,
    ),
    Refusal("too long, under 500", 500, {"details": TOO_LONG}, PromptTooLong, 400, "340000 tokens"),
    Refusal("too long, without counts", 400, {"details": "Prompt is too long"}, PromptTooLong, 400, "too long"),
    Refusal(
        "too long, as JSON in a text", 400, {"details": json.dumps({"message": TOO_LONG})}, PromptTooLong, 400, "340000"
    ),
    Refusal(
        "throttled",
        400,
        {"details": "ThrottlingException: Too many tokens, please wait"},
        AgentRejected,
        400,
        "Throttling",
    ),
    Refusal("a filter is no limit", 429, {"details": FILTER}, RateLimited, 429, FILTER),
    Refusal("the gateway's patience", 408, PAGE, AgentTimeout, 504, "try again"),
    Refusal("a conflict", 409, None, AgentRejected, 400, "409"),
    Refusal("a redirect", 302, "", AgentRejected, 400, "302"),
    Refusal("an inner error", 500, {"code": "INFERENCE_5000", "details": "x"}, AgentFailed, 500, "INFERENCE_5000"),
    Refusal("a page of the gateway", 502, PAGE, AgentFailed, 502, "502"),
    Refusal("no service", 503, None, AgentFailed, 503, "503"),
    Refusal("too late", 504, PAGE, AgentFailed, 504, "504"),
    Refusal("an unusual error", 520, b"", AgentFailed, 502, "520"),
    Refusal("a body that is a list", 500, ["canary"], AgentFailed, 500),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.id)
def test_an_error_response_becomes_the_error_of_its_row(case):
    error = error_from_response(case.status, case.body, case.headers)
    assert (type(error), error.status_code) == (case.error, case.status_code)
    assert case.said in error.message
    assert "<html" not in error.message
    assert "canary" not in error.message


def test_prompt_too_long_has_the_numbers_of_the_response():
    error = error_from_response(400, {"details": TOO_LONG}, {})
    assert isinstance(error, PromptTooLong)
    assert (error.limit, error.actual) == (272_000, 340_000)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, DEFAULT_RETRY_AFTER),
        ("tomorrow", DEFAULT_RETRY_AFTER),
        ("7", 7),
        ("2.5", 2.5),
        ("0", 1),
        ("-3", 1),
        ("nan", 1),
        ("99999", 3600),
        ("inf", 3600),
    ],
)
def test_a_429_has_the_seconds_of_retry_after(header, seconds):
    error = error_from_response(429, LIMIT, {} if header is None else {"retry-after": header})
    assert error.retry_after == seconds


@pytest.mark.parametrize(("header", "seconds"), [(None, 86_400), ("7200", 7_200), ("tomorrow", 86_400)])
def test_a_daily_limit_tells_how_long_it_lasts_and_is_not_retried(header, seconds):
    error = error_from_response(429, {"details": DAILY}, {} if header is None else {"retry-after": header})
    assert (error.retry_after, error.retryable) == (seconds, False)


SAID = [
    (500, {"code": "INFERENCE_5000", "details": "The model is down"}, "(INFERENCE_5000)", '"The model is down"'),
    (400, {"type": "Validation", "message": "user_prompt must not be blank"}, "(Validation)", "must not be blank"),
    (
        400,
        {"detail": [{"loc": ["body", "user_prompt"], "msg": "Field required", "input": "canary"}]},
        "",
        "body.user_prompt: Field",
    ),
    (401, {"error": "invalid_token", "error_description": "Token expired"}, "", "Token expired"),
    (403, {"code": "FORBIDDEN", "details": "Agent is private"}, "(FORBIDDEN)", "Agent is private"),
    (404, {"code": "NOT_FOUND", "details": "Agent is gone"}, "(NOT_FOUND)", "Agent is gone"),
    (408, "upstream request timeout", "", "upstream request timeout"),
    (429, {"details": "Maximum number of requests reached."}, "", "Maximum number"),
    (429, {"message": "Credit Limit Reached"}, "", "Credit Limit Reached"),
    (503, "upstream connect error", "", "upstream connect error"),
    (500, {"error": {"code": "model_error", "message": "no"}}, "(model_error)", '"no"'),
]


@pytest.mark.parametrize(("status", "body", "code", "details"), SAID)
def test_an_error_says_what_the_platform_says(status, body, code, details):
    error = error_from_response(status, body, {})
    assert code in error.message
    assert 'The platform says: "' in error.message
    assert details in error.message
    assert str(error) == error.message
    assert "canary" not in error.message


def test_an_error_repeats_neither_the_prompt_nor_the_account():
    private = Private(("acme-corp",), "[user]\nmeu segredo é um bolo de chocolate")
    body = {
        "code": "acme-corp",
        "details": "realm acme-corp: 'meu segredo é um bolo' at https://10.0.0.1/v1 is refused",
    }
    message = error_from_response(400, body, {}, private=private).message
    assert not [word for word in ("acme", "segredo", "10.0.0.1") if word in message]
    assert message.endswith('is refused"')


def test_an_unknown_upload_is_known_by_its_text():
    body = {"code": "NOT_FOUND", "details": "Upload 1 not found"}
    assert type(error_from_response(404, body, {}, with_files=True)) is UploadUnknown
    assert type(error_from_response(404, body, {})) is AgentNotFound


@pytest.mark.parametrize("code", ["see https://evil", "a secret", 7, None, ["X"], "X" * 100])
def test_a_code_that_does_not_look_like_one_is_not_shown(code):
    assert str(code) not in error_from_response(500, {"code": code}, {}).message


@pytest.mark.parametrize(("status", "retryable"), [(429, True), (500, True), (408, True), (403, False), (404, False)])
def test_an_error_has_retryable(status, retryable):
    assert error_from_response(status, None, {}).retryable is retryable
