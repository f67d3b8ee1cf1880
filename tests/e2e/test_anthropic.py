"""The Anthropic SDK on /v1/messages of the real proxy, and requests shaped like Claude Code's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.support.protocols import STREAMED, ask_messages, block
from tests.support.proxy import Proxy, Simulator

BASH = {
    "name": "Bash",
    "description": "Runs a command",
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
READ = {
    "name": "Read",
    "description": "Reads a file",
    "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
}


@pytest.fixture(scope="module")
def claude(proxy: Proxy) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0) as made:
        yield made


@STREAMED
def test_a_loop_with_tool_results_runs_to_its_answer(
    claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    simulator.script(
        {"text": "Olho os dois.\n" + block("Bash", command="ls") + block("Read", file_path="/x")},
        {"text": "/x não existe.", "tokens": {"input": 41, "output": 6}},
    )
    first = ask_messages(claude, "O que há aqui?", tools=[BASH, READ], stream=stream)
    text, *uses = first.content
    assert (text.type, text.text, first.stop_reason) == ("text", "Olho os dois.", "tool_use")
    assert [(use.type, use.name, use.input) for use in uses] == [
        ("tool_use", "Bash", {"command": "ls"}),
        ("tool_use", "Read", {"file_path": "/x"}),
    ]
    assert uses[0].id != uses[1].id
    results = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": [{"type": "text", "text": "a.py"}]},
        {"type": "tool_result", "tool_use_id": uses[1].id, "content": "No such file", "is_error": True},
    ]
    history = [
        {"role": "user", "content": "O que há aqui?"},
        {"role": "assistant", "content": [part.model_dump(exclude_none=True) for part in first.content]},
        {"role": "user", "content": results},
    ]
    final = ask_messages(claude, history, tools=[BASH, READ], stream=stream)
    assert ([part.text for part in final.content], final.stop_reason) == (["/x não existe."], "end_turn")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (41, 6)
    prompt = simulator.prompts()[-1]
    assert "«tool result 1/2 name=Bash»\na.py" in prompt
    assert "«tool result 2/2 name=Read error»\nNo such file" in prompt


@STREAMED
def test_a_long_tool_name_is_called_by_its_own_name(
    claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    name = "mcp__awslabs_billing-cost-management-mcp-server__get_savings_plans_details_x"
    simulator.script({"text": block(name, command="x")})
    message = ask_messages(claude, f"Use {name}.", tools=[{**BASH, "name": name}], stream=stream)
    assert [(part.name, part.input) for part in message.content] == [(name, {"command": "x"})]
    assert len(simulator.prompts()) == 1


def test_a_streams_events_come_in_their_order(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    simulator.script({"text": "Olho.\n" + block("Bash", command="ls") + block("Bash", command="pwd"), "cut": 4})
    params: Any = {"model": "stackspot-chat", "max_tokens": 500, "tools": [BASH]}
    with claude.messages.create(messages=[{"role": "user", "content": "?"}], stream=True, **params) as events:
        told = [(event.type, getattr(event, "index", None)) for event in events]
    once = list(dict.fromkeys(told))
    blocks = [(f"content_block_{what}", index) for index in (0, 1, 2) for what in ("start", "delta", "stop")]
    assert once == [("message_start", None), *blocks, ("message_delta", None), ("message_stop", None)]


@STREAMED
def test_one_call_is_all_that_disable_parallel_tool_use_lets_through(
    claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": block("Bash", command="ls") + block("Bash", command="pwd")})
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    message = ask_messages(claude, "?", tools=[BASH], tool_choice=choice, stream=stream)
    assert [part.input for part in message.content] == [{"command": "ls"}]
    assert "one block at most" in simulator.prompts()[0]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"type": "any"}, "at least one FUNCTION_CALL_START block."),
        ({"type": "tool", "name": "Read"}, "a FUNCTION_CALL_START block for Read."),
        ({"type": "auto"}, "or, if nothing is, the answer."),
        ({"type": "none"}, "O que há?"),
    ],
    ids=["any", "tool", "auto", "none"],
)
def test_each_tool_choice_reaches_the_agent(
    claude: anthropic.Anthropic, simulator: Simulator, choice: Any, says: str
) -> None:
    simulator.script({"text": block("Read", file_path="/x") if choice["type"] != "none" else "Nada."})
    message = ask_messages(claude, "O que há?", tools=[BASH, READ], tool_choice=choice)
    assert message.stop_reason == ("end_turn" if choice["type"] == "none" else "tool_use")
    [prompt] = simulator.prompts()
    assert says in prompt.splitlines()[-1]


def test_a_choice_of_an_undeclared_tool_is_a_400(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    with pytest.raises(anthropic.BadRequestError, match="tool_choice names 'Voar'"):
        ask_messages(claude, "?", tools=[BASH], tool_choice={"type": "tool", "name": "Voar"})


@STREAMED
def test_stop_sequences_end_the_answer(claude: anthropic.Anthropic, simulator: Simulator, stream: bool) -> None:
    simulator.script({"pieces": [f"linha {number}\n" for number in range(300)], "cadence": 0.01})
    message = ask_messages(claude, "Escreva", stop_sequences=["linha 3"], stream=stream)
    assert message.content[0].text == "linha 0\nlinha 1\nlinha 2\n"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "linha 3")
    assert simulator.wait_for_disconnect()["frames_sent"] < 200


@STREAMED
def test_max_tokens_end_the_answer(claude: anthropic.Anthropic, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "abcd " * 500})
    message = ask_messages(claude, "Escreva", max_tokens=10, stream=stream)
    assert (message.content[0].text, message.stop_reason) == ("abcd " * 10, "max_tokens")


CLAUDE_CODE: dict[str, Any] = {
    "metadata": {"user_id": "user_0a1b_account__session_2c3d"},
    "system": [
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be concise.", "cache_control": {"type": "ephemeral"}},
    ],
    "tools": [
        {**BASH, "cache_control": {"type": "ephemeral"}},
        READ,
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "max_tokens": 32000,
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>today</system-reminder>"},
                {"type": "text", "text": "Run the tests", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls"}},
                {"type": "tool_use", "id": "toolu_02", "name": "Read", "input": {"file_path": "/x"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01", "content": [{"type": "text", "text": "a.py"}]},
                {"type": "tool_result", "tool_use_id": "toolu_02", "content": "No such file", "is_error": True},
                {"type": "text", "text": "Go on", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ],
}


CLAUDE_CODE_SENDS: dict[str, Any] = {
    "timeout": 60,
    "extra_headers": {
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14",
        "user-agent": "claude-cli/2.0.1 (external, cli)",
    },
    "extra_query": {"beta": "true"},
    "extra_body": {"temperature": 1, "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
}
CONVERSATION = """«conversation»
«user»
<system-reminder>today</system-reminder>
Run the tests

