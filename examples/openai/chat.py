"""The openai SDK with a StackSpot agent: an answer, a stream, and a tool loop.

In the folder of a running `make run`:  .venv/bin/python examples/openai/chat.py
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
client = OpenAI(
    base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=key,
    default_headers={"correlation-id": "conversa-123"},
)

answer = client.chat.completions.create(
    model="stackspot-chat", messages=[{"role": "user", "content": "Explique consistência eventual em duas frases."}]
)
print(answer.choices[0].message.content, "\n")

stream = client.chat.completions.create(
    model="stackspot-chat", messages=[{"role": "user", "content": "Count to 12, please."}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)
print("\n")


def buscar_tempo(cidade: str) -> str:
    return f"Tempo em {cidade}: 25°C, ensolarado"


tool = {
    "type": "function",
    "function": {
        "name": "buscar_tempo",
        "description": "Busca o tempo de uma cidade",
        "parameters": {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]},
    },
}
messages = [{"role": "user", "content": "Qual o tempo em São Paulo?"}]
while True:
    message = client.chat.completions.create(model="stackspot-chat", messages=messages, tools=[tool]).choices[0].message
    messages.append(message)
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        print(f"{call.function.name}({call.function.arguments})")
        result = buscar_tempo(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
print(message.content)
