"""The line of a call, converted from LiteLLM's events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_handler.provider.call_log import REPAIRS_IN_LOG, RETRIES_IN_LOG
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.request.context import RequestContext
from custom_handler.telemetry.call_record import CallRecorder

CANARY = "canary-7f3a"


def payload(**changes: Any) -> dict[str, Any]:
    """A payload of LiteLLM's, with a canary in place of content and secrets."""
    default = {
        "litellm_call_id": "call-1",
        "call_type": "acompletion",
        "status": "success",
        "stream": None,
        "custom_llm_provider": "stackspot",
        "model": "stackspot-chat",
        "model_group": "chat",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "startTime": 1000.0,
        "endTime": 1001.5,
        "completionStartTime": 1000.25,
        "metadata": {"user_api_key_request_route": "/v1/messages", "user_api_key_hash": CANARY},
        "messages": [{"role": "user", "content": CANARY}],
        "response": {"choices": [{"message": {"content": CANARY}}]},
        "model_parameters": {"api_key": CANARY},
        "error_information": {},
    }
    return {**default, **changes}


def failed(**changes: Any) -> dict[str, Any]:
    error = {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "groq", "error_message": CANARY}
    return payload(status="failure", error_information=error, **changes)


def event(logged: dict[str, Any], **headers: str) -> dict[str, Any]:
    request = {"headers": {"authorization": CANARY, **headers}, "body": {"stream": True, "messages": CANARY}}
    return {"standard_logging_object": logged, "litellm_params": {"metadata": {}, "proxy_server_request": request}}


def written(*events: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    recorder = CallRecorder(lines.append, **options)
    for one in events:
        recorder.record(one)
    return lines


def test_a_line_names_the_call_and_counts_it():
    logged = event(payload(stream=True), **{"x-request-id": "r-1", "Correlation-Id": "c-1"})
    assert written(logged) == [
        {
            "time": "1970-01-01T00:16:40.000+00:00",
            "request_id": "r-1",
            "call_id": "call-1",
            "correlation_id": "c-1",
            "key": None,
            "route": "/v1/messages",
            "call_type": "acompletion",
            "model": "chat",
            "provider": "stackspot",
            "provider_model": "stackspot-chat",
            "stream": True,
            "latency_ms": 1500.0,
            "time_to_first_token_ms": 250.0,
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            "cost_usd": 0.0,
            "tool_calls": 0,
            "retries": 0,
            "repairs": 0,
            "status": 200,
            "error_class": None,
        }
    ]


def test_a_line_has_what_a_call_cost_and_what_it_took():
    call = {"message": {"tool_calls": [{}, {}]}}
    logged = payload(metadata={"user_api_key_alias": "ana"}, response_cost=0.25, response={"choices": [call]})
    noted = {**event(logged), RETRIES_IN_LOG: 2, REPAIRS_IN_LOG: 1}
    [line] = written(noted)
    assert {name: line[name] for name in ("key", "cost_usd", "tool_calls", "retries", "repairs")} == {
        "key": "ana",
        "cost_usd": 0.25,
        "tool_calls": 2,
        "retries": 2,
        "repairs": 1,
    }


def test_a_whole_answer_has_no_first_token():
    assert written(event(payload(stream=False)))[0]["time_to_first_token_ms"] is None


def test_a_failure_is_recorded_by_status_and_class_only():
    line = written(event(failed(stream=True, custom_llm_provider=None)))[0]
    assert (line["status"], line["error_class"], line["provider"]) == (429, "RateLimitError", "groq")
    assert line["time_to_first_token_ms"] is None


@pytest.mark.parametrize("code", [None, "", "soon"])
def test_a_failure_without_a_status_is_a_500(code):
    assert written(event(payload(status="failure", error_information={"error_code": code})))[0]["status"] == 500


@pytest.mark.parametrize("logged", [payload(), payload(stream=True), failed()], ids=["whole", "streamed", "failed"])
def test_no_content_and_no_secret_is_written(logged):
    assert CANARY not in json.dumps(written(event(logged)))


def test_content_is_written_if_configured():
    line = written(event(payload()), content=True)[0]
    assert line["messages"] == [{"role": "user", "content": CANARY}]
    assert line["response"]["choices"][0]["message"]["content"] == CANARY


def test_content_contains_no_base64_files():
    source = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    shortened = "data:image/png;base64,[base64_data truncated: 10.0KB]"
    parts = [
        {"type": "image", "source": source},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "lido"}},
        {"type": "file", "file": {"file_data": "QUJD", "filename": "a.txt"}},
        {"type": "file", "file": {"file_data": shortened}},
    ]
    logged = event(payload(messages=[{"role": "user", "content": parts}]))
    image, text, bare, known = written(logged, content=True)[0]["messages"][0]["content"]
    assert image["source"] == source | {"data": "[4 characters left out]"}
    assert (text["source"]["data"], bare["file"]["filename"]) == ("lido", "a.txt")
    assert (bare["file"]["file_data"], known["file"]["file_data"]) == ("[4 characters left out]", shortened)


