"""The openai SDK's Responses API with a StackSpot agent: a tool loop, then a stream.

The proxy keeps no earlier turns without a database, so the whole conversation goes into `input`.
In the folder of a running `make run`:  .venv/bin/python examples/openai/responses.py
"""

import json
import os
import re
from pathlib import Path

from openai import OpenAI

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
client = OpenAI(base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1", api_key=key)


def buscar_tempo(cidade: str) -> str:
    return f"Tempo em {cidade}: 25°C, ensolarado"


tool = {
    "type": "function",
    "name": "buscar_tempo",
    "description": "Busca o tempo de uma cidade",
    "parameters": {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]},
}
conversation = [{"role": "user", "content": "Qual o tempo em São Paulo?"}]
while True:
    response = client.responses.create(model="stackspot-chat", input=conversation, tools=[tool])
    conversation += response.output
    calls = [item for item in response.output if item.type == "function_call"]
    if not calls:
        break
    for call in calls:
        print(f"{call.name}({call.arguments})")
        result = buscar_tempo(**json.loads(call.arguments))
        conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
print(response.output_text, "\n")

with client.responses.stream(model="stackspot-chat", input="Count to 12, please.") as events:
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
print()
