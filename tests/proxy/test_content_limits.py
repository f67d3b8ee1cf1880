"""The depth, the numbers, the messages and the tools of a request are limited."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from litellm.proxy._types import ProxyException

from custom_handler.proxy.validation.content_limits import (
    MAX_DEPTH,
    MAX_DROPPED,
    MAX_FIELD_VALUES,
    MAX_FIELDS,
    MAX_MESSAGES,
    MAX_MODEL_CHARACTERS,
    limit_content,
)
from custom_handler.request.chat_request import MAX_TOOLS


@pytest.mark.parametrize(("levels", "refused"), [(MAX_DEPTH, False), (MAX_DEPTH + 1, True), (100_000, True)])
@pytest.mark.parametrize("list_", [False, True])
def test_the_nesting_of_a_body_is_limited(levels, refused, list_):
    value: Any = {}
    for _ in range(levels - 1):
        value = [value] if list_ else {"a": value}
    with (
        pytest.raises(ProxyException, match="The request is nested deeper than")
        if refused
        else contextlib.nullcontext()
    ):
        limit_content({"a": value})


@pytest.mark.parametrize("name", ["messages", "input", "contents"])
def test_the_number_of_messages_is_limited(name):
    limit_content({name: [{}] * MAX_MESSAGES})
    limit_content({name: [7] * (MAX_MESSAGES + 1)})  # the tokens of a text, for embeddings
    with pytest.raises(ProxyException, match=f"{name} has 10001 messages, the limit is 10000: send fewer") as raised:
        limit_content({name: ["a", *[{}] * (MAX_MESSAGES + 1)]})
    assert raised.value.param == name


FEW = {"name": "work"}


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("tools", [FEW] * (MAX_TOOLS + 1)),
        ("tools", [5] * (MAX_TOOLS + 1)),
        ("functions", [FEW] * (MAX_TOOLS + 1)),
        ("tools", [{"functionDeclarations": [FEW] * (MAX_TOOLS + 1)}]),
        ("tools", [{"function_declarations": [FEW] * 1001}, {"functionDeclarations": [FEW] * 1000}]),
    ],
)
def test_the_number_of_tools_is_limited(name, tools):
    with pytest.raises(ProxyException, match=f"{name} has 2001 tools, the limit is 2000: declare fewer") as raised:
        limit_content({name: tools})
    assert (raised.value.code, raised.value.param) == ("400", name)


@pytest.mark.parametrize(
    "tools", [[FEW] * MAX_TOOLS, [{"functionDeclarations": [FEW] * 1999}, {"googleSearch": {}}], None, {"a": 5}, "x"]
)
def test_tools_up_to_the_limit_pass(tools):
    limit_content({"tools": tools, "functions": tools})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), json.loads("1e400")])
@pytest.mark.parametrize(
    "place", [lambda value: value, lambda value: [1.0, value], lambda value: {"a": [{"b": value}]}]
)
def test_numbers_that_json_does_not_know_are_rejected(number, place):
    with pytest.raises(ProxyException, match="The request has NaN, Infinity or a number that is too large"):
        limit_content({"temperature": place(number)})
    limit_content({"temperature": place(1.5e300)})


def test_the_number_of_fields_is_limited():
    limit_content({f"field{number}": 1 for number in range(MAX_FIELDS)})
    with pytest.raises(ProxyException, match="The request has 501 fields, the limit is 500: leave some out"):
        limit_content({f"field{number}": 1 for number in range(MAX_FIELDS + 1)})


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"a": [value]}], ids=["flat", "nested"])
def test_the_values_of_a_field_that_is_no_content_are_limited(wrap):
    within, beyond = (
        wrap([1] * (MAX_FIELD_VALUES - 2)),
        wrap({str(number): 1 for number in range(MAX_FIELD_VALUES + 1)}),
    )
    limit_content({"metadata": within})
    limit_content({"messages": [beyond], "input": [beyond], "tools": [beyond]})
    with pytest.raises(ProxyException, match=r"metadata has 5000[13] values, the limit is 50000: send fewer") as raised:
        limit_content({"metadata": beyond})
    assert raised.value.param == "metadata"


def test_the_parameters_to_drop_are_limited():
    limit_content({"additional_drop_params": ["tools[*].a"] * MAX_DROPPED})
    expected = "additional_drop_params has 101 entries, the limit is 100: send fewer"
    with pytest.raises(ProxyException, match=expected) as raised:
        limit_content({"additional_drop_params": ["tools[*].a"] * (MAX_DROPPED + 1)})
    assert raised.value.param == "additional_drop_params"


def test_the_name_of_a_model_is_limited_and_not_repeated():
    limit_content({"model": "m" * MAX_MODEL_CHARACTERS})
    expected = "model has 1001 characters, the limit is 1000: ask for one of GET /v1/models"
    with pytest.raises(ProxyException, match=expected) as raised:
        limit_content({"model": "m" * (MAX_MODEL_CHARACTERS + 1)})
    assert (raised.value.code, raised.value.param) == ("400", "model")
    assert "mmm" not in raised.value.message
