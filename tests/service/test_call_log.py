"""The one line of the log about each call."""

from __future__ import annotations

import json
import logging

import pytest

from custom_handler.service.log_format import ExpectedErrors, JsonFormatter
from custom_handler.service.telemetry.call_log import log_call

LINE = {
    "request_id": "r-1",
    "correlation_id": "c 1] forged=1\nx",
    "key": None,
    "model": "chat/água",
    "status": 200,
    "latency_ms": 1234.5,
    "time_to_first_token_ms": None,
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    "tool_calls": 1,
    "repairs": 0,
    "provider": "stackspot",
    "provider_model": "stackspot-chat",
}


def test_a_value_of_the_caller_cannot_imitate_a_field_or_a_line(caplog):
    caplog.set_level(logging.INFO, "custom_handler")
    log_call(LINE)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("custom_handler.calls", logging.INFO)
    assert record.getMessage() == (
        "call request_id=r-1 correlation_id=c%201%5D%20forged%3D1%0Ax key=- model=chat/%C3%A1gua status=200 "
        "seconds=1.234 first_token=- tokens=3/4 tool_calls=1 repairs=0 upstream=stackspot/stackspot-chat"
    )


def test_a_failure_is_a_warning(caplog):
    log_call(LINE | {"status": 429})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_json_has_the_same_keys(caplog):
    caplog.set_level(logging.INFO, "custom_handler")
    log_call(LINE)
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert (line["request_id"], line["seconds"], line["tokens"], line["first_token"]) == ("r-1", 1.234, "3/4", None)


class Failure(Exception):
    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (Failure(status_code=404), False),
        (Failure(code="429"), False),
        (Failure(status_code=503), True),
        (Failure(code="model_disabled"), True),
        (ValueError(), True),
    ],
    ids=["404", "429", "503", "no status", "a fault of the program"],
)
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_the_traceback_of_an_expected_error_is_shown_with_debug_only(error, shown, level):
    logger = logging.getLogger("LiteLLM test")
    logger.setLevel(level)
    record = logging.LogRecord(logger.name, logging.ERROR, "", 0, "failed", (), (type(error), error, None))
    assert ExpectedErrors().filter(record) is (shown or level == logging.DEBUG)
    record.exc_info = None
    assert ExpectedErrors().filter(record) is True
