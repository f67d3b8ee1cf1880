"""LiteLLM's own parameters are the operator's; fields of the protocols pass, and a few of LiteLLM's that clients send."""

from __future__ import annotations

from typing import get_type_hints

import pytest
from litellm.proxy._types import ProxyException
from litellm.types.llms.anthropic import AnthropicMessagesRequest
from litellm.types.llms.openai import ResponsesAPIOptionalRequestParams
from litellm.types.utils import all_litellm_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from custom_handler.proxy.validation.client_fields import CLIENT_FIELDS
from custom_handler.proxy.validation.reserved_fields import reject_reserved_fields

PROTOCOLS = {
    "chat": chat_create_params.CompletionCreateParamsStreaming,
    "completions": completion_create_params.CompletionCreateParamsStreaming,
    "responses": response_create_params.ResponseCreateParamsStreaming,
    "embeddings": embedding_create_params.EmbeddingCreateParams,
    "messages": AnthropicMessagesRequest,
    "litellm's responses": ResponsesAPIOptionalRequestParams,
}
# What coding agents and libraries send beside the protocols' fields.
OTHERS = ("client_metadata", "context_management", "output_config", "speed", "betas", "chat_template_kwargs", "min_p",
          "systemInstruction", "safetySettings", "cachedContent", "enable_thinking", "top_k", "session_id", "documents")  # fmt: skip
CALLBACKS = ("success_callback", "failure_callback", "callbacks", "input_callback", "litellm_disabled_callbacks",
             "standard_callback_dynamic_params", "callback_settings")  # fmt: skip
ARGUMENTS = (
    "original_function",
    "litellm_logging_obj",
    "rules_obj",
    "start_time",
    "self",
    "kwargs",
    "specific_deployment",
    "litellm_params",
)


@pytest.mark.parametrize("hint", PROTOCOLS.values(), ids=PROTOCOLS)
def test_no_field_of_a_protocol_is_reserved(hint):
    names = get_type_hints(hint)
    assert len(names) > 4
    for name in names:
        if name != "litellm_params":
            reject_reserved_fields({"model": "m", name: 1})


@pytest.mark.parametrize("name", [*OTHERS, *CLIENT_FIELDS])
def test_what_clients_send_is_not_reserved(name):
    reject_reserved_fields({"model": "m", name: 1})


@pytest.mark.parametrize("name", [*CALLBACKS, *ARGUMENTS, *sorted({*all_litellm_params} - {*CLIENT_FIELDS})])
def test_a_parameter_of_litellms_is_the_operators(name):
    with pytest.raises(ProxyException) as caught:
        reject_reserved_fields({"model": "m", name: 1})
    assert (caught.value.code, caught.value.param) == ("400", name)
    assert name in caught.value.message
