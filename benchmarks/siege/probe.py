"""The other team of `make siege`, a separate process that times health probes and chats of a proxy.

Each request writes two lines, JSON lists that begin with its number. At its start: the kind (HEALTH
or a name of `chats`) and the monotonic time. At its end: the seconds, the status (0 without a
response), the seconds for which the proxy's main thread waited for a CPU meanwhile (0 where the
kernel does not say), and what was wrong. The proxy's address and process id come from the command
line, SIEGE_KEY and SIEGE_MODEL from the environment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ..protocols import PATHS, Received, read_event, read_whole

HEALTH = "health"
EVERY_HEALTH, EVERY_CHAT = 0.05, 0.2
NO_ANSWER_SECONDS = 60
QUESTION, ANSWER = "Conte até 3", "1 2 3"

_MESSAGES = [{"role": "user", "content": QUESTION}]
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Chat:
    """A way to chat: a path, a body, and how the text of the response is read."""

    path: str
    body: Mapping[str, Any]
    read: Callable[[str, str], str]


def _read_json(path: str, text: str) -> str:
    received = Received()
    read_whole(path, json.loads(text), received)
    return "".join(received.text)


def _read_stream(path: str, text: str) -> str:
    received = Received()
    for line in text.splitlines():
        if line.startswith("data:"):
            read_event(path, line[5:].strip(), received)
    return "".join(received.text) if received.ended and not received.failed else "(the stream has failed)"


def _read_gemini(_: str, text: str) -> str:
    return str(json.loads(text)["candidates"][0]["content"]["parts"][0]["text"])


def _read_service(_: str, text: str) -> str:
    return str(json.loads(text)["content"])


def chats(model: str) -> dict[str, Chat]:
    """Return the chats of a round: every protocol, whole and streamed."""
    asked = {"model": model, "messages": _MESSAGES}
    anthropic = asked | {"max_tokens": 1000}
    responses = {"model": model, "input": QUESTION}
    gemini = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
    return {
        "chat": Chat(PATHS[0], asked, _read_json),
        "messages, streamed": Chat(PATHS[1], anthropic | {"stream": True}, _read_stream),
        "responses": Chat(PATHS[2], responses, _read_json),
        "gemini": Chat(f"/v1beta/models/{model}:generateContent", gemini, _read_gemini),
        "chat, streamed": Chat(PATHS[0], asked | {"stream": True}, _read_stream),
        "messages": Chat(PATHS[1], anthropic, _read_json),
        "responses, streamed": Chat(PATHS[2], responses | {"stream": True}, _read_stream),
        "/chat": Chat("/chat", asked, _read_service),
    }


class Probe:
    """Sends health probes one after another, and chats at a fixed rate, whatever becomes of the last ones."""

    def __init__(self, session: aiohttp.ClientSession, pid: int, model: str) -> None:
        self._session = session
        self._schedule = Path(f"/proc/{pid}/schedstat")
        self._chats = chats(model)
        self._running: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    async def run(self) -> None:
        """Send requests until the process is ended."""
        await asyncio.gather(self._probe_health(), self._send_chats())

    async def _probe_health(self) -> None:
        while True:
            began = time.monotonic()
            await self._measure(HEALTH, self._ask_health())
            await asyncio.sleep(max(0, EVERY_HEALTH - (time.monotonic() - began)))

    async def _send_chats(self) -> None:
        due = time.monotonic()
        for kind in itertools.cycle(self._chats):
            task = asyncio.create_task(self._measure(kind, self._ask(self._chats[kind])))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            due += EVERY_CHAT
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def _measure(self, kind: str, asking: Any) -> None:
        number, began, waited, status = next(self._numbers), time.monotonic(), self._waited(), 0
        print(json.dumps([number, kind, began]), flush=True)
        try:
            status, wrong = await asking
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, LookupError) as error:
            wrong = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        print(json.dumps([number, seconds, status, self._waited() - waited, wrong]), flush=True)

    async def _ask_health(self) -> tuple[int, str]:
        async with self._session.get("/health/liveliness") as answer:
            await answer.read()
            return answer.status, "" if answer.status == 200 else f"HTTP {answer.status}"

    async def _ask(self, chat: Chat) -> tuple[int, str]:
        async with self._session.post(chat.path, json=chat.body) as answer:
            text = await answer.text()
        if answer.status != 200:
            return answer.status, text[:_MOST_CHARACTERS]
        found = chat.read(chat.path, text)
        return answer.status, "" if ANSWER in found else f"another answer: {found[:_MOST_CHARACTERS]!r}"

    def _waited(self) -> float:
        """Return for how long the proxy's main thread was ready to run without a CPU, in seconds."""
        try:
            return int(self._schedule.read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0


async def probe(address: str, pid: int) -> None:
    """Probe a proxy until the process is ended, each request on a connection of its own."""
    headers = {"Authorization": f"Bearer {os.environ['SIEGE_KEY']}"}
    timeout = aiohttp.ClientTimeout(total=NO_ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(address, headers=headers, timeout=timeout, connector=connector) as session:
        await Probe(session, pid, os.environ["SIEGE_MODEL"]).run()


if __name__ == "__main__":
    asyncio.run(probe(sys.argv[1], int(sys.argv[2])))
