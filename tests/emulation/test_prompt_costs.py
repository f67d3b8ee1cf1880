"""docs/prompt.md: the rules that it quotes stand in the prompt, and cost what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from custom_handler.emulation.json_output import JsonFormat, compact
from custom_handler.emulation.prompt.render import render
from custom_handler.request.chat_request import ChatRequest

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/prompt.md").read_text("utf-8")
RULES = re.findall(r"^\| ``(.+?)`` \|.*\| (\d+) \|$", DOCUMENT, re.MULTILINE)
TOTALS = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|$", DOCUMENT.partition("## What is added in all")[2], re.MULTILINE))

SYSTEM = {"role": "system", "content": "You are helpful."}
USER = {"role": "user", "content": "Como está o tempo?"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def tool(name: str, argument: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}


TOOLS = [tool("get_weather", "city"), tool("search", "query"), tool("read", "path")]


def loop(results: int) -> list[dict[str, Any]]:
    """Turns with one call each, and its result."""
    turns: list[dict[str, Any]] = []
    for number in range(results):
        call = {"id": f"call_{number:024}", "function": {"name": "get_weather", "arguments": '{"city":"Recife"}'}}
        turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
        turns.append({"role": "tool", "tool_call_id": call["id"], "content": "28 graus"})
    return turns


def cost(messages: list[dict[str, Any]], tools: int = 0, schema: dict[str, Any] | None = None, **params: Any) -> int:
    """The characters of the prompt that are not the client's."""
    request = ChatRequest.from_openai(messages, {"tools": TOOLS[:tools], **params})
    texts = [message.get("content") or "" for message in messages]
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    texts += [text for function in calls for text in (function["name"], function["arguments"])]
    texts += [compact(TOOLS[number]["function"]) for number in range(len(request.tools))]
    texts += [compact(schema)] if schema else []
    answer_format = JsonFormat(schema).instruction() if schema else ""
    return len(render(request, answer_format=answer_format)) - sum(map(len, texts))


COSTS = {  # and what they may become: those of a trial of this wording, and nothing where there is nothing to say
    "a lone user message": (cost([USER]), 0),
    "a system text and a question": (cost([SYSTEM, USER]), 91),
    "two tools, first turn": (cost([SYSTEM, USER], 2), 1236),
    "three tools, loop of five results": (cost([SYSTEM, USER, *loop(5)], 3), 1832),
    "two tools, a call required": (cost([SYSTEM, USER], 2, tool_choice="required"), 1215),
    "two tools and a JSON Schema": (cost([SYSTEM, USER], 2, SCHEMA), 1451),
    "`tool_choice: none` after a call": (cost([SYSTEM, USER, *loop(1)], 1, tool_choice="none"), 242),
}


@pytest.mark.parametrize(("text", "characters"), RULES)
def test_a_quoted_rule_stands_in_the_prompt_and_costs_what_it_says(text, characters):
    parallel = "one block at most" not in text
    request = ChatRequest.from_openai([SYSTEM, USER], {"tools": TOOLS, "parallel_tool_calls": parallel})
    assert render(request).count(f"\n{text}\n") == 1
    assert len(text) + 1 == int(characters)


def test_every_line_of_the_tools_section_is_quoted():
    section = render(ChatRequest.from_openai([USER], {"tools": TOOLS})).partition("\n\n«conversation»")[0]
    lines = [line for line in section.split("\n") if line and not line.startswith(("{", "«", "FUNCTION", "arguments"))]
    assert set(lines) - {text for text, _ in RULES} == {"get_weather"}


@pytest.mark.parametrize("request_kind", COSTS)
def test_the_prompt_adds_what_the_document_says_and_no_more_than_it_may(request_kind):
    added, most = COSTS[request_kind]
    assert added == int(TOTALS[request_kind])
    assert added <= most


def test_the_document_lists_no_other_request():
    assert TOTALS.keys() == COSTS.keys()
