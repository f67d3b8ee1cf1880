"""LangGraph with a StackSpot agent: a graph of model and tools that remembers its conversation.

In the folder of a running `make run`, with `pip install langgraph langchain-openai` in an environment of its own:
    python examples/langgraph/agent.py
"""

import os
import re
from pathlib import Path

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition


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
).bind_tools([buscar_tempo])


def think(state: MessagesState) -> dict[str, list]:
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("model", think)
graph.add_node("tools", ToolNode([buscar_tempo]))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
agent = graph.compile(checkpointer=InMemorySaver())

conversation = {"configurable": {"thread_id": "conversa-123"}}
for question in ("Qual o tempo em São Paulo?", "E qual o tempo em Recife?"):
    state = agent.invoke({"messages": [("user", question)]}, conversation)
    print(state["messages"][-1].text)
print(f"{len(state['messages'])} messages in the conversation")
