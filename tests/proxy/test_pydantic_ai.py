"""PydanticAI against the real proxy: an agent with a tool, run and streamed, with a client that sends a correlation id."""

from __future__ import annotations

import httpx2
import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from .conftest import Proxy, Simulator


def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


@pytest.fixture
async def agent(proxy: Proxy) -> Agent:
    client = httpx2.AsyncClient(headers={"correlation-id": "conversa-teste-123"}, timeout=60, trust_env=False)
    provider = OpenAIProvider(base_url=f"{proxy.url}/v1", api_key=proxy.key, http_client=client)
    model = OpenAIChatModel("stackspot-chat", provider=provider)
    async with client:
        yield Agent(model, tools=[buscar_tempo], system_prompt="Use as ferramentas disponíveis para responder.")


def tool_calls(result) -> list[str]:
    parts = [part for message in result.all_messages() for part in message.parts]
    return [part.tool_name for part in parts if isinstance(part, ToolCallPart)]


async def test_an_agent_calls_its_tool_and_answers_with_the_result(agent: Agent, simulator: Simulator) -> None:
    result = await agent.run("Qual o tempo em São Paulo?")
    assert "25°C" in result.output
    assert tool_calls(result) == ["buscar_tempo"]
    assert {r["headers"]["correlation-id"] for r in simulator.requests("São Paulo")} == {"conversa-teste-123"}


async def test_a_streamed_agent_calls_its_tool_and_streams_the_answer(agent: Agent, simulator: Simulator) -> None:
    async with agent.run_stream("Qual o tempo em Recife?") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "25°C" in "".join(pieces)
    assert tool_calls(result) == ["buscar_tempo"]
    assert result.usage.output_tokens > 0
