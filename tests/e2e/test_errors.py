"""Failures as clients of the three protocols meet them: the right status, a message that helps, and nothing locked."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.support.protocols import MODEL, PATHS, STREAMED, ask_chat, ask_messages, ask_responses, body
from tests.support.proxy import Proxy, Simulator, running_proxy

FILTERED = {
    "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST",
    "details": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
}
DAILY = {
    "code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED",
    "details": "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes",
}
EVENT = base64.b64encode(b'event: error\ndata: {"message": "Boom"}\n\n').decode()
TOO_LONG = {
    "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST",
    "details": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens.",
}


@dataclass(frozen=True)
class Failure:
    id: str
    play: dict[str, Any]
    status: int
    says: str
    retry_after: str | None = None


FAILURES = [
    Failure("prompt too long", {"status": 400, "body": TOO_LONG}, 400, "340000 tokens, the limit is 272000"),
    Failure("another 400", {"status": 400, "body": {"code": "X_1"}}, 400, "refuses the request with HTTP 400"),
    Failure("forbidden agent", {"status": 403}, 403, "not shared with this account"),
    Failure("unknown agent", {"status": 404}, 404, "no such agent"),
    # The pause that follows is one of the queue, and the next call waits for its end.
    Failure("rate limit", {"status": 429, "headers": {"Retry-After": "1"}}, 429, "try again in 1 s", "1"),
    Failure("a daily limit", {"status": 429, "body": DAILY}, 429, "100 requests in 1440 minutes is reached", "86400"),
    Failure("no credit", {"status": 429, "body": "Credit Limit Reached"}, 402, "no credit left"),
    Failure("no credit, as JSON", {"status": 429, "body": {"message": "Credit Limit Reached"}}, 402, "no credit left"),
    Failure("no credit, by status", {"status": 402}, 402, "no credit left"),
    Failure("a content filter", {"status": 400, "body": FILTERED}, 400, "content filter of the agent's model blocked"),
    Failure("no text for tokens", {"fault": "null_message"}, 400, "content filter of the agent's model blocked"),
    Failure(
        "another vendor's overflow", {"status": 500, "body": {"message": "Prompt is too long"}}, 400, "is too long for"
    ),
    Failure(
        "a riddle", {"status": 400, "body": {"code": "X_1", "details": "Tool x is broken"}}, 400, '"Tool x is broken"'
    ),
    Failure("failure of the agent", {"status": 500}, 500, "HTTP 500"),
    Failure("the gateway's error page", {"fault": "html_502"}, 502, "HTTP 502"),
    Failure("unavailable", {"status": 503}, 503, "HTTP 503"),
    Failure("timeout of the gateway", {"status": 504}, 504, "HTTP 504"),
    Failure("reset before an answer", {"fault": "reset_before"}, 503, "cannot be reached"),
    Failure("an error instead of text", {"fault": "error_frame", "after": 0}, 502, "reports an error in its answer"),
    Failure("an error event instead of text", {"raw": [EVENT]}, 502, '"Boom"'),
    Failure("an error as a body of 200", {"status": 200, "body": {"type": "error", "message": "Boom"}}, 502, '"Boom"'),
    Failure("no frame at all", {"raw": []}, 502, "no frame that can be read"),
    Failure("a token refused for ever", {"status": 401, "times": 2}, 502, "refuses a fresh token"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
def test_a_failure_before_the_first_text_has_its_own_status(
    proxy: Proxy, simulator: Simulator, failure: Failure, path: str, stream: bool
) -> None:
    simulator.script(failure.play)
    answer = proxy.post(path, body(path, "Oi", stream=stream))
    assert (answer.status_code, answer.headers.get("retry-after")) == (failure.status, failure.retry_after)
    assert failure.says in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text
    assert proxy.post(path, body(path, "Oi", stream=stream)).status_code == 200, "one failing call locks the model"


def test_an_error_has_the_openai_shape_and_the_sdks_own_class(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script({"status": 404})
    client = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0)
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="stackspot-chat", messages=[{"role": "user", "content": "Oi"}], stream=True
        )
    assert set(caught.value.body) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", PATHS)
def test_a_failure_within_the_answer_is_told_in_the_stream(proxy: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"pieces": ["Era uma ", "vez "], "fault": "reset_within", "after": 2, "cadence": 0.05})
    answer = proxy.post(path, body(path, "Conte", stream=True))
    assert answer.status_code == 200
    assert "Era uma" in answer.text
    assert "broke within its answer" in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", ["error_frame", "error_event"])
def test_an_error_frame_within_the_answer_is_told_in_the_stream(
    proxy: Proxy, simulator: Simulator, fault: str, path: str
) -> None:
    simulator.script({"pieces": ["Era uma ", "vez "], "fault": fault, "after": 2, "cadence": 0.05})
    answer = proxy.post(path, body(path, "Conte", stream=True))
    assert answer.status_code == 200
    assert "Era uma" in answer.text
    assert "reports an error in its answer (INFERENCE_5000_INTERNAL_ERROR)" in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", ["error_frame", "error_event"])
def test_an_error_frame_within_a_whole_answer_is_an_error(
    proxy: Proxy, simulator: Simulator, fault: str, path: str
) -> None:
    simulator.script({"pieces": ["Era uma ", "vez "], "fault": fault, "after": 2})
    answer = proxy.post(path, body(path, "Conte", stream=False))
    assert (answer.status_code, "reports an error in its answer" in answer.text) == (502, True)


@STREAMED
def test_the_sdks_know_a_content_filter_and_a_prompt_that_is_too_long(
    client: openai.OpenAI, proxy: Proxy, simulator: Simulator, stream: bool
) -> None:
    codes = {"content_policy_violation": FILTERED, "context_length_exceeded": TOO_LONG}
    with anthropic.Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0) as claude:
        for code, refusal in codes.items():
            simulator.script(*[{"status": 400, "body": refusal}] * 3)
            for ask in (ask_chat, ask_responses):
                with pytest.raises(openai.BadRequestError) as raised:
                    ask(client, "Oi", stream=stream)
                assert raised.value.code == code
            with pytest.raises(anthropic.BadRequestError) as refused:
                ask_messages(claude, "Oi", stream=stream)
            assert refused.value.body["error"]["type"] == "invalid_request_error"


@STREAMED
def test_a_content_filter_after_text_is_a_finish_reason(proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    plays = [{"pieces": ["Era"], "fault": "error_frame", "body": FILTERED}, {"text": "Era", "stop_reason": "SAFETY"}]
    for play in plays:
        simulator.script(play, play)
        answer = proxy.post(PATHS[0], body(PATHS[0], "Conte", stream=stream))
        assert answer.status_code == 200
        assert answer.text.count("Era") == 1
        assert re.search(r'"finish_reason": ?"content_filter"', answer.text)
        with anthropic.Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0) as claude:
            message = ask_messages(claude, "Conte", stream=stream)
        assert (message.content[0].text, message.stop_reason) == ("Era", "refusal")


def test_an_sdk_does_not_retry_a_limit_that_lasts_for_hours(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script(*[{"status": 429, "body": DAILY}] * 9)
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key) as patient, pytest.raises(openai.RateLimitError):
        ask_chat(patient, "Oi")
    with anthropic.Anthropic(base_url=proxy.url, api_key=proxy.key) as claude, pytest.raises(anthropic.RateLimitError):
        ask_messages(claude, "Oi")
    assert len(simulator.requests()) == 2


@STREAMED
def test_a_text_completion_has_the_wait_of_a_limit_before_its_first_text(
    proxy: Proxy, simulator: Simulator, stream: bool
) -> None:
    asked = {"model": MODEL, "prompt": "Oi", "stream": stream}
    simulator.script({"status": 429, "body": DAILY})
    refused = proxy.post("/v1/completions", asked)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "86400")
    assert "No fallback was attempted" in refused.json()["error"]["message"], "the router has not seen the error"
    simulator.script({"text": "Olá, Ana."})
    answer = proxy.post("/v1/completions", asked)
    assert answer.status_code == 200
    events = re.findall(r"^data: (\{.*)$", answer.text, re.MULTILINE) if stream else [answer.text]
    choices = [json.loads(event)["choices"][0] for event in events]
    assert "".join(choice.get("text") or "" for choice in choices) == "Olá, Ana."
    assert choices[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_key_is_a_401(proxy: Proxy, path: str) -> None:
    answer = httpx.post(f"{proxy.url}{path}", json=body(path, "Oi", stream=False), trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_makes_no_sense_is_a_400_that_names_the_field(
    proxy: Proxy, simulator: Simulator, stream: bool
) -> None:
    asked = body(PATHS[0], "Oi", stream=stream) | {"tool_choice": "required"}
    answer = proxy.post(PATHS[0], asked)
    assert answer.status_code == 400
    assert "tool_choice" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("environ", "status", "says"),
    [
        ({"STACKSPOT_CLIENT_SECRET": "wrong"}, 502, "refuses CLIENT_ID and CLIENT_SECRET, for the realm in REALM"),
        ({"STACKSPOT_CLIENT_ID": "", "STACKSPOT_CLIENT_SECRET": ""}, 503, "Missing: CLIENT_ID, CLIENT_SECRET. Set it"),
    ],
    ids=["wrong", "missing"],
)
def test_what_is_wrong_with_the_gateways_own_settings_is_named_and_is_no_401(
    simulator: Simulator, tmp_path: Path, environ: dict[str, str], status: int, says: str
) -> None:
    with running_proxy(tmp_path / "log", **(simulator.environ | environ)) as proxy:
        for stream in (False, True):
            answer = proxy.post(PATHS[0], body(PATHS[0], "Oi", stream=stream))
            assert answer.status_code == status, answer.text
            assert says in answer.json()["error"]["message"]
        answer = httpx.get(f"{proxy.url}/health", headers=proxy.headers, timeout=60, trust_env=False)
        unhealthy = answer.json()["unhealthy_endpoints"]
        [ours] = [model for model in unhealthy if model.get("model") == "stackspot/stackspot-chat"]
        assert says in ours["error"]
        assert all(internal not in answer.text for internal in ("Traceback", "site-packages", ".py", proxy.url))


def test_a_required_correlation_id_that_is_missing_is_a_400_that_names_the_header(
    simulator: Simulator, tmp_path: Path
) -> None:
    with running_proxy(tmp_path / "log", STACKSPOT_REQUIRE_CORRELATION_ID="true", **simulator.environ) as proxy:
        for path in PATHS:
            refused = proxy.post(path, body(path, "Oi", stream=True))
            assert (refused.status_code, "correlation-id" in refused.text) == (400, True)
            assert proxy.post(path, body(path, "Oi", stream=True), **{"x-correlation-id": "c-1"}).status_code == 200
        health = httpx.get(f"{proxy.url}/health", headers=proxy.headers, timeout=60, trust_env=False).json()
        assert "stackspot/stackspot-chat" in {model["model"] for model in health["healthy_endpoints"]}


def test_a_correlation_id_that_could_forge_a_log_line_is_refused(proxy: Proxy, simulator: Simulator) -> None:
    answer = proxy.post(PATHS[0], body(PATHS[0], "Oi", stream=False), **{"correlation-id": "x" * 129})
    assert (answer.status_code, "1 to 128 printable" in answer.text) == (400, True)


@pytest.mark.parametrize("prompt", ["", [""]])
@STREAMED
def test_an_empty_prompt_is_refused_by_its_own_name(proxy: Proxy, prompt: str | list[str], stream: bool) -> None:
    refused = proxy.post("/v1/completions", {"model": MODEL, "prompt": prompt, "stream": stream})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt"), refused.text
