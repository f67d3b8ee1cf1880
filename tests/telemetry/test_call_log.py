"""The log line of each call."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from litellm._logging import JsonFormatter
from litellm.constants import LITELLM_PROXY_MASTER_KEY_ALIAS

from custom_handler.instrumentation import Repaired
from custom_handler.proxy.logs import ExpectedErrors
from custom_handler.proxy.middleware.error_bodies import clean_report
from custom_handler.proxy.middleware.request_id import RequestIdFilter
from custom_handler.proxy.middleware.wrap import ProxyWrapper
from custom_handler.telemetry import call_log as module
from custom_handler.telemetry.call_log import CallLog
from custom_handler.telemetry.call_record import CallRecorder
from tests.support.waiting import eventually_async
from tests.telemetry.test_call_record import CANARY, event, failed, payload

OK = payload(stream=True, model_id="m-1")


def scope_of(path: str, **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": raw}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def receive_disconnect() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def send(message: Any) -> None:
    pass


def serve(
    call_log: CallLog, app: Any, path: str = "/v1/chat/completions", *, disconnects: bool = False, **headers: str
) -> None:
    """Serve one request and log it."""

    async def run() -> None:
        received = receive_disconnect if disconnects else receive
        await ProxyWrapper(app, [call_log])(scope_of(path, **headers), received, send)
        call_log.flush()

    asyncio.run(run())


def answering(status: int, *reports: Any) -> Any:
    """An application that responds, and during whose response LiteLLM reports."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        for report in reports:
            report()
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="custom_handler.calls")
    return caplog


def fields(log: Any) -> dict[str, str]:
    """Return the fields of the only line."""
    (record,) = [record for record in log.records if record.name == "custom_handler.calls"]
    head, *words = record.getMessage().split(" ")
    assert head == "call"
    return dict(word.split("=") for word in words)


def recorder_of(call_log: CallLog) -> CallRecorder:
    return CallRecorder(lambda line: None, on_line=call_log.add_report)


SUCCEEDED = {
    "request_id": "r-1",
    "correlation_id": "c-1",
    "key": "team%20a",
    "model": "chat",
    "status": "200",
    "first_token": "0.25",
    "tokens": "3/4",
    "tool_calls": "0",
    "repairs": "1",
    "upstream": "stackspot/stackspot-chat",
}


def test_a_call_that_succeeds_is_one_line(log):
    call_log = CallLog()
    metadata = {"user_api_key_alias": "team a", "user_api_key_hash": CANARY}
    report = partial(recorder_of(call_log).record, event({**OK, "metadata": metadata}))
    repair = partial(call_log, Repaired("json", succeeded=True))
    serve(call_log, answering(200, report, report, repair), x_request_id="r-1", correlation_id="c-1")
    shown = fields(log)
    assert float(shown.pop("seconds")) >= 0
    assert shown == SUCCEEDED
    assert (log.records[0].levelno, CANARY in log.text) == (logging.INFO, False)


def test_a_retry_that_succeeds_is_one_line_with_the_last_attempt(log):
    call_log = CallLog()
    recorder = recorder_of(call_log)
    first, last = event(failed(endTime=1000.5)), event(OK)
    serve(call_log, answering(200, lambda: recorder.record(first), lambda: recorder.record(last)))
    assert fields(log)["status"] == "200"


def test_a_stream_that_fails_after_200_is_logged_as_failed(log):
    call_log = CallLog()
    recorder = recorder_of(call_log)
    serve(call_log, answering(200, lambda: recorder.record(event(failed()))))
    assert (fields(log)["status"], log.records[0].levelno) == ("429", logging.WARNING)


def test_a_call_without_a_report_is_logged(log):
    call_log = CallLog()
    serve(call_log, answering(422), "/chat", correlation_id="c-9")
    assert (fields(log)["status"], fields(log)["correlation_id"], fields(log)["model"]) == ("422", "c-9", "-")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/images/generations"])
async def test_a_report_after_the_response_is_awaited(log, path):
    call_log = CallLog()
    recorder = recorder_of(call_log)
    loop = asyncio.get_running_loop()
    app = answering(200, lambda: loop.call_soon(recorder.record, event(OK)))
    await ProxyWrapper(app, [call_log])(scope_of(path), receive, send)
    await eventually_async(lambda: log.records)
    assert (fields(log)["status"], fields(log)["tokens"]) == ("200", "3/4")


def test_a_client_that_left_before_its_request_was_read_is_a_499(log):
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    serve(CallLog(), refuse, disconnects=True)
    assert fields(log)["status"] == "499"


def test_a_report_is_awaited_until_the_timeout(log, monkeypatch):
    monkeypatch.setattr(module, "REPORT_TIMEOUT", 0)
    call_log = CallLog()
    serve(call_log, answering(200))
    assert fields(log)["status"] == "200"


def test_a_client_that_disconnects_is_a_499(log):
    call_log = CallLog()
    serve(call_log, answering(200), disconnects=True)
    assert (fields(log)["status"], log.records[0].levelno) == ("499", logging.WARNING)


@pytest.mark.parametrize("path", ["/ingest", "/key/generate", "/v1/messages/count_tokens"])
def test_other_requests_are_not_logged(log, path):
    serve(CallLog(), answering(200), path)
    assert log.records == []


