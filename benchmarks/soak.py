"""`make soak`: 200 concurrent calls of all kinds, some with a fault, through the proxy for minutes.

The text of every answer is known, so that a lost or doubled character is noticed. Then the same
number of calls goes to LiteLLM's `openai` provider, whose growth in memory is the baseline. The
exit code is 1 if a goal is missed.

    SOAK_MINUTES              10     how long
    SOAK_CALLS                200    how many at once
    SOAK_REQUESTS_PER_MINUTE  1500   the account's quota, at both ends (0: none)
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from . import servers
from .protocols import PATHS, TOOL, Received, body, read_event, read_whole

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
CALLERS = int(os.environ.get("SOAK_CALLS", "200"))
QUOTA = int(os.environ.get("SOAK_REQUESTS_PER_MINUTE", "1500"))
FAULTY = 0.05
MOST_GROWTH = 20.0
WARM_UP = min(60.0, MINUTES * 60 / 2)
SETTLE = 60.0

DISCONNECTS = "the client disconnects"
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"fault": "reset_before"},
    "closed before": {"fault": "close_before"},
    "a page": {"fault": "html_502"},
    "unavailable": {"status": 503},
    "reset within": {"fault": "reset_within", "after": 20},
    "closed within": {"fault": "close_within", "after": 20},
    "an error frame": {"fault": "error_frame", "after": 20},
    "bad frames": {"fault": "bad_frame", "after": 20},
    DISCONNECTS: {"cadence": 0.05},
}
NOTED = " ".join(f"n{number:04}" for number in range(200))
PREFACE = "Vou anotar.\n"
TOOL_REPLY = {
    "match": "<tools>",
    "times": "always",
    "text": f"{PREFACE}FUNCTION_CALL_START\n{TOOL}\narguments: {json.dumps({'text': NOTED})}\nFUNCTION_CALL_END\n",
}


@dataclass
class Tally:
    """The outcomes so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    unforeseen: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.outcomes.total()


@dataclass(frozen=True)
class Call:
    """One call of a mix that depends on its number alone."""

    number: int

    @property
    def path(self) -> str:
        return PATHS[self.number % 3]

    @property
    def stream(self) -> bool:
        return self.number % 2 == 0

    @property
    def fault(self) -> str | None:
        dice = random.Random(self.number)
        return dice.choice(list(FAULTS)) if dice.random() < FAULTY else None

    @property
    def tools(self) -> bool:
        return self.fault is None and self.number // 6 % 4 == 0

    @property
    def question(self) -> str:
        if self.tools:
            return f"Anote. <tools> <{self.number}>"
        return f"<{self.number}> Conte até {self._count}"

    @property
    def text(self) -> str:
        """The text of the agent's reply."""
        return PREFACE.strip() if self.tools else " ".join(map(str, range(1, self._count + 1)))

    @property
    def _count(self) -> int:
        return 40 + self.number % 200


