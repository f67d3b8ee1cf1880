"""OpenAI's Agents SDK with a StackSpot agent: an agent with a tool, run and streamed, without a trace sent to OpenAI.

In the folder of a running `make run`, with `pip install openai-agents` in an environment of its own:
    python examples/openai_agents/agent.py
"""

import asyncio
import os
import re
from pathlib import Path

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)

# Else every run is sent to OpenAI's servers.
set_tracing_disabled(True)


@function_tool
def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


async def main() -> None:
    client = AsyncOpenAI(base_url=URL, api_key=KEY, default_headers={"correlation-id": "conversa-123"})
    model = OpenAIChatCompletionsModel(model="stackspot-chat", openai_client=client)
    agent = Agent(name="Tempo", instructions="Use as ferramentas.", model=model, tools=[buscar_tempo])

    result = await Runner.run(agent, "Qual o tempo em São Paulo?")
    print(result.final_output)

    streamed = Runner.run_streamed(agent, "Qual o tempo em Recife?")
    async for event in streamed.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            print(event.data.delta, end="", flush=True)
    print()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
