"""The openai SDK's responses on /v1/responses of the real proxy, and requests shaped like Codex's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import openai
import pydantic
import pytest

from tests.support.processes import ROOT
from tests.support.protocols import STREAMED, ask_responses, block
from tests.support.proxy import Proxy, Simulator

SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "array", "items": {"type": "string"}}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin hunk+ end"},
}
DIFF = "*** Begin Patch\n*** Update File: a.py\n-a\n+b\n*** End Patch"


QUERY = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
GITHUB = {
    "type": "namespace",
    "name": "mcp__github",
    "description": "GitHub",
    "tools": [
        {"type": "function", "name": "search", "description": "Searches issues", "strict": False, "parameters": QUERY}
    ],
}


class City(pydantic.BaseModel):
    """A city, as a structured answer."""

    nome: str


@STREAMED
def test_a_loop_of_function_calls_runs_to_its_answer(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script(
        {"text": "Olho.\n" + block("shell", command=["ls"]) + block("shell", command=["pwd"])},
        {"text": "Há a.py em /x.", "tokens": {"input": 51, "output": 8}},
    )
    first = ask_responses(client, "O que há aqui?", tools=[SHELL], stream=stream)
    message, *calls = first.output
    assert (message.type, first.output_text, first.status) == ("message", "Olho.", "completed")
    assert [(call.type, call.name, json.loads(call.arguments)) for call in calls] == [
        ("function_call", "shell", {"command": ["ls"]}),
        ("function_call", "shell", {"command": ["pwd"]}),
    ]
    assert len({call.id for call in calls}) == len({call.call_id for call in calls}) == 2
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": output}
        for call, output in zip(calls, ["a.py", "/x"], strict=True)
    ]
    said = [item.model_dump(exclude_none=True) for item in first.output]
    final = ask_responses(
        client, [{"role": "user", "content": "O que há aqui?"}, *said, *results], tools=[SHELL], stream=stream
    )
    assert ([item.type for item in final.output], final.output_text) == (["message"], "Há a.py em /x.")
    assert (final.usage.input_tokens, final.usage.output_tokens, final.usage.total_tokens) == (51, 8, 59)
    prompt = simulator.prompts()[-1]
    assert prompt.index("«assistant»\nOlho.\nFUNCTION_CALL_START") < prompt.index("«tool result 1/2 name=shell»\na.py")
    assert "«tool result 2/2 name=shell»\n/x" in prompt


def test_a_streams_events_tell_each_item_and_its_deltas(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "Olho.\n" + block("shell", command=["ls"]), "cut": 4})
    with client.responses.stream(model="stackspot-chat", input="?", tools=[SHELL]) as stream:
        events = list(stream)
    types = [event.type for event in events]
    assert types[0] == "response.created"
    assert types[-1] == "response.completed"
    assert [event.item.type for event in events if event.type == "response.output_item.added"] == [
        "message",
        "function_call",
    ]
    assert sorted(event.item.type for event in events if event.type == "response.output_item.done") == [
        "function_call",
        "message",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert (text, json.loads(arguments)) == ("Olho.", {"command": ["ls"]})
    assert len({event.response.id for event in events if event.type in ("response.created", "response.completed")}) == 1


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("required", "at least one FUNCTION_CALL_START block."),
        ({"type": "function", "name": "shell"}, "a FUNCTION_CALL_START block for shell."),
        ({"type": "custom", "name": "apply_patch"}, "a FUNCTION_CALL_START block for apply_patch."),
        ("auto", "or, if nothing is, the answer."),
        ("none", "O que há?"),
    ],
    ids=["required", "function", "custom", "auto", "none"],
)
def test_each_tool_choice_reaches_the_agent(
    client: openai.OpenAI, simulator: Simulator, choice: Any, says: str
) -> None:
    custom = isinstance(choice, dict) and choice["type"] == "custom"
    simulator.script({"text": block("apply_patch", content=DIFF) if custom else block("shell", command=["ls"])})
    response = ask_responses(client, "O que há?", tools=[SHELL, PATCH], tool_choice=choice)
    kind = "message" if choice == "none" else "custom_tool_call" if custom else "function_call"
    assert [item.type for item in response.output] == [kind]
    assert says in simulator.prompts()[0].splitlines()[-1]


@STREAMED
@pytest.mark.parametrize(
    "written",
    [
        f"\n{DIFF}",
        f"\narguments: {DIFF}",
        f"\narguments: {json.dumps(DIFF)}",
        f"\narguments: {json.dumps({'input': DIFF})}",
        f"\narguments: {json.dumps({'patch': DIFF})}",
    ],
    ids=["raw", "raw behind the label", "a string", "another name", "one more name"],
)
def test_a_free_form_tool_gets_its_text_however_the_agent_writes_it(
    client: openai.OpenAI, simulator: Simulator, stream: bool, written: str
) -> None:
    simulator.script({"text": f"FUNCTION_CALL_START\napply_patch{written}\nFUNCTION_CALL_END"})
    params: Any = {"model": "stackspot-chat", "input": "Change a to b.", "tools": [SHELL, PATCH]}
    if stream:  # the SDK's helper does not know the events of LiteLLM's custom calls
        *_, completed = client.responses.create(stream=True, **params)
        response = completed.response
    else:
        response = client.responses.create(**params)
    (call,) = response.output
    assert (call.type, call.name, call.input.removesuffix("\n")) == ("custom_tool_call", "apply_patch", DIFF)
    assert len(simulator.prompts()) == 1


@STREAMED
@pytest.mark.parametrize("tool", [SHELL, PATCH], ids=["function", "custom"])
def test_only_the_allowed_tools_are_shown(
    client: openai.OpenAI, simulator: Simulator, tool: dict[str, Any], stream: bool
) -> None:
    simulator.script({"text": "Nada a fazer."})
    allowed = [{"type": tool["type"], "name": tool["name"]}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    assert (
        ask_responses(client, "?", tools=[SHELL, PATCH], tool_choice=choice, stream=stream).output_text
        == "Nada a fazer."
    )
    [prompt] = simulator.prompts()
    assert [name in prompt for name in ("shell", "apply_patch")] == [tool is SHELL, tool is PATCH]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"tool_choice": "required"}, "the request declares no tools"),
        ({"tools": [SHELL], "tool_choice": {"type": "function", "name": "voar"}}, "names 'voar'"),
    ],
    ids=["required without tools", "undeclared"],
)
def test_a_choice_that_cannot_be_met_is_a_400(
    client: openai.OpenAI, simulator: Simulator, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        ask_responses(client, "?", **params)


@STREAMED
def test_a_json_answer_is_parsed_by_the_sdk(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": '```json\n{"nome": "Recife"}\n```'})
    if stream:
        with client.responses.stream(model="stackspot-chat", input="?", text_format=City) as events:
            response = events.get_final_response()
    else:
        response = client.responses.parse(model="stackspot-chat", input="?", text_format=City)
    assert response.output_parsed == City(nome="Recife")


@STREAMED
def test_a_limit_of_tokens_leaves_the_response_incomplete(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"pieces": ["abcd "] * 300, "cadence": 0.01})
    if stream:  # the SDK's helper knows no incomplete end
        *_, last = client.responses.create(model="stackspot-chat", input="?", max_output_tokens=10, stream=True)
        assert last.type == "response.incomplete"
        response = last.response
    else:
        response = ask_responses(client, "?", max_output_tokens=10)
    assert (response.output_text, response.status) == ("abcd " * 10, "incomplete")
    assert response.incomplete_details.reason == "max_output_tokens"
    assert simulator.wait_for_disconnect()["frames_sent"] < 200


CODEX: dict[str, Any] = {
    "instructions": "You are Codex.",
    "tools": [
        SHELL,
        PATCH,
        {"type": "local_shell"},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-7f",
    "text": {"verbosity": "medium"},
}
HISTORY: list[dict[str, Any]] = [
    {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "<permissions>rw</permissions>"}],
    },
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context/>"}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gA"},
    {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call_output", "call_id": "call_1", "output": "a.py"},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": DIFF, "status": "completed"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Success"},
]


CODEX_HEADERS = {
    "user-agent": "codex_cli_rs/0.60.0",
    "originator": "codex_cli_rs",
    "OpenAI-Beta": "responses=experimental",
}
PATCH_SHOWN = '{"name":"apply_patch","description":"Edits files\\n\\nFormat:\\n```lark\\nstart: begin hunk+ end\\n```"'
CONVERSATION = f"""«conversation»
«user»
<environment_context/>

