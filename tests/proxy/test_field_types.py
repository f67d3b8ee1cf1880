"""The types of body fields are validated."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.proxy._types import ProxyException

from custom_handler.proxy.validation.field_types import validate_field_types

USER = {"role": "user", "content": "Oi"}
RIGHT: list[dict[str, Any]] = [
    {},
    {"messages": [USER], "tools": None, "user": None},
    {"messages": [USER | {"content": [{"type": "text", "text": "Oi"}]}, {"role": "assistant", "content": None}]},
    {"messages": [USER], "tools": [{"name": "Bash", "input_schema": {}}], "system": [{"type": "text", "text": "x"}]},
    {"input": "Oi", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "max_output_tokens": 5},
    {"input": [USER, {"type": "function_call_output", "call_id": "c", "output": "x"}], "stream": True},
    {"messages": [USER], "reasoning_effort": {"effort": "low"}},
    {"messages": [USER], "timeout": 0.5, "max_retries": 2, "tags": ["a"], "tool_choice": {"type": "auto"}},
    {"messages": [USER], "timeout": 5, "tool_choice": "auto"},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": "Oi"}, "messages must be a list."),
    ({"messages": []}, "messages must be a list with at least one message."),
    ({"messages": [USER, 5]}, "messages[1] must be an object."),
    ({"messages": [{"role": 5}]}, "messages[0].role must be a string."),
    ({"messages": [USER | {"content": 5}]}, "messages[0].content must be a string or a list."),
    ({"messages": [USER | {"content": ["Oi"]}]}, "messages[0].content[0] must be an object."),
    ({"messages": [{"role": "assistant", "tool_calls": [5]}]}, "messages[0].tool_calls[0] must be an object."),
    ({"tools": {}}, "tools must be a list."),
    ({"tools": [{"function": "x"}]}, "tools[0].function must be an object."),
    ({"response_format": "json"}, "response_format must be an object."),
    ({"input": 5}, "input must be a string or a list."),
    ({"stream": "yes"}, "stream must be true or false."),
    ({"max_completion_tokens": "5"}, "max_completion_tokens must be a whole number."),
    ({"timeout": "abc"}, "timeout must be a number."),
    ({"stream_timeout": {}}, "stream_timeout must be a number."),
    ({"max_retries": "x"}, "max_retries must be a whole number."),
    ({"tags": 5}, "tags must be a list."),
    ({"litellm_trace_id": {}}, "litellm_trace_id must be a string."),
    ({"tool_choice": 5}, "tool_choice must be a string or an object."),
]


@pytest.mark.parametrize("body", RIGHT, ids=str)
def test_valid_types_pass(body):
    validate_field_types(body)


@pytest.mark.parametrize(("body", "message"), WRONG, ids=str)
def test_a_wrong_type_is_an_error_that_names_the_field(body, message):
    with pytest.raises(ProxyException) as caught:
        validate_field_types(body)
    assert caught.value.message == message
    assert message.startswith(caught.value.param)
