"""AutoGen with a StackSpot agent: an assistant with a tool, run and streamed.

In the folder of a running `make run`, with `pip install autogen-agentchat "autogen-ext[openai]"` in an environment of
its own:
    python examples/autogen/agent.py
"""

import asyncio
import os
import re
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_core.models import ModelFamily, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)

# AutoGen knows the names of OpenAI's models only.
ABILITIES = ModelInfo(
    vision=False, function_calling=True, json_output=True, structured_output=True, family=ModelFamily.UNKNOWN
)


async def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


async def main() -> None:
    model = OpenAIChatCompletionClient(
        model="stackspot-chat",
        base_url=URL,
        api_key=KEY,
        model_info=ABILITIES,
        default_headers={"correlation-id": "conversa-123"},
    )

    def assistant(*, stream: bool) -> AssistantAgent:
        return AssistantAgent(
            "tempo",
            model,
            tools=[buscar_tempo],
            system_message="Use as ferramentas.",
            reflect_on_tool_use=True,
            model_client_stream=stream,
        )

    result = await assistant(stream=False).run(task="Qual o tempo em São Paulo?")
    print(result.messages[-1].content)

    async for event in assistant(stream=True).run_stream(task="Qual o tempo em Recife?"):
        if isinstance(event, ModelClientStreamingChunkEvent):
            print(event.content, end="", flush=True)
    print()
    await model.close()


if __name__ == "__main__":
    asyncio.run(main())
