"""PydanticAI with a StackSpot agent: a tool, run and streamed, and a structured answer, under one correlation id.

In the folder of a running `make run`, with `pip install "pydantic-ai-slim[openai]"` in an environment of its own:
    python examples/pydantic_ai/agent.py
"""

import asyncio
import os
import re
from pathlib import Path

import httpx2
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"


class Viagem(BaseModel):
    """A journey that was asked for."""

    cidade: str
    dias: int


def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


async def main() -> None:
    async with httpx2.AsyncClient(headers={"correlation-id": "conversa-teste-123"}, timeout=600) as client:
        model = OpenAIChatModel(
            "stackspot-chat", provider=OpenAIProvider(base_url=URL, api_key=KEY, http_client=client)
        )
        agent = Agent(model, tools=[buscar_tempo], system_prompt="Use as ferramentas disponíveis para responder.")

        result = await agent.run("Qual o tempo em São Paulo?")
        calls = [part for message in result.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
        print(f"Resposta: {result.output}")
        print(f"Tool calls: {len(calls)}")

        async with agent.run_stream("Qual o tempo em Recife?") as streamed:
            async for piece in streamed.stream_text(delta=True):
                print(piece, end="", flush=True)
        print()

        planned = await Agent(model, output_type=Viagem).run("Quero passar 3 dias em Recife.")
        print(repr(planned.output))


if __name__ == "__main__":
    asyncio.run(main())
