"""The openai SDK with a StackSpot agent that searches the web: its searches, the text, and the pages it is based on.

`docs/clients.md` says what to write into `config.yaml` for it. The question is the first argument.
In the folder of a running `make run`:  .venv/bin/python examples/openai/search.py "Qual é a taxa Selic hoje?"
"""

import os
import re
import sys
from pathlib import Path

from openai import OpenAI

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
client = OpenAI(base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1", api_key=key)
question = sys.argv[1] if len(sys.argv) > 1 else "Qual é a taxa Selic hoje?"

with client.responses.stream(model="stackspot-chat", input=question, tools=[{"type": "web_search"}]) as events:
    for event in events:
        if event.type == "response.output_item.done" and event.item.type == "web_search_call":
            print(f"[search: {event.item.action.query}]", flush=True)
        elif event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    response = events.get_final_response()
print()
for item in response.output:
    if item.type == "message":
        for page in item.content[0].annotations:
            print(f"- {page.title}: {page.url}")
