"""The error texts of the vendors behind agents."""

from __future__ import annotations

import json

import pytest

from custom_handler.stackspot.refusals import (
    Overflow,
    WindowLimit,
    is_content_filter,
    is_credit_exhausted,
    overflow,
    request_window,
)
from tests.support.growth import is_linear

OVERFLOWS = {  # limit, prompt: text
    "GPT 5": (
        272000,
        340000,
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 340000 tokens. "
            "Please reduce the length of the messages."
        ),
    ),
    "GPT 4": (
        8192,
        10234,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 10234 tokens.",
    ),
    "GPT 4 with output": (
        128000,
        130512,
        (
            "This model's maximum context length is 128000 tokens. However, you requested 130512 tokens "
            "(126416 in the messages, 4096 in the completion)."
        ),
    ),
    "DeepSeek": (
        65536,
        70001,
        (
            "This model's maximum context length is 65536 tokens. However, you requested 70001 tokens "
            "(61809 in the messages, 8192 in the completion). Please reduce the length of the messages or completion."
        ),
    ),
    "vLLM": (
        32768,
        32001,
        (
            "This model's maximum context length is 32768 tokens. However, you requested 1024 output tokens and your "
            "prompt contains at least 32001 input tokens."
        ),
    ),
    "Responses API": (
        None,
        None,
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "OpenAI's code": (None, None, "context_length_exceeded"),
    "Claude": (200000, 208310, "prompt is too long: 208310 tokens > 200000 maximum"),
    "Claude with output": (
        200000,
        190000,
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
    ),
    "Claude's code": (None, None, "request_too_large: Request exceeds the maximum allowed number of bytes"),
    "Bedrock": (None, None, "ValidationException: Input is too long for requested model."),
    "Titan": (
        8000,
        8192,
        "400 Bad Request: Too many input tokens. Max input tokens: 8000, request input token count: 8192",
    ),
    "Bedrock Mantle": (262144, 300000, "prompt tokens (300000) exceed model maximum (262144)"),
    "Gemini": (
        1048576,
        1200345,
        "The input token count (1200345) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "Mistral": (
        32768,
        40960,
        "Prompt contains 40960 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    ),
    "xAI": (
        131072,
        140000,
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
    ),
    "Groq": (None, None, "Please reduce the length of the messages or completion."),
    "with commas": (
        128000,
        131500,
        "The input (131,500 tokens) is longer than the model's context length (128,000 tokens).",
    ),
    "in brackets": (32768, 40000, "Input length (40000) exceeds model's maximum context length (32768)."),
    "Qwen": (None, None, "Range of input length should be [1, 129024]"),
    "without numbers": (None, None, "Prompt is too long"),
    "GPT 5's characters": (
        1048576,
        1200000,
        (
            "Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576, "
            "but got a string with length 1200000 instead."
        ),
    ),
    "LiteLLM": (
        None,
        None,
        "Requested token count exceeds the model's maximum context length of 131072 tokens",
    ),
    "Poolside": (8192, 9000, "Input length 9000 exceeds the maximum allowed input length of 8192 tokens."),
    "llama.cpp": (None, None, "the request exceeds the available context size, try increasing it"),
    "Copilot": (64000, 70000, "prompt token count of 70000 exceeds the limit of 64000"),
    "Kimi": (262144, 291351, "Your request exceeded model token limit: 262144 (requested: 291351)"),
    "Cerebras": (8192, 9000, "Please reduce: Current length is 9000 while limit is 8192"),
    "over lines": (
        8192,
        9000,
        "This model's maximum context length is 8192 tokens.\nHowever, your messages\nresulted in 9000 tokens.",
    ),
}
LOOK_ALIKES = [
    "ThrottlingException: Too many tokens, please wait before trying again.",
    "Rate limit reached for gpt-5: Limit 30000 tokens per min, too many input tokens.",
    "Too many requests: too many input tokens this minute",
    "rate_limit_exceeded: This request would exceed the maximum context length of your quota",
    "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes",
    "The maximum tokens you requested exceeds the model limit of 4096. Prompt is too long or max_tokens too high",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens",
    "Quota exceeded: input token count (10) exceeds the maximum number of tokens allowed (5) per day",
    "Invalid 'user': string too long. Expected a string with maximum length 64, but got a string with length 70",
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
    "The file is too large, and the image exceeds 5 MB maximum",
    "The tool description is too long: 2000 > 1024",
    "max_tokens is too large: 50000. This model supports at most 16384 completion tokens; maximum context length is 1",
]
FILTERS = [
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "The response was filtered due to the prompt triggering Microsoft's content management policy.",
    '{"innererror": {"code": "ResponsibleAIPolicyViolation"}}',
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "Your request was rejected as a result of our safety system.",
    "Output blocked by content filtering policy",
    "Response blocked: PROHIBITED_CONTENT",
    "guardrail_intervened",
    "content_filtered",
    "finish_reason: content_filter",
    "Error code: 400 - {'error': {'message': 'no', 'type': None, 'code': 'content_filter', 'status': 400}}",
    "This response was blocked due to safety",
    "The generated text has been blocked by our content filters.",
]


@pytest.mark.parametrize(("limit", "prompt", "text"), OVERFLOWS.values(), ids=OVERFLOWS)
@pytest.mark.parametrize("as_json", [False, True])
def test_every_vendors_overflow_is_recognised(limit, prompt, text, as_json):
    sent = json.dumps({"error": {"message": text}}) if as_json and "\n" not in text else text
    assert overflow(sent) == Overflow(limit, prompt)


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_a_limit_of_another_kind_is_no_overflow(text):
    assert overflow(text) is None


@pytest.mark.parametrize("text", FILTERS)
def test_every_vendors_content_filter_is_recognised(text):
    assert is_content_filter(text)
    assert overflow(text) is None


NO_FILTERS = [
    "I filter no content.",
    "Unknown parameter: 'content_filter'.",
    "Unrecognized request argument supplied: content_filter",
    "content_filter must be an object",
    "The content filter service is unavailable, try again",
    "The content_filter could not be reached",
    "400: content_filter_results is missing",
    "Guardrail identifier does not exist",
    "This model has no safety system",
]


@pytest.mark.parametrize("text", [*(text for *_, text in OVERFLOWS.values()), *LOOK_ALIKES, *NO_FILTERS])
def test_other_errors_are_no_content_filter(text):
    assert not is_content_filter(text)


def test_credit_and_windows_are_read():
    assert is_credit_exhausted('{"message": "Credit Limit Reached"}')
    assert request_window(LOOK_ALIKES[4]) == WindowLimit(100, 1440)
    assert request_window("Your limit is 6,000 requests in the last 24 hours") == WindowLimit(6000, 1440)
    assert request_window("Your limit is 20 requests in the last 1 minute") == WindowLimit(20, 1)
    assert request_window("Maximum number of requests reached.") is None


@pytest.mark.parametrize("text", ["Set a credit limit for this account", "The credit limited partner", "no credits"])
def test_other_words_about_credit_are_none(text):
    assert not is_credit_exhausted(text)


HOSTILE = [
    "limit of 1 tokens ",
    "1,",
    "Prompt contains 1 tokens ",
    "maximum context length is 1 tokens you requested ",
    " ",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_a_long_text_takes_linear_time(part):
    def classify(size: int) -> None:
        text = part * (size // len(part))
        overflow(text), is_content_filter(text), is_credit_exhausted(text), request_window(text)

    assert is_linear(classify, 100_000)
