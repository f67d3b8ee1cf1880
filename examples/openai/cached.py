"""The openai SDK with a model that has a cache: the second answer uses no quota.

`docs/cache.md` says what to write into `config.yaml` for it; the model's name is the first argument.
In the folder of a running `make run`:  .venv/bin/python examples/openai/cached.py stackspot-faq
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
model = sys.argv[1] if len(sys.argv) > 1 else "stackspot-faq"
question = [{"role": "user", "content": "Como um pagamento é estornado?"}]

for _ in range(2):
    response = client.chat.completions.with_raw_response.create(model=model, messages=question)
    print(f"{response.headers['x-stackspot-cache']}: {response.parse().choices[0].message.content}")

# A client that needs a new answer says so; it replaces the one in the cache.
response = client.chat.completions.with_raw_response.create(
    model=model, messages=question, extra_headers={"Cache-Control": "no-cache"}
)
print(f"{response.headers['x-stackspot-cache']}: {response.parse().choices[0].message.content}")
