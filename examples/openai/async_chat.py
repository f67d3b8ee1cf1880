"""The openai SDK's asynchronous client with a StackSpot agent: two streams at once, each with its own correlation id.

In the folder of a running `make run`:  .venv/bin/python examples/openai/async_chat.py
"""

import asyncio
import os
import re
from pathlib import Path

from openai import AsyncOpenAI

URL = os.environ.get("PROXY_URL", "http://127.0.0.1:4000") + "/v1"
KEY = (
    os.environ.get("LITELLM_MASTER_KEY")
    or re.search(r"^LITELLM_MASTER_KEY=(.+)$", Path(".env").read_text(), re.MULTILINE)[1]
)


async def ask(client: AsyncOpenAI, question: str, conversation: str) -> str:
    messages = [{"role": "user", "content": question}]
    async with client.chat.completions.stream(
        model="stackspot-chat", messages=messages, extra_headers={"correlation-id": conversation}
    ) as stream:
        answer = await stream.get_final_completion()
    return answer.choices[0].message.content


async def main() -> None:
    async with AsyncOpenAI(base_url=URL, api_key=KEY) as client:
        answers = await asyncio.gather(
            ask(client, "Count to 5, please.", "conversa-1"), ask(client, "Conte até 7, por favor.", "conversa-2")
        )
    print(*answers, sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
