"""Google's SDK with a StackSpot agent: an answer, a stream, and a tool that the SDK calls by itself.

In the folder of a running `make run`, with `pip install google-genai` in an environment of its own:

    python examples/google_genai/chat.py
"""

import os
import re
from pathlib import Path

from google import genai
from google.genai import types

key = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)
url = os.environ.get("PROXY_URL", "http://127.0.0.1:4000")
client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version="v1beta"))

answer = client.models.generate_content(
    model="stackspot-chat", contents="Explique consistência eventual em duas frases."
)
print(answer.text)

for piece in client.models.generate_content_stream(model="stackspot-chat", contents="Count to 12, please."):
    print(piece.text or "", end="", flush=True)
print()


def buscar_tempo(cidade: str) -> str:
    """Diz o tempo em uma cidade."""
    return f"Tempo em {cidade}: 25°C, ensolarado"


chat = client.chats.create(model="stackspot-chat", config=types.GenerateContentConfig(tools=[buscar_tempo]))
print(chat.send_message("Qual o tempo em São Paulo?").text)
