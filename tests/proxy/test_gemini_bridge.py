"""Fields that LiteLLM's translation of Gemini calls would drop are preserved or rejected."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from litellm.google_genai.adapters.transformation import GoogleGenAIAdapter
from litellm.types.router import GenericLiteLLMParams

from custom_handler.proxy.gemini_bridge import from_adapter, to_adapter


def contents(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"model": "stackspot/stackspot-chat", "contents": [{"role": role, "parts": list(parts)}]}


def chat(**body: Any) -> dict[str, Any]:
    """Return the chat completion into which LiteLLM translates a call of `to_adapter`."""
    model = to_adapter(contents())["model"]
    return {"model": model, "custom_llm_provider": "custom", "proxy_server_request": {"body": body}}


def test_a_translated_call_gets_its_provider_back():
    assert from_adapter(chat())["custom_llm_provider"] == "stackspot"
    other = {"model": "groq/llama", "custom_llm_provider": "groq"}
    assert from_adapter(other) is other


def test_the_timeout_is_kept():
    """By a field that LiteLLM's translation does not drop."""
    changed = to_adapter(contents("Oi") | {"timeout": 7.0})
    params = GenericLiteLLMParams(**{name: changed[name] for name in changed.keys() - {"model", "timeout"}})
    translated = GoogleGenAIAdapter().translate_generate_content_to_completion(
        changed["model"], changed["contents"], litellm_params=params
    )
    restored = from_adapter({**translated, "custom_llm_provider": "custom"})
    assert (restored["timeout"], "stream_timeout" in restored) == (7.0, False)
    assert "timeout" not in from_adapter(chat())


def test_both_spellings_of_a_part_are_supported():
    call, result = {"name": "f", "args": {}}, {"name": "f", "response": {}}
    given = (
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inline_data": {"mime_type": "image/png", "data": "aGk="}},
        {"function_call": call},
        {"function_response": result},
        "Oi",
    )
    [changed] = to_adapter(contents(*given))["contents"]
    file = {"inline_data": {"mime_type": "image/png", "data": "aGk="}}
    assert changed["parts"] == [file, file, {"functionCall": call}, {"functionResponse": result}, "Oi"]


def test_declarations_that_are_null_are_left_out():
    changed = to_adapter({**contents("Oi"), "tools": [{"functionDeclarations": None}, {"googleSearch": {}}]})
    assert changed["tools"] == [{}, {"googleSearch": {}}]


def test_a_function_result_in_the_role_function_is_supported():
    [changed] = to_adapter(contents({"functionResponse": {"name": "f"}}, role="function"))["contents"]
    assert changed["role"] == "user"


@pytest.mark.parametrize("spelling", ["systemInstruction", "system_instruction"])
def test_every_part_of_a_system_instruction_is_kept(spelling):
    changed = to_adapter(contents() | {spelling: {"parts": [{"text": "a"}, {"text": "b"}]}})
    assert changed[spelling] == {"parts": [{"text": "a\nb"}]}


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (contents({"fileData": {"fileUri": "gs://a"}}), "contents[0].parts[0]"),
        (contents({"text": "a"}, {"executableCode": {}}), "contents[0].parts[1]"),
        (contents({"text": 5}), "contents[0].parts[0]"),
        (contents({"inlineData": "x"}), "contents[0].parts[0]"),
        (contents(7), "contents[0].parts[0]"),
        (contents(role="system"), "contents[0].role"),
        ({"model": "stackspot/a", "contents": ["Oi"]}, "contents[0]"),
        (contents() | {"config": {"candidateCount": 2}}, "candidateCount"),
        (contents() | {"config": {"responseLogprobs": True}}, "responseLogprobs"),
    ],
)
def test_unsupported_parts_are_a_400_that_names_them(call, param):
    with pytest.raises(litellm.BadRequestError) as raised:
        to_adapter(call)
    assert raised.value.param == param


NULLABLE = {
    "type": "OBJECT",
    "properties": {"nullable": {"type": "STRING", "enum": ["a"], "nullable": True}, "b": {"type": "INTEGER"}},
    "propertyOrdering": ["nullable", "b"],
}


@pytest.mark.parametrize(
    ("generation", "format_"),
    [
        ({}, None),
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, {"type": "json_object"}),
        (
            {"responseSchema": NULLABLE},
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "response",
                    "schema": {
                        "type": "object",
                        "properties": {
                            "nullable": {"type": ["string", "null"], "enum": ["a", None]},
                            "b": {"type": "integer"},
                        },
                    },
                },
            },
        ),
    ],
    ids=["nothing", "text", "JSON of any kind", "a schema"],
)
def test_a_generation_config_becomes_a_response_format(generation, format_):
    assert from_adapter(chat(generationConfig=generation)).get("response_format") == format_


def test_allowed_functions_become_a_tool_choice():
    calling = {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}
    choice = from_adapter(chat(toolConfig={"functionCallingConfig": calling}))["tool_choice"]
    assert [tool["function"]["name"] for tool in choice["allowed_tools"]["tools"]] == ["a", "b"]
    assert "tool_choice" not in from_adapter(chat(toolConfig={"functionCallingConfig": {"mode": "AUTO"}}))
