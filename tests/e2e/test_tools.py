"""Tools with the openai SDK against the real proxy: loops, parallel calls, each tool_choice, the older form, and repairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from tests.support.protocols import STREAMED, ask_chat, block, calls_of, complete_chat, tool
from tests.support.proxy import Proxy, Simulator
from tests.support.specification import conforms

FILES = {"soma.py": "def soma(a, b):\n    return a - b\n"}


TIME, MAIL = tool("tempo", "cidade"), tool("enviar", "para", "texto")


class Workshop:
    """The tools of a small coding agent, which work on files in memory."""

    tools = (
        tool("listar"),
        tool("ler", "arquivo"),
        tool("buscar", "texto"),
        tool("editar", "arquivo", "antes", "depois"),
        tool("testar"),
    )

    def __init__(self) -> None:
        self.files = dict(FILES)

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        match name:
            case "listar":
                return "\n".join(self.files)
            case "ler":
                return self.files[arguments["arquivo"]]
            case "buscar":
                return ", ".join(file for file, text in self.files.items() if arguments["texto"] in text)
            case "editar":
                file = arguments["arquivo"]
                self.files[file] = self.files[file].replace(arguments["antes"], arguments["depois"])
                return "ok"
            case _:
                return "1 passed" if "a + b" in self.files["soma.py"] else "1 failed"


@STREAMED
def test_a_loop_of_five_steps_runs_to_its_answer(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    edit = 'FUNCTION_CALL_START\neditar\narguments: {"arquivo": "soma.py", "antes": "\n    return a - b",\n"depois": '
    simulator.script(
        {"text": "Vou olhar os arquivos.\n" + block("listar")},
        {"text": block("ler", arquivo="soma.py")},
        {"text": block("buscar", texto="a - b")},
        {"text": edit + '"\n    return a + b",}\nFUNCTION_CALL_END'},  # as models write: raw newlines, a comma too many
        {"text": block("testar")},
        {"text": "Corrigi soma.py; o teste passa."},
    )
    workshop, told = Workshop(), []
    messages: list[Any] = [{"role": "system", "content": "Você conserta código."}]
    messages.append({"role": "user", "content": "O teste de soma falha."})
    for _ in range(10):
        choice = ask_chat(client, messages, tools=workshop.tools, stream=stream)
        messages.append(choice.message.model_dump(exclude_none=True))
        for call in choice.message.tool_calls or ():
            told.append(workshop.run(call.function.name, json.loads(call.function.arguments)))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": told[-1]})
        if choice.finish_reason == "stop":
            break
    assert told == ["soma.py", FILES["soma.py"], "soma.py", "ok", "1 passed"]
    assert choice.message.content == "Corrigi soma.py; o teste passa."
    prompts = simulator.prompts()
    assert len(prompts) == 6
    assert [prompt.count("«tool result") for prompt in prompts] == [0, 1, 2, 3, 4, 5]
    assert all(prompt.startswith("Você conserta código.\n") for prompt in prompts)
    assert "name=testar»\n1 passed" in prompts[-1]


@STREAMED
def test_calls_of_one_reply_arrive_in_their_order_with_ids_of_their_own(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    cities = ["Recife", "São Paulo", "Belém"]
    simulator.script({"text": "Vejo as três.\n" + "".join(block("tempo", cidade=city) for city in cities)})
    choice = ask_chat(client, "O tempo nas três?", tools=[TIME], stream=stream)
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Vejo as três.")
    assert calls_of(choice) == [("tempo", {"cidade": city}) for city in cities]
    assert len({call.id for call in choice.message.tool_calls}) == 3
    results = [{"role": "tool", "tool_call_id": c.id, "content": "28 °C"} for c in choice.message.tool_calls]
    ask_chat(
        client, [{"role": "user", "content": "?"}, choice.message.model_dump(exclude_none=True), *results], tools=[TIME]
    )
    assert [f"«tool result {number}/3 name=tempo»" in simulator.prompts()[-1] for number in (1, 2, 3)] == [True] * 3


def test_parallel_calls_conform_to_the_published_schema(proxy: Proxy, simulator: Simulator) -> None:
    text = "Vejo.\n" + block("tempo", cidade="Recife") + block("tempo", cidade="Natal")
    simulator.script({"text": text, "times": 2})
    body = {"model": "stackspot-chat", "tools": [TIME], "messages": [{"role": "user", "content": "?"}]}
    conforms(proxy.post("/v1/chat/completions", body).json(), "CreateChatCompletionResponse")
    lines = proxy.post("/v1/chat/completions", body | {"stream": True}).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line and not line.endswith("[DONE]")]
    for chunk in chunks:
        conforms(chunk, "CreateChatCompletionStreamResponse")
    deltas = [delta for chunk in chunks for c in chunk["choices"] for delta in c["delta"].get("tool_calls") or ()]
    assert sorted({delta["index"] for delta in deltas}) == [0, 1]


@STREAMED
def test_one_call_is_all_that_parallel_tool_calls_false_lets_through(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script(
        {"text": block("tempo", cidade="Recife") + block("tempo", cidade="Natal") + "x " * 400, "cadence": 0.01}
    )
    choice = ask_chat(client, "O tempo?", tools=[TIME], parallel_tool_calls=False, stream=stream)
    assert (choice.finish_reason, calls_of(choice)) == ("tool_calls", [("tempo", {"cidade": "Recife"})])
    assert "one block at most" in simulator.prompts()[0]
    simulator.wait_for_disconnect()


@STREAMED
def test_tool_choice_none_leaves_the_tools_out(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Não sei."})
    choice = ask_chat(client, "O tempo?", tools=[TIME], tool_choice="none", stream=stream)
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", "Não sei.", None)
    assert simulator.prompts() == ["O tempo?"]


@STREAMED
def test_tool_choice_auto_may_answer_in_text(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": "Olá."})
    choice = ask_chat(client, "Oi", tools=[TIME], tool_choice="auto", stream=stream)
    assert (choice.finish_reason, choice.message.content) == ("stop", "Olá.")
    assert len(simulator.requests()) == 1


@STREAMED
@pytest.mark.parametrize(
    "wanted", ["required", {"type": "function", "function": {"name": "enviar"}}], ids=["any", "named"]
)
def test_a_call_that_has_to_come_is_asked_for_again(
    client: openai.OpenAI, simulator: Simulator, wanted: Any, stream: bool
) -> None:
    simulator.script({"text": "Posso enviar, se quiser."}, {"text": block("enviar", para="Ana", texto="Oi")})
    choice = ask_chat(client, "Escreva à Ana", tools=[TIME, MAIL], tool_choice=wanted, stream=stream)
    assert (choice.finish_reason, calls_of(choice)) == ("tool_calls", [("enviar", {"para": "Ana", "texto": "Oi"})])
    first, second = simulator.prompts()
    assert "FUNCTION_CALL_START block" in first.rpartition("«reminder»")[2]
    assert second.startswith(first)


@STREAMED
def test_only_the_chosen_tool_is_called(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    named = {"type": "function", "function": {"name": "tempo"}}
    simulator.script({"text": block("enviar", para="Ana", texto="Oi") + block("tempo", cidade="Recife")})
    choice = ask_chat(client, "?", tools=[TIME, MAIL], tool_choice=named, stream=stream)
    assert calls_of(choice) == [("tempo", {"cidade": "Recife"})]


@STREAMED
def test_only_the_allowed_tools_are_shown_and_called(client: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    only = {"mode": "required", "tools": [{"type": "function", "function": {"name": "tempo"}}]}
    simulator.script({"text": block("tempo", cidade="Recife")})
    choice = ask_chat(
        client, "?", tools=[TIME, MAIL], tool_choice={"type": "allowed_tools", "allowed_tools": only}, stream=stream
    )
    assert calls_of(choice) == [("tempo", {"cidade": "Recife"})]
    [prompt] = simulator.prompts()
    assert "enviar" not in prompt
    assert "at least one FUNCTION_CALL_START block." in prompt


@STREAMED
def test_a_block_that_cannot_be_read_is_mended_out_of_sight_and_its_cost_is_told(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    broken = 'FUNCTION_CALL_START\nenviar\narguments: {"para": "Ana", "texto": 10,50}\nFUNCTION_CALL_END\n'
    simulator.script(
        {"text": "Vejo e envio.\n" + block("tempo", cidade="Recife") + broken, "tokens": {"input": 100, "output": 20}},
        {"text": block("enviar", para="Ana", texto="10,50"), "tokens": {"input": 130, "output": 9}},
    )
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    answer = complete_chat(client, "?", tools=[TIME, MAIL], stream=stream, **usage)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Vejo e envio.")
    assert calls_of(choice) == [("tempo", {"cidade": "Recife"}), ("enviar", {"para": "Ana", "texto": "10,50"})]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (230, 29)
    assert "leave them out: tempo" in simulator.prompts()[1]


@STREAMED
@pytest.mark.parametrize(
    "second", [{"text": "Desculpe."}, {"status": 500}, {"fault": "reset_before"}], ids=["no block", "500", "reset"]
)
def test_a_block_that_stays_unreadable_is_shown_and_is_no_error(
    client: openai.OpenAI, simulator: Simulator, second: dict[str, Any], stream: bool
) -> None:
    broken = 'Envio.\nFUNCTION_CALL_START\nenviar\narguments: {"texto": 10,50}\nFUNCTION_CALL_END'
    simulator.script({"text": broken}, second)
    choice = ask_chat(client, "?", tools=[MAIL], stream=stream)
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", broken, None)
    assert len(simulator.requests()) == 2


FOREIGN = [
    '<tool_call>\n{"name": "tempo", "arguments": {"cidade": "Recife"}}\n</tool_call>',
    '[TOOL_CALLS][{"name": "tempo", "arguments": {"cidade": "Recife"}}]',
    'Thought: vejo.\nAction: tempo\nAction Input: {"cidade": "Recife"}',
    '```json\n{"name": "tempo", "arguments": {"cidade": "Recife"}}\n```',
]


@STREAMED
@pytest.mark.parametrize("written", FOREIGN, ids=["Hermes", "Mistral", "ReAct", "JSON"])
def test_a_call_in_the_form_of_another_model_is_asked_for_as_a_block(
    client: openai.OpenAI, simulator: Simulator, written: str, stream: bool
) -> None:
    simulator.script({"text": written}, {"text": block("tempo", cidade="Recife")})
    choice = ask_chat(client, "?", tools=[TIME], stream=stream)
    assert (choice.finish_reason, calls_of(choice)) == ("tool_calls", [("tempo", {"cidade": "Recife"})])
    assert "it has another form than a block" in simulator.prompts()[1]


@STREAMED
def test_a_call_of_an_undeclared_tool_goes_out_only_if_the_agent_stays_with_it(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": block("clima", cidade="Recife"), "times": 2})
    choice = ask_chat(client, "?", tools=[TIME, MAIL], stream=stream)
    assert (choice.finish_reason, calls_of(choice)) == ("tool_calls", [("clima", {"cidade": "Recife"})])
    assert "The tools are: tempo, enviar." in simulator.prompts()[1]


FUNCTIONS = [TIME["function"]]


OLDER: dict[str, Any] = {"model": "stackspot-chat", "functions": FUNCTIONS, "function_call": "auto"}
QUESTION = {"role": "user", "content": "O tempo?"}


def whole_function_call(proxy: Proxy) -> tuple[dict[str, str], str]:
    """Ask for a whole answer; return its function call and finish reason."""
    answer = proxy.post("/v1/chat/completions", OLDER | {"messages": [QUESTION]}).json()
    conforms(answer, "CreateChatCompletionResponse")
    [choice] = answer["choices"]
    assert not choice["message"].get("tool_calls")
    return choice["message"]["function_call"], choice["finish_reason"]


def streamed_function_call(client: openai.OpenAI) -> tuple[dict[str, str], str]:
    """Ask for a stream; return its function call, put together, and its finish reason."""
    chunks: Any = client.chat.completions.create(messages=[QUESTION], stream=True, **OLDER)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    deltas = [choice.delta.function_call for choice in choices if choice.delta.function_call]
    called = {key: "".join(getattr(delta, key) or "" for delta in deltas) for key in ("name", "arguments")}
    return called, next(choice.finish_reason for choice in choices if choice.finish_reason)


@STREAMED
def test_the_older_functions_are_called_and_answered_in_their_form(
    proxy: Proxy, client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": "Vejo.\n" + block("tempo", cidade="Recife") + block("tempo", cidade="Natal")})
    called, reason = streamed_function_call(client) if stream else whole_function_call(proxy)
    assert (called["name"], json.loads(called["arguments"]), reason) == ("tempo", {"cidade": "Recife"}, "function_call")
    simulator.script({"text": "28 °C no Recife."})
    history = [
        QUESTION,
        {"role": "assistant", "content": None, "function_call": called},
        {"role": "function", "name": "tempo", "content": "28 °C"},
    ]
    final = client.chat.completions.create(messages=history, **OLDER).choices[0]
    assert (final.finish_reason, final.message.content) == ("stop", "28 °C no Recife.")
    assert "name=tempo»\n28 °C" in simulator.prompts()[-1]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"tool_choice": "required"}, "tool_choice is required, but the request declares no tools"),
        (
            {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "voar"}}},
            "tool_choice names 'voar'",
        ),
        ({"tools": [TIME], "tool_choice": "sometimes"}, "tool_choice must be auto, none, required"),
        ({"functions": FUNCTIONS, "function_call": {"name": "voar"}}, "function_call names 'voar'"),
        ({"functions": [{"description": "?"}]}, "functions[0] must be an object with a name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": "x"}}]},
            "parameters must be a JSON Schema",
        ),
    ],
    ids=["required without tools", "undeclared", "no choice", "undeclared function", "no name", "no schema"],
)
def test_a_choice_that_cannot_be_met_is_a_400(
    client: openai.OpenAI, simulator: Simulator, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask_chat(client, "Oi", **params)
    assert says in str(caught.value)
    assert simulator.requests() == []


@STREAMED
def test_a_custom_tool_gets_text_and_its_result_goes_back(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    patch = "*** Begin Patch\n*** Update File: a.txt\n-FUNCTION_CALL_START\n+FUNCTION_CALL_END\n*** End Patch\n"
    simulator.script({"text": f"FUNCTION_CALL_START\npatch\n{patch}FUNCTION_CALL_END"}, {"text": "Pronto."})
    tools: Any = [{"type": "custom", "custom": {"name": "patch", "description": "Edita arquivos."}}]
    messages: list[Any] = [{"role": "user", "content": "Edite a.txt."}]
    asked: Any = {"model": "stackspot-chat", "messages": messages, "tools": tools}
    if stream:
        deltas = [
            chunk.choices[0].delta for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices
        ]
        calls = [call.model_dump(exclude_none=True) for delta in deltas for call in delta.tool_calls or ()]
        given = {
            "name": calls[0]["custom"]["name"],
            "input": "".join(call["custom"].get("input", "") for call in calls),
        }
        call = {"id": calls[0]["id"], "type": calls[0]["type"], "custom": given}
    else:
        call = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)["tool_calls"][0]
    assert (call["type"], call["custom"]) == ("custom", {"name": "patch", "input": patch})
    messages += [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "ok"},
    ]
    assert client.chat.completions.create(**asked).choices[0].message.content == "Pronto."
    assert "+FUNCTION_CALL_END" in simulator.prompts()[-1]
