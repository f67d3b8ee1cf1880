"""LangChain against the real proxy: tools bound to a chat model, typed answers and streams."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.support.protocols import block
from tests.support.proxy import Proxy, Simulator


class Weather(pydantic.BaseModel):
    """O tempo numa cidade."""

    cidade: str
    graus: int


@tool
def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 28°C"


@pytest.fixture(scope="module")
def langchain_model(proxy: Proxy) -> ChatOpenAI:
    return ChatOpenAI(
        model="stackspot-chat",
        base_url=f"{proxy.url}/v1",
        api_key=proxy.key,
        max_retries=0,
        stream_usage=True,
    )


def test_a_loop_with_bound_tools_runs_to_its_answer(langchain_model: ChatOpenAI, simulator: Simulator) -> None:
    cities = ["Recife", "Natal"]
    simulator.script(
        {"text": "Vejo.\n" + "".join(block("buscar_tempo", cidade=city) for city in cities)},
        {"text": "28 °C nas duas.", "tokens": {"input": 31, "output": 7}},
    )
    able = langchain_model.bind_tools([buscar_tempo])
    messages: list[Any] = [HumanMessage("O tempo?")]
    messages.append(able.invoke(messages))
    assert [call["args"] for call in messages[-1].tool_calls] == [{"cidade": city} for city in cities]
    messages += [buscar_tempo.invoke(call) for call in messages[-1].tool_calls]
    final = able.invoke(messages)
    assert (final.content, final.tool_calls, final.invalid_tool_calls) == ("28 °C nas duas.", [], [])
    assert (final.usage_metadata["input_tokens"], final.usage_metadata["output_tokens"]) == (31, 7)
    assert all(f"Tempo em {city}: 28°C" in simulator.prompts()[-1] for city in cities)


def test_a_streamed_call_is_added_up_from_its_chunks(langchain_model: ChatOpenAI, simulator: Simulator) -> None:
    simulator.script(
        {"text": "Vejo.\n" + block("buscar_tempo", cidade="Recife"), "cut": 3, "tokens": {"input": 9, "output": 5}}
    )
    whole: AIMessageChunk | None = None
    for chunk in langchain_model.bind_tools([buscar_tempo]).stream("O tempo?"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert (whole.content, [call["args"] for call in whole.tool_calls]) == ("Vejo.", [{"cidade": "Recife"}])
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (9, 5)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # LangChain's, of what the openai SDK parsed
@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("function_calling", block("Weather", cidade="Recife", graus=28)),
        ("json_schema", '```json\n{"cidade": "Recife", "graus": 28}\n```'),
        ("json_mode", 'Aqui: {"cidade": "Recife", "graus": 28}'),
    ],
)
def test_a_typed_answer_comes_by_each_method(
    langchain_model: ChatOpenAI, simulator: Simulator, method: Any, text: str
) -> None:
    simulator.script({"text": text, "times": 2})
    typed = langchain_model.with_structured_output(Weather, method=method)
    assert typed.invoke("O tempo no Recife, em JSON?") == Weather(cidade="Recife", graus=28)
    *_, last = typed.stream("O tempo no Recife, em JSON?")
    assert last == Weather(cidade="Recife", graus=28)


@pytest.mark.parametrize("choice", ["any", "buscar_tempo"])
def test_a_call_that_has_to_come_is_asked_for_again(
    langchain_model: ChatOpenAI, simulator: Simulator, choice: str
) -> None:
    simulator.script({"text": "Posso ver, se quiser."}, {"text": block("buscar_tempo", cidade="Recife")})
    message = langchain_model.bind_tools([buscar_tempo], tool_choice=choice).invoke("O tempo?")
    assert [call["args"] for call in message.tool_calls] == [{"cidade": "Recife"}]
    assert len(simulator.requests()) == 2


def test_stop_and_limits_of_the_model_act(langchain_model: ChatOpenAI, simulator: Simulator) -> None:
    simulator.script({"text": "um dois três"}, {"text": "abcd " * 100})
    assert langchain_model.invoke("Conte", stop=["três"]).content == "um dois "
    cut = langchain_model.bind(max_tokens=4).invoke("Conte")
    assert (cut.content, cut.response_metadata["finish_reason"]) == ("abcd " * 4, "length")
