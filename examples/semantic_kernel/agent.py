"""Semantic Kernel with a StackSpot agent: an agent with a tool, run and streamed.

In the folder of a running `make run`, with `pip install semantic-kernel` in an environment of its own:
    python examples/semantic_kernel/agent.py
"""

import asyncio
import os
import re
from pathlib import Path
from typing import Annotated

from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)


class Tempo:
    """The tools of the agent."""

    @kernel_function
    def buscar_tempo(self, cidade: Annotated[str, "O nome da cidade"]) -> str:
        """Busca o tempo de uma cidade."""
        return f"Tempo em {cidade}: 25°C, ensolarado"


async def main() -> None:
    client = AsyncOpenAI(base_url=URL, api_key=KEY, default_headers={"correlation-id": "conversa-123"})
    agent = ChatCompletionAgent(
        service=OpenAIChatCompletion("stackspot-chat", async_client=client),
        name="Tempo",
        instructions="Use as ferramentas.",
        plugins=[Tempo()],
    )
    print(await agent.get_response("Qual o tempo em São Paulo?"))

    async for part in agent.invoke_stream("Qual o tempo em Recife?"):
        print(part, end="", flush=True)
    print()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
