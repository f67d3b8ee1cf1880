"""LangChain with a StackSpot agent: a stream, a chain with a tool, and a structured answer.

In the folder of a running `make run`, with `pip install langchain-openai` in an environment of its own:
    python examples/langchain/chain.py
"""

import os
import re
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Viagem(BaseModel):
    """A journey that was asked for."""

    cidade: str
    dias: int


@tool
def buscar_tempo(cidade: str) -> str:
    """Busca o tempo de uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


model = ChatOpenAI(
    model="stackspot-chat",
    base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1],
    default_headers={"correlation-id": "conversa-123"},
)

for chunk in model.stream("Count to 12, please."):
    print(chunk.text, end="", flush=True)
print()

with_tool = model.bind_tools([buscar_tempo])
messages = [HumanMessage("Qual o tempo em São Paulo?")]
while (answer := with_tool.invoke(messages)).tool_calls:
    messages += [answer, *(buscar_tempo.invoke(call) for call in answer.tool_calls)]
print(answer.text)

print(repr(model.with_structured_output(Viagem, method="function_calling").invoke("Quero passar 3 dias em Recife.")))
