"""LlamaIndex with a StackSpot agent: a stream, and an agent with a tool whose answer is streamed.

In the folder of a running `make run`, with `pip install llama-index-llms-openai-like` in an environment of its own:
    python examples/llama_index/agent.py
"""

import asyncio
import os
import re
from pathlib import Path

from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.llms.openai_like import OpenAILike

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)

# Without is_function_calling_model, LlamaIndex sends no tools.
llm = OpenAILike(
    model="stackspot-chat",
    api_base=URL,
    api_key=KEY,
    is_chat_model=True,
    is_function_calling_model=True,
    context_window=200_000,
    default_headers={"correlation-id": "conversa-123"},
)


def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


async def main() -> None:
    async for part in await llm.astream_complete("Count to 12, please."):
        print(part.delta, end="", flush=True)
    print()

    agent = FunctionAgent(tools=[buscar_tempo], llm=llm, system_prompt="Use as ferramentas.")
    run = agent.run("Qual o tempo em Recife?")
    async for event in run.stream_events():
        if isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)
    print()
    await run


if __name__ == "__main__":
    asyncio.run(main())
