"""The Anthropic SDK with a StackSpot agent on /v1/messages: a tool loop, then a stream.

In the folder of a running `make run`, with `pip install anthropic` in an environment of its own:
    python examples/anthropic/messages.py
"""

import os
import re
from pathlib import Path

from anthropic import Anthropic

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
client = Anthropic(
    base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000"),
    api_key=key,
    default_headers={"correlation-id": "conversa-123"},
)


def buscar_tempo(cidade: str) -> str:
    return f"Tempo em {cidade}: 25°C, ensolarado"


tool = {
    "name": "buscar_tempo",
    "description": "Busca o tempo de uma cidade",
    "input_schema": {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]},
}
messages = [{"role": "user", "content": "Qual o tempo em São Paulo?"}]
while True:
    answer = client.messages.create(model="stackspot-chat", max_tokens=1000, messages=messages, tools=[tool])
    messages.append({"role": "assistant", "content": answer.content})
    if answer.stop_reason != "tool_use":
        break
    results = []
    for call in answer.content:
        if call.type == "tool_use":
            print(f"{call.name}({call.input})")
            results.append({"type": "tool_result", "tool_use_id": call.id, "content": buscar_tempo(**call.input)})
    messages.append({"role": "user", "content": results})
print(answer.content[0].text, "\n")

question = [{"role": "user", "content": "Count to 12, please."}]
with client.messages.stream(model="stackspot-chat", max_tokens=1000, messages=question) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
