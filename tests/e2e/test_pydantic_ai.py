"""PydanticAI against the real proxy: agents with tools and typed answers, run and streamed, with a correlation id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.protocols import block
from tests.support.proxy import Proxy, Simulator


class Weather(BaseModel):
    """A typed answer."""

    cidade: str
    graus: int


def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


@pytest.fixture
async def pydantic_model(proxy: Proxy) -> AsyncIterator[OpenAIChatModel]:
    client = httpx2.AsyncClient(headers={"correlation-id": "conversa-teste-123"}, timeout=60, trust_env=False)
    provider = OpenAIProvider(base_url=f"{proxy.url}/v1", api_key=proxy.key, http_client=client)
    async with client:
        yield OpenAIChatModel("stackspot-chat", provider=provider)


@pytest.fixture
def pydantic_agent(pydantic_model: OpenAIChatModel) -> Agent:
    return Agent(pydantic_model, tools=[buscar_tempo], system_prompt="Use as ferramentas disponíveis para responder.")


def tool_calls(result) -> list[str]:
    parts = [part for message in result.all_messages() for part in message.parts]
    return [part.tool_name for part in parts if isinstance(part, ToolCallPart)]


async def test_an_agent_calls_its_tool_and_answers_with_the_result(pydantic_agent: Agent, simulator: Simulator) -> None:
    result = await pydantic_agent.run("Qual o tempo em São Paulo?")
    assert "25°C" in result.output
    assert tool_calls(result) == ["buscar_tempo"]
    assert {r["headers"]["correlation-id"] for r in simulator.requests("São Paulo")} == {"conversa-teste-123"}


async def test_a_streamed_agent_calls_its_tool_and_streams_the_answer(
    pydantic_agent: Agent, simulator: Simulator
) -> None:
    async with pydantic_agent.run_stream("Qual o tempo em Recife?") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "25°C" in "".join(pieces)
    assert tool_calls(result) == ["buscar_tempo"]
    assert result.usage.output_tokens > 0


RECIFE = {"cidade": "Recife", "graus": 28}
BY_TOOL = "FUNCTION_CALL_START\nfinal_result\narguments: {'cidade': 'Recife', 'graus': 28}\nFUNCTION_CALL_END"
BY_FORMAT = '```json\n{"cidade": "Recife", "graus": 28}\n```'


@pytest.mark.parametrize(
    ("wanted", "text"),
    [(Weather, BY_TOOL), (NativeOutput(Weather), BY_FORMAT)],
    ids=["by a tool", "by response_format"],
)
async def test_a_typed_answer_comes_after_the_tools_call(
    pydantic_model: OpenAIChatModel, simulator: Simulator, wanted: Any, text: str
) -> None:
    typed = Agent(pydantic_model, tools=[buscar_tempo], output_type=wanted)
    simulator.script({"text": "Vejo.\n" + block("buscar_tempo", cidade="Recife")}, {"text": text})
    result = await typed.run("O tempo no Recife?")
    assert result.output == Weather(**RECIFE)
    assert len(simulator.requests()) == 2
    simulator.script({"text": block("buscar_tempo", cidade="Recife")}, {"text": text, "cut": 5})
    async with typed.run_stream("O tempo no Recife?") as streamed:
        outputs = [output async for output in streamed.stream_output(debounce_by=None)]
    assert outputs[-1] == Weather(**RECIFE)


async def test_a_typed_answer_that_comes_as_prose_is_mended_out_of_sight(
    pydantic_model: OpenAIChatModel, simulator: Simulator
) -> None:
    simulator.script({"text": "No Recife faz 28 graus."}, {"text": BY_TOOL})
    result = await Agent(pydantic_model, output_type=Weather).run("O tempo no Recife?")
    assert result.output == Weather(**RECIFE)
    assert result.usage.requests == 1
    assert len(simulator.requests()) == 2


async def test_a_tool_that_asks_for_another_try_gets_it(pydantic_model: OpenAIChatModel, simulator: Simulator) -> None:
    careful = Agent(pydantic_model)

    @careful.tool_plain
    def dividir(por: int) -> str:
        if por == 0:
            raise ModelRetry("por zero não dá")
        return str(100 // por)

    simulator.script({"text": block("dividir", por=0)}, {"text": block("dividir", por=4)}, {"text": "São 25."})
    assert (await careful.run("Divida 100")).output == "São 25."
    assert "por zero não dá" in simulator.prompts()[1]
    assert "name=dividir»\n25" in simulator.prompts()[2]


async def test_calls_of_one_reply_are_run_together(pydantic_agent: Agent, simulator: Simulator) -> None:
    cities = ["Recife", "Natal", "Belém"]
    simulator.script(
        {"text": "".join(block("buscar_tempo", cidade=city) for city in cities)}, {"text": "Todas com sol."}
    )
    result = await pydantic_agent.run("O tempo nas três?")
    assert (result.output, tool_calls(result)) == ("Todas com sol.", ["buscar_tempo"] * 3)
    assert all(f"Tempo em {city}" in simulator.prompts()[1] for city in cities)