«user»
Fix it

«assistant»
I look.
FUNCTION_CALL_START
shell
arguments: {{"command":["ls"]}}
FUNCTION_CALL_END

«tool result name=shell»
a.py

«assistant»
FUNCTION_CALL_START
apply_patch
arguments: {json.dumps({"content": DIFF})}
FUNCTION_CALL_END

«tool result name=apply_patch»
Success

«reminder»
Write the assistant's next reply now, without a label: a FUNCTION_CALL_START block if something is still to be done \
or, if nothing is, the answer."""


def as_codex_reads(client: openai.OpenAI, *, stream: bool) -> tuple[dict[str, Any], Any]:
    """Ask as Codex does; return the items by their type, and the usage. Of a stream Codex takes the items as they are done."""
    params = {"model": "stackspot-chat", "input": HISTORY, "extra_headers": CODEX_HEADERS, **CODEX}
    if not stream:
        response = client.responses.create(**params)
        return {item.type: item for item in response.output}, response.usage
    events = list(client.responses.create(**params, stream=True))
    assert events[-1].type == "response.completed"
    done = [event.item for event in events if event.type == "response.output_item.done"]
    return {item.type: item for item in done}, events[-1].response.usage


@STREAMED
def test_a_request_of_codex_is_understood_and_answered(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    text = "Patching.\n" + block("apply_patch", content=DIFF)
    simulator.script({"text": text, "tokens": {"input": 700, "output": 40}})
    items, usage = as_codex_reads(client, stream=stream)
    call = items["custom_tool_call"]
    assert (call.name, call.input, call.status) == ("apply_patch", DIFF, "completed")
    assert items["message"].content[0].text == "Patching."
    assert (usage.input_tokens, usage.output_tokens) == (700, 40)
    [prompt] = simulator.prompts()
    assert prompt.startswith("You are Codex.\n\n<permissions>rw</permissions>\n\n«tools»\n")
    assert PATCH_SHOWN in prompt
    assert "web_search" not in prompt
    assert prompt[prompt.index("«conversation»") :] == CONVERSATION


@STREAMED
def test_a_function_call_of_codex_comes_with_the_id_that_its_result_names(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": block("shell", command=["ls", "-la"])})
    response = ask_responses(client, "?", stream=stream, **{**CODEX, "tools": [SHELL]})
    [call] = response.output
    assert (call.type, json.loads(call.arguments)) == ("function_call", {"command": ["ls", "-la"]})
    assert call.call_id.startswith("call_")
    assert call.id != call.call_id


@STREAMED
def test_a_loop_of_calls_continues_by_the_id_of_the_last_response(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": "Olho.\n" + block("shell", command=["ls"])}, {"text": "Há a.py."}, {"text": "Só isso."})
    first = ask_responses(client, "O que há?", tools=[SHELL], stream=stream, instructions="Seja breve.")
    [call] = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "a.py"}
    second = ask_responses(client, [result], tools=[SHELL], stream=stream, previous_response_id=first.id)
    third = ask_responses(client, "Mais?", stream=stream, previous_response_id=second.id)
    assert (second.output_text, second.previous_response_id, third.previous_response_id) == (
        "Há a.py.",
        first.id,
        second.id,
    )
    _, middle, last = simulator.prompts()
    assert "Seja breve." not in middle  # as OpenAI says, instructions hold for one response
    assert "«assistant»\nOlho.\nFUNCTION_CALL_START\nshell" in middle
    assert "«tool result name=shell»\na.py" in middle
    assert last.index("O que há?") < last.index("a.py") < last.index("Há a.py.") < last.index("Mais?")
    assert client.responses.retrieve(third.id).model_dump(exclude_none=True) == third.model_dump(
        exclude_none=True, exclude={"output": {"__all__": {"content": {"__all__": {"parsed"}}}}}
    )


def test_an_item_is_sent_by_its_id(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "Sou eu."}, {"text": "Sim."})
    first = ask_responses(client, "Quem?")
    ask_responses(
        client,
        [
            {"role": "user", "content": "Quem?"},
            {"type": "item_reference", "id": first.output[0].id},
            {"role": "user", "content": "Mesmo?"},
        ],
    )
    assert "«assistant»\nSou eu.\n\n«user»\nMesmo?" in simulator.prompts()[-1]


def test_a_kept_response_can_be_read_page_by_page_and_deleted(client: openai.OpenAI, simulator: Simulator) -> None:
    said = [{"role": "user", "content": f"{number}"} for number in range(5)]
    response = ask_responses(client, said, metadata={"equipe": "a"})
    kept = client.responses.retrieve(response.id)
    assert (kept.output_text, kept.usage, kept.model, kept.status) == (
        response.output_text,
        response.usage,
        "stackspot-chat",
        "completed",
    )
    listed = list(client.responses.input_items.list(response.id, limit=2))  # the SDK asks for each page
    assert [item.content[0].text for item in listed] == ["4", "3", "2", "1", "0"]
    with pytest.raises(openai.BadRequestError, match="a kept response cannot be streamed again"):
        client.responses.retrieve(response.id, stream=True)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(response.id)
    client.responses.delete(response.id)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="This proxy has no response"):
            call(response.id)
    assert len(simulator.requests()) == 1


