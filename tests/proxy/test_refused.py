"""Requests that authentication refuses are reported without unchecked fields of their body."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.proxy._types import ProxyErrorTypes

from custom_handler.proxy.validation.refused import report_checked_fields

GOOD = {"model": "m", "stream": True, "user": "u", "metadata": {"tags": ["a"]}, "litellm_metadata": {}}
WRONG: list[dict[str, Any]] = [
    {"litellm_logging_obj": {}},
    {"metadata": []},
    {"metadata": "x"},
    {"litellm_metadata": {"tags": [{}]}},
    {"litellm_call_id": {}},
    {"user": {}},
    {"stream": "x"},
    {"messages": [{"role": "user", "content": "Oi"}], "input": 7, "api_key": "sk-x"},
]


class Reporter:
    """Stands for LiteLLM's ProxyLogging; tests/e2e/test_fuzz.py asks the real one."""

    def __init__(self) -> None:
        self.reported: list[dict[str, Any]] = []
        report_checked_fields(self)

    async def post_call_failure_hook(self, request_data: dict[str, Any], error_type: object = None) -> str:
        self.reported.append(request_data)
        return str(error_type)


@pytest.mark.parametrize("body", WRONG, ids=str)
async def test_unchecked_fields_of_a_refused_body_are_not_reported(body):
    reporter = Reporter()
    await reporter.post_call_failure_hook(request_data=GOOD | body, error_type=ProxyErrorTypes.auth_error)
    assert reporter.reported == [{name: value for name, value in GOOD.items() if name not in body}]


async def test_other_failures_are_reported_with_all_that_litellm_knows():
    reporter = Reporter()
    assert await reporter.post_call_failure_hook(request_data=WRONG[0], error_type="x") == "x"
    await reporter.post_call_failure_hook(WRONG[1])
    assert reporter.reported == WRONG[:2]
