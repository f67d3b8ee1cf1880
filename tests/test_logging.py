"""Log messages: their loggers, levels, correlation ids, and no content."""

from __future__ import annotations

import logging
import re
from typing import Any

import openai
import pytest

from custom_handler import StackspotLLM

CALL = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "canary-argument"}\nFUNCTION_CALL_END'
HEADERS = {"headers": {"correlation-id": "talk-7"}}
QUESTION = [{"role": "system", "content": "canary-system"}, {"role": "user", "content": "canary-question"}]


@pytest.fixture
def log(caplog):
    """All log records."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="custom_handler")
    return caplog


def lines(log: Any, level: int) -> list[str]:
    """Return the messages of the package at that level."""
    ours = [record for record in log.records if record.name.split(".")[0] == "custom_handler"]
    return [record.getMessage() for record in ours if record.levelno == level]


def found(pattern: str, messages: list[str]) -> bool:
    return len([line for line in messages if re.fullmatch(pattern, line)]) == 1


def test_a_call_logs_each_of_its_stages(ask, provider, simulator, weather, log):
    simulator.script({"text": f"Um momento.\n{CALL}\n{CALL.replace('canary-argument', 'Recife')}"})
    ask(provider, QUESTION, **weather, **HEADERS)
    info, debug = lines(log, logging.INFO), lines(log, logging.DEBUG)
    assert found(r"Authentication succeeded in \d+\.\d{3} s, the token lives 1200 s", info)
    assert found(r"\[talk-7\] SSE connection open after \d+\.\d{3} s, prompt of \d+ characters", debug)
    assert found(r"\[talk-7\] Tool calls: get_weather, get_weather", info)
    assert found(r"\[talk-7\] Answer of \d+ characters in \d+ chunks, \d+\.\d{3} s", debug)
    assert lines(log, logging.WARNING) + lines(log, logging.ERROR) == []


def test_an_answer_without_tool_calls_logs_none(ask, provider, hello, log):
    ask(provider, hello, **HEADERS)
    assert not any("Tool calls" in line for line in lines(log, logging.INFO))


def test_frames_that_are_skipped_are_one_warning(ask, provider, simulator, hello, log):
    simulator.script({"text": "um dois", "fault": "bad_frame"})
    ask(provider, hello, **HEADERS)
    assert lines(log, logging.WARNING) == ["[talk-7] Skipped a frame of 16 characters that is not a JSON object"]


@pytest.mark.parametrize(
    ("play", "pattern"),
    [
        ({"status": 429, "body": {"code": "LIMIT_1"}}, r"\[talk-7\] RateLimited \(HTTP 429\): .*LIMIT_1.*"),
        ({"fault": "reset_before"}, r"\[talk-7\] AgentUnreachable \(HTTP 503\): .*127\.0\.0\.1.*"),
        ({"text": "a b", "fault": "close_within"}, r"\[talk-7\] AgentFailed \(HTTP 502\): .*RemoteProtocolError.*"),
        ({"at": "token", "status": 401}, r"Authentication failed: .*CLIENT_SECRET.*"),
        ({"at": "token", "status": 401}, r"\[talk-7\] CredentialsRefused \(HTTP 502\): .*CLIENT_SECRET.*"),
    ],
    ids=["a refusal", "no connection", "a break", "no token", "a call without a token"],
)
def test_a_failure_is_an_error(ask, provider, simulator, hello, log, play, pattern):
    simulator.script(play)
    with pytest.raises(openai.OpenAIError):
        ask(provider, hello, **HEADERS)
    assert found(pattern, lines(log, logging.ERROR))


def test_every_line_of_a_call_carries_its_correlation_id(ask, provider, simulator, hello, weather, log):
    provider.authenticate()
    log.clear()
    simulator.script({"text": CALL, "fault": "bad_frame"}, {"status": 500}, {"fault": "close_within", "text": "a"})
    ask(provider, hello, **weather, **HEADERS)
    for _ in range(2):
        with pytest.raises(openai.OpenAIError):
            ask(provider, hello, **HEADERS)
    logged = [line for level in (10, 20, 30, 40) for line in lines(log, level)]
    assert len(logged) >= 6
    assert [line for line in logged if not line.startswith("[talk-7] ")] == []


def test_the_packages_logger_controls_all_its_messages(ask, provider, simulator, hello, log):
    logging.getLogger("custom_handler").setLevel(logging.ERROR)
    simulator.script({"text": "um dois", "fault": "bad_frame"})
    ask(provider, hello)
    assert [record for record in log.records if record.name.startswith("custom_handler")] == []


# What the platform says is told, but not the prompt, the account or an address.
ECHO = f"no '{QUESTION[-1]['content'][:40]}' for canary-secret at https://canary.example/x?key=canary"
PLAYS: dict[str, dict[str, Any]] = {
    "an answer": {"text": f"canary-answer\n{CALL}"},
    "a call that is text": {"text": f"canary-answer\n{CALL[:-20]}"},
    "a frame that cannot be read": {"frames": ["canary-frame", {"message": "canary-answer"}]},
    "an error frame": {"text": "a", "fault": "error_frame", "body": {"code": "X_1", "details": ECHO}},
    "a refusal": {"status": 400, "body": {"code": "canary code", "type": "canary/type", "details": ECHO}},
    "a page": {"status": 502, "body": "<html>canary-page</html>"},
    "a break": {"text": "canary-answer", "fault": "reset_within"},
    "a refused token": {"status": 401, "times": 2},
    "no token": {
        "at": "token",
        "status": 401,
        "body": {"error": "invalid_client", "error_description": "no client canary-secret at https://canary.example/x"},
    },
}


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_the_log_contains_no_content_and_no_secrets(ask, settings, simulator, weather, log, play):
    simulator.configure(client_secret="canary-secret")
    simulator.script(play)
    provider = StackspotLLM(settings.changed(account={"client_secret": "canary-secret"}))
    failure = ""
    try:
        ask(provider, QUESTION, **weather, **HEADERS)
    except openai.OpenAIError as error:
        failure = str(error)
    text = "\n".join([failure, *(f"{record.getMessage()} {record.__dict__}" for record in log.records)])
    assert len(log.records) > 3
    assert "canary" not in text
    assert "eyJ" not in text  # how every JWT begins
