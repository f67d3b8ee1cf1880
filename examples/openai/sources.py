"""The openai SDK with a StackSpot agent that answers from knowledge sources: text, and what it is based on.

`docs/knowledge.md` says what to write into `config.yaml` for it; the model's name is the first argument.
In the folder of a running `make run`:  .venv/bin/python examples/openai/sources.py stackspot-wiki
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
model = sys.argv[1] if len(sys.argv) > 1 else "stackspot-wiki"
question = "Como um pagamento é estornado?"

message = (
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}]).choices[0].message
)
print(message.content)
for annotation in message.annotations or ():
    print(f"- {annotation.url_citation.title}: {annotation.url_citation.url}")

with client.responses.stream(model=model, input=question) as events:
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    [message] = events.get_final_response().output
print()
for source in message.content[0].annotations:
    print("-", source.title if source.type == "url_citation" else source.filename)