def test_a_failure_reported_three_times_is_one_line():
    lines: list[dict[str, Any]] = []
    recorder = CallRecorder(lines.append)
    logged = failed()
    recorder.record(event(logged))
    recorder.record_blocking(event(logged))
    recorder.record_rejected({"standard_logging_object": logged, "model": "chat"}, ValueError(CANARY), "/v1/messages")
    assert len(lines) == 1


def test_attempts_of_one_call_are_lines_of_their_own():
    assert len(written(event(failed(endTime=1001.0)), event(payload(endTime=1002.0)))) == 2


@pytest.mark.parametrize(("call_type", "lines"), [("completion", 1), ("responses", 1), ("acompletion", 0), ("", 0)])
def test_a_blocking_event_counts_for_blocking_calls(call_type, lines):
    lines_written: list[dict[str, Any]] = []
    CallRecorder(lines_written.append).record_blocking(event(payload(call_type=call_type)))
    assert len(lines_written) == lines


@pytest.mark.parametrize(
    "logged",
    [
        {
            "standard_logging_object": payload(),
            "litellm_params": {"metadata": {"user_api_key": "litellm-internal-health-check"}},
        },
        {"standard_logging_object": payload(request_tags=["litellm-internal-health-check"])},
        {"standard_logging_object": failed(call_type="", model="")},
        {"standard_logging_object": None},
        {},
    ],
    ids=["by its key", "by its tag", "failed early", "without a payload", "empty"],
)
def test_events_that_are_no_call_are_not_written(logged):
    assert written(logged) == []


@pytest.mark.parametrize("metadata", ["metadata", "litellm_metadata"])
def test_no_client_hides_a_call_as_a_health_check(metadata):
    """LiteLLM leaves `user_api_key` and tags of a client in the metadata that it does not write to."""
    sent = event(payload(request_tags=["litellm-internal-health-check"]))
    sent["litellm_params"][metadata] = {"user_api_key": "litellm-internal-health-check"}
    assert len(written(sent)) == 1


def test_a_request_that_never_became_a_call_is_written():
    class Refusal(Exception):
        status_code = 422

    lines: list[dict[str, Any]] = []
    request = {"model": "chat", "litellm_call_id": "call-2", "metadata": {"headers": {"x-request-id": "r-2"}}}
    CallRecorder(lines.append).record_rejected(request, Refusal(CANARY), "/v1/responses")
    line = lines[0]
    assert (line["status"], line["error_class"], line["model"]) == (422, "Refusal", "chat")
    assert (line["request_id"], line["call_id"], line["route"]) == ("r-2", "call-2", "/v1/responses")
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize(("admitted", "status"), [({}, 401), ({"proxy_server_request": {"body": {}}}, 500)])
def test_an_error_is_a_401_until_the_caller_is_authenticated(admitted, status):
    lines: list[dict[str, Any]] = []
    CallRecorder(lines.append).record_rejected({"model": "chat", **admitted}, ValueError(CANARY), "/v1/messages")
    assert lines[0]["status"] == status


def test_the_default_correlation_id_is_the_call_id():
    assert written(event(payload()))[0]["correlation_id"] == "call-1"


def test_the_call_of_a_service_has_the_services_route():
    with RequestContext({"headers": []}, service_route="/chat").served():
        assert written(event(payload()))[0]["route"] == "/chat"


def test_a_request_without_a_model_is_not_written():
    lines: list[dict[str, Any]] = []
    CallRecorder(lines.append).record_rejected({}, ValueError(), "/key/info")
    assert lines == []


async def test_a_line_has_the_ids_of_the_current_request():
    lines: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        CallRecorder(lines.append).record({"standard_logging_object": failed()})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"x-request-id", b"r-3"), (b"x-correlation-id", b"c-3")]
    await ProxyWrapper(app)({"type": "http", "path": "/", "headers": headers}, receive, None)
    assert (lines[0]["request_id"], lines[0]["correlation_id"]) == ("r-3", "c-3")


def test_a_long_model_name_is_truncated():
    assert len(written(event(failed(model="x" * 5000, model_group="")))[0]["model"]) == 200
