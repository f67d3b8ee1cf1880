"""The openai SDK with responses that the proxy keeps: each request continues the last one by its id.

In the folder of a running `make run`:  .venv/bin/python examples/openai/continued.py
"""

import os
import re
from pathlib import Path

from openai import OpenAI

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
client = OpenAI(base_url=os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1", api_key=key)

first = client.responses.create(model="stackspot-chat", input="Meu nome é Ana.")
print(first.output_text)

with client.responses.stream(
    model="stackspot-chat", input="Como eu me chamo?", previous_response_id=first.id
) as stream:
    second = stream.get_final_response()
print(second.output_text)

items = client.responses.input_items.list(second.id, order="asc")
print(*(f"{item.role}: {item.content[0].text}" for item in items), sep="\n")

for response in (first, second):
    client.responses.delete(response.id)