def test_a_cut_response_is_kept_as_incomplete(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "abcd " * 30})
    *_, last = client.responses.create(model="stackspot-chat", input="?", max_output_tokens=10, stream=True)
    assert client.responses.retrieve(last.response.id).status == "incomplete"


def test_the_example_continues_and_deletes_responses(proxy: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": "Olá, Ana."}, {"text": "Ana."})
    environ = os.environ | {"PROXY_URL": proxy.url, "LITELLM_MASTER_KEY": proxy.key}
    command = [sys.executable, str(ROOT / "examples/openai/continued.py")]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    said = ["user: Meu nome é Ana.", "assistant: Olá, Ana.", "user: Como eu me chamo?"]
    assert run.stdout.splitlines() == ["Olá, Ana.", "Ana.", *said]


def test_conversations_are_not_compacted(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="This model cannot compact a conversation"):
        client.responses.compact(model="stackspot-chat", input="Oi")


@STREAMED
def test_functions_of_a_namespace_are_called_by_both_names(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": block("mcp__github__search", q="bug")}, {"text": "Um."})
    history: list[Any] = [{"role": "user", "content": "Há falhas?"}]
    first = ask_responses(client, history, tools=[GITHUB, SHELL], stream=stream)
    [call] = first.output
    assert (call.type, call.namespace, call.name) == ("function_call", "mcp__github", "search")
    assert json.loads(call.arguments) == {"q": "bug"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "#7"}
    second = ask_responses(client, [*history, *first.output, result], tools=[GITHUB, SHELL], stream=stream)
    assert second.output_text == "Um."
    asked, answered = simulator.prompts()
    assert '{"name":"mcp__github__search","description":"GitHub\\n\\nSearches issues"' in asked
    assert "FUNCTION_CALL_START\nmcp__github__search\n" in answered
    assert "«tool result name=mcp__github__search»\n#7\n" in answered
