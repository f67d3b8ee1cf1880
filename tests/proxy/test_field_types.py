"""The types of body fields are validated, in the words of each protocol."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.proxy._types import ProxyException

from custom_handler.proxy.validation.field_types import body_of_call, body_of_route, validate_field_types

USER = {"role": "user", "content": "Oi"}
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
TEXT, EMBEDDINGS = "/v1/completions", "/v1/embeddings"
GENERATE, COUNT = "/v1beta/models/m:generateContent", "/v1beta/models/m:countTokens"


def parts(*given: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [*given]}]}


RIGHT: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {}),
    (CHAT, {"messages": [USER], "tools": None, "user": None}),
    (
        CHAT,
        {"messages": [USER | {"content": [{"type": "text", "text": "Oi"}]}, {"role": "assistant", "content": None}]},
    ),
    (CHAT, {"messages": [USER], "tools": [{"name": "Bash", "input_schema": {}}]}),
    (CHAT, {"messages": [USER], "reasoning_effort": {"effort": "low"}, "anything": {"of": "a client"}}),
    (CHAT, {"messages": [USER], "timeout": 0.5, "max_retries": 2, "tags": ["a"], "tool_choice": {"type": "auto"}}),
    (CHAT, {"messages": [USER], "timeout": 5, "tool_choice": "auto", "metadata": {"tags": ["a"], "user_id": 7}}),
    (CHAT, {"messages": [USER], "extra_headers": {"a": "b"}, "extra_body": {"a": 1}, "stream_options": {}}),
    (
        CHAT,
        {
            "messages": [USER],
            "fallbacks": ["a", {"model": "b"}],
            "guardrails": ["não", {"a": {"extra_body": {"b": "д"}}}],
            "drop_params": True,
        },
    ),
    (CHAT, parts({"type": "image_url", "image_url": {"url": "x"}}, {"type": "file", "file": {}})),
    (CHAT, parts({"type": "thinking", "thinking": "x"}, role="assistant")),
    (RESPONSES, {"input": "Oi", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "max_output_tokens": 5}),
    (RESPONSES, {"input": [USER, {"type": "function_call_output", "call_id": "c", "output": "x"}], "stream": True}),
    (RESPONSES, {"input": [{"type": "mcp_approval_response", "approval_request_id": "m", "approve": False}]}),
    (MESSAGES, {"messages": [USER], "system": [{"type": "text", "text": "x"}], "metadata": {"user_id": "u"}}),
    (MESSAGES, {"messages": [USER], "tool_choice": {"type": "tool", "name": "Bash"}, "thinking": {"type": "adaptive"}}),
    (MESSAGES, parts({"type": "a_block_of_next_year"}, {"type": "tool_result", "tool_use_id": "c"})),
    (MESSAGES, parts({"type": "tool_use", "id": "c", "name": "Bash", "input": {}}, role="assistant")),
    (TEXT, {"prompt": "Oi"}),
    (TEXT, {"prompt": ["Oi"], "stream_options": {"include_usage": True}}),
    (EMBEDDINGS, {"input": [[1, 2]]}),
    (EMBEDDINGS, {"input": ["Oi"], "tags": ["a"]}),
    (GENERATE, {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}], "generationConfig": {}}),
    (GENERATE, {"contents": {"parts": {"text": "Oi"}}}),
]
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": "Oi"}, "messages must be a list."),
    (
        RESPONSES,
        {"input": [{"type": "mcp_approval_response", "approval_request_id": "m", "approve": "no"}]},
        "input[0].approve must be true or false.",
    ),
    (
        RESPONSES,
        {"input": [USER, {"type": "mcp_approval_response", "approval_request_id": "m"}]},
        "input[1].approve is missing: it must be true or false.",
    ),
    (CHAT, {"messages": []}, "messages must be a list with at least one message."),
    (CHAT, {"messages": [USER, 5]}, "messages[1] must be an object."),
    (CHAT, {"messages": [{"role": 5}]}, "messages[0].role must be a string."),
    (CHAT, {"messages": [USER | {"content": 5}]}, "messages[0].content must be a string or a list."),
    (CHAT, {"messages": [USER | {"content": ["Oi"]}]}, "messages[0].content[0] must be an object."),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [5]}]}, "messages[0].tool_calls[0] must be an object."),
    (CHAT, {"tools": {}}, "tools must be a list."),
    (CHAT, {"tools": [{"function": "x"}]}, "tools[0].function must be an object."),
    (CHAT, {"tools": [{"parameters": "x"}]}, "tools[0].parameters must be a JSON Schema, which is an object."),
    (CHAT, {"tools": [{"type": [{}]}]}, "tools[0].type must be a string."),
    (CHAT, {"response_format": "json"}, "response_format must be an object."),
    (CHAT, {"stream": "yes"}, "stream must be true or false."),
    (CHAT, {"stream_options": []}, "stream_options must be an object."),
    (CHAT, {"max_completion_tokens": "5"}, "max_completion_tokens must be a whole number."),
    (CHAT, {"max_completion_tokens": True}, "max_completion_tokens must be a whole number."),
    (CHAT, {"timeout": "abc"}, "timeout must be a number."),
    (CHAT, {"request_timeout": ["x"]}, "request_timeout must be a number."),
    (CHAT, {"stream_timeout": {}}, "stream_timeout must be a number."),
    (CHAT, {"max_retries": "x"}, "max_retries must be a whole number."),
    (CHAT, {"tags": 5}, "tags must be a list."),
    (CHAT, {"tags": [{}]}, "tags[0] must be a string."),
    (CHAT, {"metadata": {"tags": [{}]}}, "metadata.tags[0] must be a string."),
    (CHAT, {"metadata": {"agent_id": [{}]}}, "metadata.agent_id must be a string."),
    (CHAT, {"metadata": {"semantic-similarity": "a\r\nb: c"}}, "metadata.semantic-similarity must be a number."),
    (
        CHAT,
        {"metadata": {"guardrails": ["д"]}},
        "metadata.guardrails[0] must have printable characters of Latin-1 only.",
    ),
    (CHAT, {"guardrails": ["a\r\nb: c"]}, "guardrails[0] must have printable characters of Latin-1 only."),
    (CHAT, {"guardrails": [{"д": {}}]}, "guardrails[0] must have printable characters of Latin-1 only."),
    (MESSAGES, {"guardrails": {"д": {}}}, "guardrails must have printable characters of Latin-1 only."),
    (MESSAGES, {"metadata": {"agent_id": {}}}, "metadata.agent_id must be a string."),
    (CHAT, {"headers": "x"}, "headers must be an object."),
    (CHAT, {"extra_headers": {"a": {}}}, "extra_headers.a must be a string."),
    (CHAT, {"allowed_openai_params": [{}]}, "allowed_openai_params[0] must be a string."),
    (CHAT, {"additional_drop_params": 7}, "additional_drop_params must be a list."),
    (CHAT, {"prompt_id": 7}, "prompt_id must be a string."),
    (CHAT, {"fallbacks": [7]}, "fallbacks[0] must be a string or an object."),
    (CHAT, {"litellm_trace_id": {}}, "litellm_trace_id must be a string."),
    (CHAT, {"tool_choice": 5}, "tool_choice must be a string or an object."),
    (CHAT, parts({"text": "Oi"}), "messages[0].content[0].type must be one of audio_url, document, "),
    (CHAT, parts({"type": "tool_result"}), "messages[0].content[0].type must be one of audio_url, document, "),
    (RESPONSES, {"input": 5}, "input must be a string or a list."),
    (RESPONSES, {"organization": {}}, "organization must be a string."),
    (
        RESPONSES,
        {"merge_reasoning_content_in_choices": "x"},
        "merge_reasoning_content_in_choices must be true or false.",
    ),
    (MESSAGES, {"tools": [{"type": 7}, {}]}, "tools[0].type must be a string."),
    (MESSAGES, {"messages": [{}]}, "messages[0].role is missing: it must be a string."),
    (MESSAGES, {"messages": [{"role": "user"}]}, "messages[0].content is missing: it must be a string or a list."),
    (MESSAGES, parts({}), "messages[0].content[0].type must be a string."),
    (MESSAGES, parts({"type": "text"}), "messages[0].content[0].text is missing: it must be a string."),
    (MESSAGES, parts({"type": "image", "source": 7}), "messages[0].content[0].source must be an object."),
    (MESSAGES, parts({"type": "tool_result"}), "messages[0].content[0].tool_use_id is missing: it must be a string."),
    (MESSAGES, {"system": [7]}, "system[0] must be an object."),
    (MESSAGES, {"system": [{}]}, "system[0].type must be a string."),
    (MESSAGES, {"metadata": {"user_id": []}}, "metadata.user_id must be a string."),
    (MESSAGES, {"tool_choice": "auto"}, "tool_choice must be an object."),
    (MESSAGES, {"tool_choice": {"type": "x"}}, "tool_choice.type must be one of any, auto, none, tool."),
    (MESSAGES, {"tool_choice": {"type": "tool"}}, "tool_choice.name is missing: it must be a string."),
    (
        MESSAGES,
        {"thinking": {"type": "enabled", "budget_tokens": "x"}},
        "thinking.budget_tokens must be a whole number.",
    ),
    (TEXT, {"prompt": []}, "prompt must be a list with at least one item."),
    (TEXT, {"prompt": 1e308}, "prompt must be a string or a list."),
    (TEXT, {"stream": [-1]}, "stream must be true or false."),
    (EMBEDDINGS, {"input": [[]]}, "input[0] must be a list with at least one item."),
    (EMBEDDINGS, {"input": [[[]]]}, "input[0][0] must be a whole number."),
    (EMBEDDINGS, {"input": [[7], "Oi"]}, "input must be a list of items of one type."),
    (EMBEDDINGS, {"input": [7, "Oi"]}, "input must be a list of items of one type."),
    (EMBEDDINGS, {"input": [[4294967296]]}, "input[0] must be a token from 0 to 100255, or a list of them."),
    (EMBEDDINGS, {"input": [7, -1]}, "input[1] must be a token from 0 to 100255"),
    (EMBEDDINGS, {"tags": "x"}, "tags must be a list."),
    (MESSAGES, {"messages": None}, "messages is missing: it must be a list."),
    (RESPONSES, {"input": [{"type": "mcp_call", "id": ["m"]}]}, "input[0].id must be a string."),
    (RESPONSES, {"input": [{"type": "mcp_list_tools", "content": 5}]}, "input[0].content must be a string or a list."),
    (RESPONSES, {"litellm_metadata": {"metadata": True}}, "litellm_metadata.metadata must be a string"),
    (RESPONSES, {"metadata": {"litellm_metadata": None}}, "metadata.litellm_metadata must not be null"),
    (GENERATE, {"contents": [5]}, "contents[0] must be an object."),
    (GENERATE, {"api_version": ["x"]}, "api_version must be a string."),
    (COUNT, {"contents": [{"role": "user"}]}, "contents[0].parts is missing: it must be a list or an object."),
]


def validate(path: str, body: dict[str, Any]) -> None:
    shape = body_of_route(path)
    assert shape is not None
    validate_field_types(body, shape)


@pytest.mark.parametrize(("path", "body"), RIGHT, ids=str)
def test_valid_types_pass(path, body):
    validate(path, body)


@pytest.mark.parametrize(("path", "body", "message"), WRONG, ids=str)
def test_a_wrong_type_is_an_error_that_names_the_field(path, body, message):
    with pytest.raises(ProxyException) as caught:
        validate(path, body)
    assert caught.value.message.startswith(message)
    assert message.startswith(caught.value.param)


@pytest.mark.parametrize("path", ["/v1/threads/t/messages", "/v1/models", "/key/generate", "/v1/responses/r"])
def test_a_route_of_no_protocol_has_no_shape(path):
    assert body_of_route(path) is None


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/engines/m/chat/completions", "acompletion"),
        ("/openai/deployments/m/completions", "atext_completion"),
        ("/v1/messages", "anthropic_messages"),
        ("/openai/v1/responses", "aresponses"),
        ("/models/m:generateContent", "agenerate_content"),
        ("/embeddings", "aembedding"),
    ],
)
def test_a_route_and_its_call_have_one_shape(path, call):
    assert body_of_route(path) is body_of_call(call) is not None