class Load:
    """Callers that call one model until a time or a number of calls is reached."""

    def __init__(self, proxy: servers.Proxy, upstream: servers.Simulator, model: str) -> None:
        self.tally = Tally()
        self._proxy = proxy
        self._upstream = upstream
        self._model = model
        self._numbers = itertools.count()

    async def run(
        self, *, seconds: float = float("inf"), calls: float = float("inf"), callers: int = CALLERS
    ) -> tuple[float, float]:
        """Return the proxy's resident memory after the warm-up, and at the end, in MiB."""
        started = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {servers.KEY}"}
        timeout = aiohttp.ClientTimeout(total=300)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:

            def over() -> bool:
                return time.monotonic() - started > seconds or self.tally.calls >= calls

            tasks = [asyncio.create_task(self._caller(session, over)) for _ in range(callers)]
            first: float | None = None
            while pending := [task for task in tasks if not task.done()]:
                await asyncio.wait(pending, timeout=10)
                elapsed = time.monotonic() - started
                self._progress(elapsed)
                if first is None and elapsed >= WARM_UP:
                    first = self._proxy.resident()
            await asyncio.gather(*tasks)
            last = self._proxy.resident()
            return last if first is None else first, last

    def _progress(self, seconds: float) -> None:
        print(
            f"{self._model:15} {seconds:6.0f} s  {self.tally.calls:7} calls  {self.tally.calls / max(seconds, 1):5.1f}/s  "
            f"{self._proxy.resident():6.1f} MiB  lost {self.tally.lost}  doubled {self.tally.doubled}",
            flush=True,
        )

    async def _caller(self, session: aiohttp.ClientSession, over: Any) -> None:
        while not over():
            call = Call(next(self._numbers))
            if call.fault:
                scripted = {"match": f"<{call.number}>", "text": call.text, **FAULTS[call.fault]}
                async with session.post(f"{self._upstream.url}/control/script", json={"plays": [scripted]}) as answer:
                    answer.raise_for_status()
            try:
                await self._make(session, call)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._judge(call, Received(failed=True), type(error).__name__)

    async def _make(self, session: aiohttp.ClientSession, call: Call) -> None:
        received = Received()
        asked = body(call.path, self._model, call.question, stream=call.stream, tools=call.tools)
        async with session.post(self._proxy.url + call.path, json=asked) as answer:
            if answer.status != 200:
                received.failed = True
                self._judge(call, received, f"HTTP {answer.status}: {(await answer.text())[:200]}")
                return
            if call.fault == DISCONNECTS:
                await answer.content.readany()
                self.tally.outcomes[DISCONNECTS] += 1
                answer.close()
                return
            if call.stream:
                async for data in _events(answer):
                    read_event(call.path, data, received)
            else:
                read_whole(call.path, await answer.json(), received)
        self._judge(call, received, "an error within the answer")

    def _judge(self, call: Call, received: Received, trouble: str) -> None:
        """Compare the response with the known text; responses of the peer are only counted."""
        text = "".join(received.text)
        if self._model != servers.STACKSPOT:
            self.tally.outcomes["peer"] += 1
        elif received.failed and call.fault:
            self.tally.outcomes["failed by its fault"] += 1
            self.tally.doubled += 0 if call.text.startswith(text) else len(text)
        elif received.failed:
            self.tally.outcomes["failed without a fault"] += 1
            self.tally.unforeseen.append(f"{call.path} {trouble}")
        else:
            self.tally.outcomes["whole in spite of its fault" if call.fault else "whole"] += 1
            self._compare(call.text, text.strip() if call.tools else text)
            if call.tools:
                self._compare(NOTED, _noted("".join(received.arguments)))
            if not received.ended:
                self.tally.outcomes["without an end"] += 1

    def _compare(self, expected: str, found: str) -> None:
        if expected == found:
            return
        self.tally.lost += max(1, len(expected) - len(found)) if len(found) <= len(expected) else 0
        self.tally.doubled += max(0, len(found) - len(expected))


def _noted(arguments: str) -> str:
    try:
        return str(json.loads(arguments)["text"])
    except (ValueError, KeyError):
        return arguments


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in answer.content:
        if line.startswith(b"data:"):
            yield line[5:].strip().decode()


