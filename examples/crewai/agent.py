"""CrewAI with a StackSpot agent: a crew of one agent with a tool, run and streamed, without telemetry.

In the folder of a running `make run`, with `pip install crewai` in an environment of its own:
    python examples/crewai/agent.py
"""

import logging
import os
import re
from pathlib import Path

# Else CrewAI sends telemetry; it reads this when it is imported.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from crewai.types.streaming import StreamChunkType

# Else each call warns that CrewAI estimates the tokens of the prompt.
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)


@tool("buscar_tempo")
def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


def crew(*, stream: bool) -> Crew:
    """One agent with the tool, and its task."""
    llm = LLM(model="stackspot-chat", provider="openai", base_url=URL, api_key=KEY, stream=stream)
    agent = Agent(role="Tempo", goal="Dizer o tempo", backstory="Usa as ferramentas.", tools=[buscar_tempo], llm=llm)
    task = Task(description="Qual o tempo em {cidade}?", expected_output="Uma frase.", agent=agent)
    return Crew(agents=[agent], tasks=[task], stream=stream)


print(crew(stream=False).kickoff(inputs={"cidade": "São Paulo"}))

streamed = crew(stream=True).kickoff(inputs={"cidade": "Recife"})
for part in streamed:
    # The arguments of a tool call are parts, too.
    if part.chunk_type is StreamChunkType.TEXT:
        print(part.content, end="", flush=True)
print()
