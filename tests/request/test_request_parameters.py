"""What a request asks beside messages and tools: what acts, what is refused by its name, and what has no effect."""

from __future__ import annotations

from typing import Any

import pytest

from custom_handler.errors import RequestError
from custom_handler.request.parameters import MAX_STOP_CHARACTERS, MAX_STOPS, Parameters

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def read(**params: Any) -> Parameters:
    return Parameters.from_openai(params)


def test_a_request_without_parameters_has_the_defaults():
    assert read() == Parameters()
    assert read(stop=None, max_tokens=None, n=None, response_format=None, temperature=None) == Parameters()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"stop": "END"}, Parameters(stop=("END",))),
        ({"stop": ["a", "b"]}, Parameters(stop=("a", "b"))),
        ({"stop": ["a"] * MAX_STOPS}, Parameters(stop=("a",) * MAX_STOPS)),
        ({"stop": "a" * MAX_STOP_CHARACTERS}, Parameters(stop=("a" * MAX_STOP_CHARACTERS,))),
        ({"stop": ["a", ""]}, Parameters(stop=("a",))),
        ({"stop": ""}, Parameters()),
        ({"stop": []}, Parameters()),
        ({"max_tokens": 5}, Parameters(max_tokens=5)),
        ({"max_completion_tokens": 5}, Parameters(max_tokens=5)),
        ({"max_tokens": 7, "max_completion_tokens": 5}, Parameters(max_tokens=5)),
        ({"parallel_tool_calls": True}, Parameters()),
        ({"parallel_tool_calls": False}, Parameters(parallel_tool_calls=False)),
        ({"response_format": {"type": "text"}}, Parameters()),
        ({"response_format": {"type": "json_object"}}, Parameters(json_schema={})),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            Parameters(json_schema=SCHEMA),
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, Parameters(json_schema={})),
        ({"n": 1, "logprobs": False, "top_logprobs": 0, "audio": None, "modalities": ["text"]}, Parameters()),
        ({"something_new": {"a": 1}}, Parameters()),
    ],
    ids=str,
)
def test_what_acts_is_read(params, expected):
    assert read(**params) == expected


WITHOUT_EFFECT = {
    "temperature": 0.2,
    "top_p": 1,
    "presence_penalty": -0.5,
    "frequency_penalty": 0,
    "seed": 7,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "low",
    "verbosity": "low",
    "user": "u-1",
    "metadata": {"team": "a"},
    "prediction": {"type": "content", "content": "x"},
    "service_tier": "auto",
    "web_search_options": {},
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_cannot_act_is_accepted_and_named(name):
    assert read(**{name: WITHOUT_EFFECT[name]}).ignored == (name,)


def test_all_that_cannot_act_is_named():
    assert set(read(stop="a", **WITHOUT_EFFECT).ignored) == set(WITHOUT_EFFECT)


def test_an_effort_may_be_an_object_as_the_responses_api_has_it():
    assert read(reasoning_effort={"effort": "low", "summary": "auto"}).ignored == ("reasoning_effort",)


WRONG: list[tuple[str, Any]] = [
    *(
        (name, wrong)
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
        for wrong in ("1", True, [1])
    ),
    *(("seed", wrong) for wrong in (1.5, "1", True)),
    *((name, "x") for name in ("logit_bias", "metadata", "prediction", "web_search_options")),
    *((name, 3) for name in ("reasoning_effort", "verbosity", "user", "service_tier", "suffix")),
    *(("stop", wrong) for wrong in (3, [3], ["a", None], {"a": 1}, True)),
    *(("stop", wrong) for wrong in (["a"] * (MAX_STOPS + 1), "a" * (MAX_STOP_CHARACTERS + 1))),
    *((name, wrong) for name in ("max_tokens", "max_completion_tokens") for wrong in (0, -1, 1.5, "5", True, [5])),
    *(("parallel_tool_calls", wrong) for wrong in (0, "false", [])),
    *(("n", wrong) for wrong in (2, 0, "1", True, 1.5, [1])),
    *(("logprobs", wrong) for wrong in (True, 3)),
    ("top_logprobs", 2),
    *(("modalities", wrong) for wrong in (["text", "audio"], ["audio"], "text", 5, {"a": 1})),
    ("audio", {"voice": "alloy", "format": "wav"}),
    *(
        ("response_format", wrong)
        for wrong in (
            "json_object",
            3,
            [],
            {},
            {"type": "yaml"},
            {"type": ["json_object"]},
            {"type": "json_schema"},
            {"type": "json_schema", "json_schema": SCHEMA["type"]},
            {"type": "json_schema", "json_schema": {"schema": None}},
            {"type": "json_schema", "json_schema": {"schema": []}},
        )
    ),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: str(value)[:40])
def test_an_invalid_or_unsupported_field_is_a_400_with_its_name(name, value):
    with pytest.raises(RequestError) as raised:
        read(**{name: value})
    assert raised.value.param == name
    assert raised.value.message.startswith(name)
    assert raised.value.status_code == 400
