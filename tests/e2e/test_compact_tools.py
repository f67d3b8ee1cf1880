"""Tools in fewer words through the real proxy: every protocol, and a call that only the client's schema refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.protocols import STREAMED, block
from tests.support.proxy import Proxy, Simulator

KEPT, CUT = "Diz o tempo de uma cidade.", "Esta frase fica de fora."
TOOL: dict[str, Any] = {"name": "tempo", "description": " ".join([KEPT, *["Vale para hoje."] * 40, CUT])}
SCHEMA = {
    "type": "object",
    "properties": {"cidade": {"type": "string", "title": "A cidade toda"}},
    "required": ["cidade"],
    "additionalProperties": False,
}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
TOOLS = {
    CHAT: {"type": "function", "function": {**TOOL, "parameters": SCHEMA, "strict": True}},
    RESPONSES: {"type": "function", **TOOL, "parameters": SCHEMA, "strict": True},
    MESSAGES: {**TOOL, "input_schema": SCHEMA},
}


def ask(proxy: Proxy, path: str, **more: Any) -> str:
    said = {"input": "?"} if path == RESPONSES else {"messages": [{"role": "user", "content": "?"}]}
    response = proxy.post(path, {"model": "compact", "max_tokens": 500, "tools": [TOOLS[path]], **said, **more})
    assert response.status_code == 200, response.text
    return response.text


@STREAMED
@pytest.mark.parametrize("path", TOOLS)
def test_the_agent_reads_less_of_the_tools(priced: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": block("tempo", cidade="Recife")})
    assert "Recife" in ask(priced, path, stream=stream)
    [prompt] = simulator.prompts()
    assert [text in prompt for text in (KEPT, '"required":["cidade"]', CUT, "A cidade toda")] == [
        True,
        True,
        False,
        False,
    ]


def test_gemini_too(priced: Proxy, simulator: Simulator) -> None:
    schema = {
        name: value for name, value in SCHEMA.items() if name != "additionalProperties"
    }  # Gemini has no such field
    body = {
        "contents": [{"role": "user", "parts": [{"text": "?"}]}],
        "tools": [{"functionDeclarations": [{**TOOL, "parameters": schema}]}],
    }
    simulator.script({"text": block("tempo", cidade="Recife")})
    response = priced.post("/v1beta/models/compact:generateContent", body)
    assert "Recife" in response.text
    [prompt] = simulator.prompts()
    assert (KEPT in prompt, CUT in prompt) == (True, False)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_call_that_the_clients_schema_refuses_is_repaired(priced: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"text": block("tempo", cidade="Natal", dia=1)}, {"text": block("tempo", cidade="Recife")})
    text = ask(priced, path)
    assert ("Recife" in text, "Natal" in text) == (True, False)
    first, repair = simulator.prompts()
    assert ("additionalProperties" in first, "'dia'" in repair) == (False, True)
