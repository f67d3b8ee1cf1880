"""docs/errors.md: each text that it promises, as a caller gets it, with its HTTP status."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from custom_handler import StackspotLLM

ROOT = Path(__file__).resolve().parents[1]
ROWS = dict(
    re.findall(
        r"^\| `([^|]+)` \| (\d{3}|the proxy does not start)", (ROOT / "docs/errors.md").read_text("utf-8"), re.MULTILINE
    )
)
QUICK = 0.4
TICKING = 95.0  # of deadlines that count how often they are asked


@dataclass(frozen=True, slots=True)
class Case:
    """A call that ends in the error with this text: `settings` and `call` say what is unusual about it."""

    text: str
    plays: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    calls_before: int = 0
    messages: Any = ({"role": "user", "content": "Olá"},)


def headers(**given: str) -> dict[str, Any]:
    return {
        "litellm_params": {"metadata": {"headers": {name.replace("_", "-"): value for name, value in given.items()}}}
    }


def params(**given: Any) -> dict[str, Any]:
    return {"optional_params": given}


def polled(**report: Any) -> dict[str, Any]:
    return {"at": "callback", "body": report}


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def one(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


def files(*contents: bytes) -> list[dict[str, Any]]:
    """A message of so many files."""
    parts = [{"type": "file", "file": {"file_data": b64encode(data).decode()}} for data in contents]
    return [{"role": "user", "content": parts}]


UPLOADS = {"uploads": {"enabled": True}}
LOST = {"code": "NOT_FOUND", "details": "Upload 1 not found"}
TOO_LONG = "Input tokens exceed the configured limit of 10 tokens. Your messages resulted in 20 tokens."
BUSY = {"requests_per_minute": 1}
CASES = [
    Case("The header correlation-id is missing", settings={"requests": {"require_correlation_id": True}}),
    Case("correlation-id must have 1 to 128 printable ASCII characters", call=headers(correlation_id="é")),
    Case("messages must be a list with at least one message", messages=()),
    Case(
        "has no result. Send its result in a later message, or leave the call out",
        messages=[{"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "now"}}]}],
    ),
    Case(
        "follows no such call. Send the assistant's message with that call before it",
        messages=[{"role": "tool", "tool_call_id": "c1", "content": "12:00"}],
    ),
    Case("n must be 1", call=params(n=2)),
    Case("logprobs is not supported", call=params(logprobs=True)),
    Case("response_format", call=params(response_format={"type": "xml"})),
    Case("tools, the limit is 2000", call=params(tools=[{"type": "function", "function": {"name": "a"}}] * 2001)),
    Case("max_tokens must be a whole number above zero", call=params(max_tokens=0)),
    Case("The conversation is too long for the agent's model", ({"status": 400, "body": {"details": TOO_LONG}},)),
    Case("the limit: shorten it, or raise STACKSPOT_MAX_PROMPT_CHARS", settings={"requests": {"max_prompt_chars": 2}}),
    Case("of no type that can be uploaded", settings=UPLOADS, messages=files(b"\0")),
    Case(
        "send a smaller one (STACKSPOT_UPLOAD_BYTES)",
        settings={"uploads": {"enabled": True, "max_bytes": 1}},
        messages=files(b"ab"),
    ),
    Case(
        "leave some out (STACKSPOT_UPLOAD_FILES)",
        settings={"uploads": {"enabled": True, "max_files": 1}},
        messages=files(b"a", b"b"),
    ),
    Case("this proxy keeps no files", settings=UPLOADS, messages=one({"type": "file", "file": {"file_id": "file-1"}})),
    Case(
        "the address is not fetched, because",
        settings={"uploads": {"enabled": True, "fetch_urls": True}},
        messages=one({"type": "image_url", "image_url": {"url": "https://127.0.0.1/a.png"}}),
    ),
    Case(
        "The content filter of the agent's model blocked",
        ({"status": 400, "body": {"details": "Output blocked by content filtering policy"}},),
    ),
    Case(
        "It may not know what model_info.",
        ({"status": 422},),
        call={"litellm_params": {"model_info": {"sources": "footer"}}},
    ),
    Case("The agent refuses the request with HTTP", ({"status": 422},)),
    Case("StackSpot is not configured. Missing:", settings={"account": {"client_id": ""}}),
    Case("model_info.conversation is", call={"litellm_params": {"model_info": {"conversation": "on"}}}),
    Case("model_info.knowledge_sources is", call={"litellm_params": {"model_info": {"knowledge_sources": "all"}}}),
    Case("model_info.cache is", call={"litellm_params": {"model_info": {"cache": "all"}}}),
    Case(
        "model_info.web_search is",
        call={"litellm_params": {"model_info": {"web_search": "nosuch"}}} | params(web_search_options={}),
    ),
    Case("model_info.selected_model is", call={"litellm_params": {"model_info": {"selected_model": 5}}}),
    Case("model_info.resume_streams is", call={"litellm_params": {"model_info": {"resume_streams": "yes"}}}),
    Case("model_info.compact_tools is", call={"litellm_params": {"model_info": {"compact_tools": "yes"}}}),
    Case("model_info.account is", call={"litellm_params": {"model_info": {"account": "team-b"}}}),
    Case("No StackSpot agent is configured", settings={"account": {"agent_id": ""}}),
    Case("StackSpot refuses CLIENT_ID and CLIENT_SECRET", settings={"account": {"client_secret": "old"}}),
    Case("refuses the credentials that the account", settings={"account": {"client_secret": "old", "label": "team-b"}}),
    Case("StackSpot does not know the realm", settings={"account": {"realm": "elsewhere"}}),
    Case("The identity service gave no token", ({"at": "token", "status": 500},)),
    Case("The identity service cannot be reached", settings={"account": {"idm_url": nobody()}}),
    Case("The agent is not shared with this account", ({"status": 403},)),
    Case("There is no such agent", ({"status": 404},)),
    Case("requests are used up", ({"status": 429},)),
    Case(
        "minutes is reached",
        ({"status": 429, "body": {"details": "Your limit is 100 requests in the last 1440 minutes"}},),
    ),
    Case(
        "This StackSpot account may not upload files", ({"at": "upload", "status": 403},), UPLOADS, messages=files(b"a")
    ),
    Case("The StackSpot account has no credit left", ({"status": 429, "body": "Credit Limit Reached"},)),
    Case("The agent cannot be reached", settings={"account": {"inference_url": nobody()}}),
    Case("The agent's side failed with HTTP", ({"status": 502},)),
    Case("The agent reports an error in its answer", ({"fault": "error_frame", "after": 0},)),
    Case("The file service failed with HTTP", ({"at": "upload", "status": 503},), UPLOADS, messages=files(b"a")),
    Case("The file storage failed with HTTP", ({"at": "storage", "status": 503},), UPLOADS, messages=files(b"a")),
    Case(
        "does not know a file that was uploaded for it",
        ({"status": 404, "body": LOST, "times": 2},),
        UPLOADS,
        messages=files(b"a"),
    ),
    Case("There is no Quick Command", call={"model": "quick-command/nothing"}),
    Case("is not shared with this account (HTTP 403)", call={"model": "quick-command/private"}),
    Case(
        "is a Quick Command that reads the last user message only",
        call={"model": "quick-command/explain", **params(response_format={"type": "json_object"})},
    ),
    Case(
        "model_info.quick_command in config.yaml must hold",
        call={"model": "quick-command/explain", "litellm_params": {"model_info": {"quick_command": {}}}},
    ),
    Case("failed on the platform, which names no reason", call={"model": "quick-command/broken"}),
    Case(
        "ended without a result", (polled(progress={"status": "COMPLETED"}),), call={"model": "quick-command/explain"}
    ),
    Case(
        "refuses its input with HTTP",
        ({"at": "execution", "status": 400},),
        call={"model": "quick-command/explain"},
    ),
    Case(
        "may have been started",
        ({"at": "execution", "fault": "close_before"},),
        call={"model": "quick-command/explain"},
    ),
    Case("has no execution id", ({"at": "execution", "body": {}},), call={"model": "quick-command/explain"}),
    Case("The agent refuses a fresh token", ({"status": 401}, {"status": 401})),
    Case("The connection to the agent broke within its answer", ({"fault": "reset_within", "pieces": ["a", "b"]},)),
    Case("The agent sent nothing for", ({"fault": "hang_headers"},), call={"timeout": QUICK}),
    Case("The agent sent no text within", ({"fault": "endless_empty"},), call={"timeout": TICKING}),
    Case("The agent did not finish within", ({"pieces": ["a"] * 100, "cadence": 0.05},), call={"timeout": TICKING}),
    Case("The agent sent a frame of more than", ({"fault": "endless_frame"},)),
    Case("nested too deep to be read", ({"frames": ["[" * 100_000]},)),
    Case("holds no frame that can be read", ({"raw": [b64encode(b"<html>Good morning</html>").decode()]},)),
    Case(
        "calls wait for the StackSpot account already", settings={"limits": BUSY | {"max_waiting": 0}}, calls_before=1
    ),
    Case("requests of 24 hours are used up", settings={"limits": {"requests_per_day": 1}}, calls_before=1),
    Case("no place came free in time", settings={"limits": BUSY | {"queue_timeout": 0.1}}, calls_before=1),
]
# Those of the proxy itself: the test that meets each with its text.
ELSEWHERE = {
    "this proxy does not know the API key": "tests/proxy/test_keys_file.py",
    "The code of this address was used, is older than five minutes": "tests/api/test_playground_session.py",
    "only in a browser on the proxy's own machine": "tests/api/test_playground_session.py",
    "Ask the proxy's operator to add the path to the key's routes": "tests/proxy/test_keys_file.py",
    "does not know that response of this API key": "tests/history/test_history.py",
    "the conversation of that response was not kept": "tests/history/test_history.py",
    "of this API key to refer to. Send the item itself": "tests/history/test_history.py",
    "a request can refer to 1000 items": "tests/history/test_history.py",
    "the input has no mcp_approval_request": "tests/proxy/test_mcp_calls.py",
    "connects agents to the MCP servers of its own configuration only": "tests/e2e/test_mcp.py",
    "The key is not allowed to access the requested MCP servers": "tests/e2e/test_mcp_choices.py",
    "MCP servers are not supported on this protocol": "tests/e2e/test_mcp.py",
    "was the approval of another call before": "tests/history/test_approved_calls.py",
    "an earlier request with this approval has started the call": "tests/history/test_approved_calls.py",
    "so the approved call was not made": "tests/history/test_approved_calls.py",
    "name the MCP server of the call in tools again": "tests/proxy/test_mcp_calls.py",
    "This proxy has no response": "tests/e2e/test_responses.py",
    "This proxy keeps no responses": "tests/history/test_response_routes.py",
    "The store of responses cannot be read right now": "tests/history/test_history.py",
    "a kept response cannot be streamed again": "tests/e2e/test_responses.py",
    "Cannot cancel a synchronous response": "tests/e2e/test_responses.py",
    "the response has no input item": "tests/history/test_response_routes.py",
    "This model cannot compact a conversation": "tests/e2e/test_responses.py",
    "Send the whole conversation in input": "tests/proxy/test_validation_bridges.py",
    "The request is nested deeper than": "tests/proxy/test_content_limits.py",
    "messages, the limit is 10000: send fewer": "tests/proxy/test_content_limits.py",
    "fields, the limit is 500: leave some out": "tests/proxy/test_content_limits.py",
    "entries, the limit is 100: send fewer": "tests/proxy/test_content_limits.py",
    "values, the limit is 50000: send fewer": "tests/proxy/test_content_limits.py",
    "characters, the limit is 1000: ask for one of GET /v1/models": "tests/proxy/test_content_limits.py",
    "The request has NaN, Infinity or a number that is too large": "tests/proxy/test_content_limits.py",
    "values: send fewer messages, parts or tools": "tests/proxy/test_body_limit.py",
    "The form has more than 10000 fields": "tests/proxy/test_body_limit.py",
    "The request is larger than 32 MiB": "tests/proxy/test_body_limit.py",
    "The Quick Command 'explain' did not finish within": "tests/stackspot/test_executions.py",
    "had no place for its last polls": "tests/stackspot/test_executions.py",
    "did not start within": "tests/stackspot/test_executions.py",
    "does not know the execution of the Quick Command": "tests/stackspot/test_executions.py",
    "has used its share of the StackSpot account's requests": "tests/stackspot/test_fairness.py",
    "This route needs a database": "tests/e2e/test_intruders.py",
    "is not listed: ask for one of GET /v1/models": "tests/e2e/test_agents.py",
    "is not available for this API key": "tests/e2e/test_agents.py",
    "body is not valid UTF-8: encode it as UTF-8": "tests/proxy/test_body_limit.py",
    "must have printable characters of Latin-1 only": "tests/proxy/test_field_types.py",
    "Budget has been exceeded! Key=": "tests/e2e/test_budgets.py",
    "is disabled, because": "tests/e2e/test_models_and_health.py",
    "does not start, because STARTUP_CHECK is strict": "tests/e2e/test_observability.py",
}


def test_every_documented_error_is_met_somewhere():
    assert ROWS.keys() == {case.text for case in CASES} | ELSEWHERE.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)
def test_a_documented_error_says_what_is_documented(
    case: Case, ask: Callable[..., Any], settings: Any, simulator: Any, request: pytest.FixtureRequest
):
    if any(play.get("fault") == "hang_headers" for play in case.plays):
        request.getfixturevalue("stopped_deadlines")
    if case.call.get("timeout") == TICKING:
        assert request.getfixturevalue("ticking_deadlines") == TICKING
    simulator.script(*case.plays)
    provider = StackspotLLM(settings.changed(**case.settings))
    if "timeout" in case.call:
        provider.authenticate()  # which takes nothing of the timeout then
    for _ in range(case.calls_before):
        ask(provider, list(case.messages))
    with pytest.raises(Exception) as raised:
        ask(provider, list(case.messages), **case.call)
    assert case.text in str(raised.value)
    assert str(raised.value.status_code) == ROWS[case.text]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_the_other_texts_are_asserted_where_they_are_met(text: str):
    assert text in (ROOT / ELSEWHERE[text]).read_text(encoding="utf-8").replace("\\.", ".")
