"""The cost of a call to the agent: the provider's HTTP client against httpx, without a proxy."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from custom_handler.settings import Settings
from custom_handler.stackspot.client import StackspotClient
from custom_handler.stackspot.http.aiohttp_client import HttpClient

from .bench import Bench
from .figures import Figure

Ask = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class _Request:
    """The request that both clients send."""

    url: str
    headers: dict[str, str]

    @staticmethod
    def content(prompt: str) -> bytes:
        fields = {
            "streaming": True,
            "user_prompt": prompt,
            "stackspot_knowledge": False,
            "return_ks_in_response": False,
        }
        return json.dumps(fields).encode()


def client(bench: Bench) -> list[Figure]:
    """Measure the CPU of a whole answer and of 100 deltas at 20 ms, against httpx."""
    settings = Settings.from_mapping(bench.simulator.environ)
    token = StackspotClient(settings).tokens.request().result()
    headers = {"authorization": f"Bearer {token.value}", "content-type": "application/json"}
    request = _Request(f"{settings.account.inference_url}/v1/agent/{settings.account.agent_id}/chat", headers)
    return asyncio.run(_measured(bench, request))


async def _measured(bench: Bench, request: _Request) -> list[Figure]:
    ours, theirs = HttpClient(ssl.create_default_context()), httpx.AsyncClient(trust_env=False)
    asks: dict[str, Ask] = {"aiohttp": _through_ours(ours, request), "httpx": _through_httpx(theirs, request)}
    figures = []
    for prompt, what, calls in (
        ("whole", "a short answer", 8 * bench.size.requests),
        ("paced", "100 deltas at 20 ms", 8),
    ):
        spent: dict[str, list[float]] = {side: [] for side in asks}
        for number in range(-1, bench.size.rounds):  # -1 warms up
            for side in asks if number % 2 else reversed(asks):
                cpu = await _cpu(asks[side], prompt, calls)
                if number >= 0:
                    spent[side].append(1000 * cpu / calls)
        figures.append(Figure.ratio("HTTP client alone", f"CPU for {what}", "ms", spent))
    await ours.aclose()
    await theirs.aclose()
    return figures


async def _cpu(ask: Ask, prompt: str, calls: int) -> float:
    began = time.process_time()
    for start in range(0, calls, 8):
        await asyncio.gather(*(ask(prompt) for _ in range(start, min(start + 8, calls))))
    return time.process_time() - began


def _nothing() -> None: ...


def _through_ours(http: HttpClient, request: _Request) -> Ask:
    async def ask(prompt: str) -> None:
        content, timeout = request.content(prompt), httpx.Timeout(60)
        answer = await http.send("POST", request.url, request.headers, content, timeout, note_sent=_nothing)
        while await answer.read() is not None:
            pass
        await answer.aclose()

    return ask


def _through_httpx(http: httpx.AsyncClient, request: _Request) -> Ask:
    async def ask(prompt: str) -> None:
        content = request.content(prompt)
        async with http.stream("POST", request.url, headers=request.headers, content=content, timeout=60) as answer:
            async for _ in answer.aiter_bytes():
                pass

    return ask