async def _tasks(proxy: servers.Proxy) -> Counter[str]:
    """Return the names of the proxy's running tasks, from LiteLLM's debug route."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {servers.KEY}"}) as session,
        session.get(f"{proxy.url}/debug/asyncio-tasks") as answer,
    ):
        return Counter((await answer.json())["by_name"])


def _connections(proxy: servers.Proxy, state: dict[str, Any]) -> int:
    """Count open streams of the agent, connections of clients, and half-closed ones."""
    port = int(proxy.url.rsplit(":", 1)[1])
    found = proxy.process.net_connections("tcp")
    left = [
        one for one in found if one.status == "CLOSE_WAIT" or (one.status == "ESTABLISHED" and one.laddr.port == port)
    ]
    return int(state["open_streams"]) + len(left)


async def _state(upstream: servers.Simulator) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{upstream.url}/control/state") as answer:
        state: dict[str, Any] = await answer.json()
        return state


async def _settled(proxy: servers.Proxy, upstream: servers.Simulator, idle: Counter[str]) -> tuple[int, Counter[str]]:
    """Wait until nothing is left of the load, or a minute; return connections and tasks."""
    deadline = time.monotonic() + SETTLE
    while True:
        connections = _connections(proxy, await _state(upstream))
        tasks = await _tasks(proxy) - idle
        if (not connections and not tasks) or time.monotonic() > deadline:
            return connections, tasks
        await asyncio.sleep(1)


async def _growth(directory: Path, upstream: servers.Simulator, model: str, **limits: float) -> dict[str, Any]:
    """Put the load on a new proxy and return the outcomes."""
    _configure(upstream, 0 if model != servers.STACKSPOT else QUOTA)
    environ = {"STACKSPOT_REQUESTS_PER_MINUTE": str(QUOTA), "STACKSPOT_MAX_CONCURRENCY": str(CALLERS)}
    with servers.proxy(directory, upstream, plugin=model == servers.STACKSPOT, environ=environ) as proxy:
        await Load(proxy, upstream, model).run(seconds=5, callers=20)
        await asyncio.sleep(3)
        idle = await _tasks(proxy)
        load = Load(proxy, upstream, model)
        first, last = await load.run(**limits)
        connections, tasks = await _settled(proxy, upstream, idle)
    return {"tally": load.tally, "grown": last - first, "connections": connections, "tasks": tasks}


def _configure(upstream: servers.Simulator, quota: int) -> None:
    upstream.script(TOOL_REPLY)
    settings = {"first_token_delay": 0.2, "cadence": 0.05, "burst": 10, "requests_per_minute": quota or None}
    httpx.post(f"{upstream.url}/control/settings", json=settings, trust_env=False).raise_for_status()


async def soak() -> int:
    """Run both loads, print the outcomes and return the exit code."""
    with tempfile.TemporaryDirectory() as folder, servers.simulator(Path(folder)) as upstream:
        ours = await _growth(Path(folder), upstream, servers.STACKSPOT, seconds=MINUTES * 60)
        state = await _state(upstream)
        peer = await _growth(Path(folder), upstream, servers.OPENAI, calls=ours["tally"].calls)
    tally: Tally = ours["tally"]
    for name, count in sorted(tally.outcomes.items()):
        print(f"  {count:7} {name}")
    for trouble, count in Counter(tally.unforeseen).most_common(5):
        print(f"  {count:7} × {trouble}")
    if ours["tasks"]:
        print(f"  tasks left: {dict(ours['tasks'])}")
    grown = ours["grown"] - peer["grown"]
    figures = [
        ("calls", tally.calls, tally.calls > 0),
        ("lost characters", tally.lost, tally.lost == 0),
        ("doubled characters", tally.doubled, tally.doubled == 0),
        ("failed without a fault", len(tally.unforeseen), not tally.unforeseen),
        ("answers without an end", tally.outcomes["without an end"], not tally.outcomes["without an end"]),
        ("leaked connections", ours["connections"], ours["connections"] == 0),
        ("leaked tasks", ours["tasks"].total(), not ours["tasks"]),
        ("growth of memory, MiB", round(ours["grown"], 1), True),
        ("growth of the openai provider, MiB", round(peer["grown"], 1), True),
        (f"growth beyond it (goal: below {MOST_GROWTH:g})", round(grown, 1), grown < MOST_GROWTH),
        ("token requests", state["token_requests"], True),
        ("quota overruns", state["rate_limited"], state["rate_limited"] == 0),
    ]
    for name, value, reached in figures:
        print(f"{name:42} {value:>10}  {'' if reached else 'MISSED'}")
    return 0 if all(reached for *_, reached in figures) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(soak()))