«assistant»
I look.
FUNCTION_CALL_START
Bash
arguments: {"command": "ls"}
FUNCTION_CALL_END
FUNCTION_CALL_START
Read
arguments: {"file_path": "/x"}
FUNCTION_CALL_END

«tool result 1/2 name=Bash»
a.py

«tool result 2/2 name=Read error»
No such file

«user»
Go on

«reminder»
Write the assistant's next reply now, without a label: a FUNCTION_CALL_START block for each thing still to be done \
or, if nothing is, the answer."""


@STREAMED
@pytest.mark.parametrize(
    "thinking", [{"type": "enabled", "budget_tokens": 31999}, {"type": "adaptive"}], ids=["enabled", "adaptive"]
)
def test_a_request_of_claude_code_is_understood_and_answered(
    claude: anthropic.Anthropic, simulator: Simulator, thinking: Any, stream: bool
) -> None:
    simulator.script({"text": "Running.\n" + block("Bash", command="pytest"), "tokens": {"input": 900, "output": 20}})
    message = ask_messages(claude, thinking=thinking, stream=stream, **CLAUDE_CODE, **CLAUDE_CODE_SENDS)
    assert [part.type for part in message.content] == ["text", "tool_use"]
    assert (message.content[1].name, message.content[1].input) == ("Bash", {"command": "pytest"})
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 900, 20)
    [prompt] = simulator.prompts()
    assert prompt.startswith("You are Claude Code.\nBe concise.\n\n«tools»\n")
    assert '{"name":"Bash","description":"Runs a command","parameters":{"type":"object"' in prompt
    assert "web_search" not in prompt
    assert prompt[prompt.index("«conversation»") :] == CONVERSATION


def test_tokens_can_be_counted_before_the_call(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    counted = claude.messages.count_tokens(
        model="stackspot-chat", messages=CLAUDE_CODE["messages"], tools=[BASH], system="Be concise."
    )
    assert counted.input_tokens > 20
    assert simulator.requests() == []