def test_values_from_clients_cannot_forge_a_field(log):
    call_log = CallLog()
    recorder = recorder_of(call_log)
    evil = 'x] status=200\nINFO [y"é'
    serve(call_log, answering(400, lambda: recorder.record_rejected({"model": evil}, ValueError(), None)))
    shown = fields(log)
    assert (shown["model"], shown["upstream"]) == ("x%5D%20status%3D200%0AINFO%20%5By%22%C3%A9", "-")


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"user_api_key_hash": LITELLM_PROXY_MASTER_KEY_ALIAS}, "master"),
        ({"user_api_key_hash": CANARY}, "-"),
        ({"user_api_key_alias": "ci", "user_api_key_hash": CANARY}, "ci"),
        ({"user_api_key_alias": "master", "user_api_key_hash": CANARY}, "master%20%28virtual%20key%29"),
    ],
)
def test_a_key_is_logged_by_name_only(log, metadata, key):
    recorder_of(CallLog()).record(event({**OK, "metadata": metadata}))
    assert fields(log)["key"] == key


def test_the_key_of_a_rejected_request_is_logged(log):
    recorder = recorder_of(CallLog())
    for alias, key in (("ci", "a-hash"), ("master", "a-hash"), (None, LITELLM_PROXY_MASTER_KEY_ALIAS)):
        caller = SimpleNamespace(key_alias=alias, api_key=key)
        recorder.record_rejected({"model": "chat"}, ValueError(), "/v1/messages", caller)
    assert [record.key for record in log.records] == ["ci", "master (virtual key)", "master"]


@pytest.mark.parametrize(
    ("response", "count"),
    [
        ({"choices": [{"message": {"tool_calls": [{}, {}]}}]}, 2),
        ({"choices": [{"message": {"function_call": {"name": "f"}}}]}, 1),
        ({"output": [{"type": "message"}, {"type": "function_call"}]}, 1),
        ({"content": [{"type": "text"}, {"type": "tool_use"}]}, 1),
        ("redacted", 0),
        (None, 0),
    ],
)
def test_tool_calls_of_every_protocol_are_counted(log, response, count):
    recorder_of(CallLog()).record(event({**OK, "response": response}))
    assert fields(log)["tool_calls"] == str(count)


def test_the_json_form_has_the_same_keys(log):
    recorder_of(CallLog()).record(event(OK, **{"x-request-id": "r-7", "correlation-id": "c 7"}))
    (record,) = log.records
    RequestIdFilter().filter(record)
    logged = json.loads(JsonFormatter().format(record))
    assert set(fields(log)) <= set(logged)
    assert (logged["request_id"], logged["correlation_id"], logged["status"], logged["tool_calls"]) == (
        "r-7",
        "c 7",
        200,
        0,
    )


class Refusal(Exception):
    def __init__(self, status: int, provider: str = "") -> None:
        super().__init__("what failed\nTraceback (most recent call last):\n  File x")
        self.status_code = status
        self.llm_provider = provider


@pytest.mark.parametrize(
    ("error", "level", "has_traceback"),
    [
        (Refusal(404), logging.INFO, False),
        (Refusal(500, "groq"), logging.INFO, False),
        (Exception("No api key passed in."), logging.INFO, False),
        (ValueError("Rejected Request: user_config is not allowed in request body."), logging.INFO, False),
        (Refusal(500), logging.INFO, True),
        (KeyError("x"), logging.INFO, True),
        (Refusal(404), logging.DEBUG, True),
    ],
)
def test_only_internal_errors_are_logged_with_a_traceback(error, level, has_traceback):
    logger = logging.getLogger("tests.expected-errors")
    logger.setLevel(level)
    record = logger.makeRecord("proxy", logging.ERROR, "f", 1, "It failed: %s", (error,), (type(error), error, None))
    assert ExpectedErrors(logger).filter(record)
    assert ((record.exc_info is not None), "It failed" in record.getMessage()) == (has_traceback, True)
    assert has_traceback or "Traceback" not in record.getMessage()


@pytest.mark.parametrize(("level", "kept"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_an_answer_that_litellm_has_logged_already_is_not_logged_as_a_failure(level, kept):
    logger = logging.getLogger("tests.logged-twice")
    logger.setLevel(level)
    text = "[Non-Blocking] LiteLLM.Success_Call Error: Google GenAI Generate Content: httpx_response is None"
    error = Exception(text)
    record = logger.makeRecord("proxy", logging.ERROR, "f", 1, "%s", (error,), (Exception, error, None))
    assert ExpectedErrors(logger).filter(record) is kept


def test_health_errors_contain_no_addresses_and_paths():
    error = (
        "litellm.AuthenticationError: no key for http://10.0.0.7:9000/v1 (10.0.0.7:9000) in /etc/app/keys.yaml"
        '\nstack trace: Traceback (most recent call last):\n  File "/usr/lib/x.py", line 3'
    )
    body = {"unhealthy_endpoints": [{"model": "groq/llama-3", "api_base": "http://10.0.0.7", "error": error}]}
    (endpoint,) = json.loads(clean_report(json.dumps(body).encode()))["unhealthy_endpoints"]
    assert endpoint["model"] == "groq/llama-3"
    assert endpoint["error"].startswith("litellm.AuthenticationError: no key for (address left out)")
    for hidden in ("10.0.0.7", "9000", "keys.yaml", "Traceback", "/usr"):
        assert hidden not in json.dumps(endpoint)
