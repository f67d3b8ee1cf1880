"""The other team of `make siege`, a separate process that times health probes and chats of a proxy.

A line is a JSON list: "health" or "chat", the start on the monotonic clock, the seconds, and the
status, 0 without a response. The address comes from the command line, SIEGE_KEY and SIEGE_MODEL
from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time

import aiohttp

HEALTH, CHAT = "health", "chat"
EVERY = {HEALTH: 0.05, CHAT: 0.3}
NO_ANSWER_SECONDS = 60


async def _ask(session: aiohttp.ClientSession, kind: str) -> int:
    if kind == HEALTH:
        async with session.get("/health/liveliness") as answer:
            await answer.read()
            return answer.status
    message = {"role": "user", "content": "Conte até 3"}
    body = {"model": os.environ["SIEGE_MODEL"], "messages": [message]}
    async with session.post("/v1/chat/completions", json=body) as answer:
        text = await answer.text()
        return answer.status if "1 2 3" in text else 0


async def _repeat(session: aiohttp.ClientSession, kind: str) -> None:
    while True:
        began, status = time.monotonic(), 0
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            status = await _ask(session, kind)
        seconds = time.monotonic() - began
        print(json.dumps([kind, began, seconds, status]), flush=True)
        await asyncio.sleep(max(0, EVERY[kind] - seconds))


async def probe(address: str) -> None:
    """Send requests until the process is ended."""
    headers = {"Authorization": f"Bearer {os.environ['SIEGE_KEY']}"}
    timeout = aiohttp.ClientTimeout(total=NO_ANSWER_SECONDS)
    async with aiohttp.ClientSession(address, headers=headers, timeout=timeout) as session:
        await asyncio.gather(_repeat(session, HEALTH), _repeat(session, CHAT))


if __name__ == "__main__":
    asyncio.run(probe(sys.argv[1]))
