"""Instructor with a StackSpot agent: a validated object out of a sentence, whole and while it is written.

In the folder of a running `make run`, with `pip install instructor` in an environment of its own:
    python examples/instructor/extract.py
"""

import os
import re
from pathlib import Path

import instructor
from openai import OpenAI
from pydantic import BaseModel, Field

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
url = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
client = instructor.from_openai(OpenAI(base_url=url, api_key=key, default_headers={"correlation-id": "conversa-123"}))


class Viagem(BaseModel):
    """A journey that was asked for."""

    cidade: str
    dias: int = Field(gt=0)


question = [{"role": "user", "content": "Quero passar 3 dias em Recife."}]
print(repr(client.chat.completions.create(model="stackspot-chat", response_model=Viagem, messages=question)))

for partial in client.chat.completions.create_partial(model="stackspot-chat", response_model=Viagem, messages=question):
    last = partial
print(repr(last))
