"""What an attack of `make siege` works with: the running proxy, the attacker's key, and helpers to call with it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from .. import servers
from ..protocols import PATHS
from .other import Other, Seen

CALL_SECONDS = 90
NATIVE = "stackspot-native"
# The bytes of a response that are kept, at its beginning and at its end.
MOST_BYTES = 16_000_000
# The proxy's or the plugin's own refusals, and the failures of the agent behind it.
REFUSED = frozenset({400, 401, 403, 404, 405, 413, 422, 429})
UPSTREAM = frozenset({408, 502, 503, 504})


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """How the attacked proxy runs; `jobs_in_redis`, or else in SQLite."""

    name: str
    jobs_in_redis: bool = False
    workers: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; status 0 if there was none."""

    status: int
    seconds: float
    text: str = ""

    @property
    def said(self) -> str:
        """The status and the first words, for a line of output."""
        return f"HTTP {self.status}: {' '.join(self.text[:160].split())}" if self.status else self.text


@dataclass
class Outcome:
    """What an attack saw: a line for the table, and what must not be."""

    said: str = ""
    faults: list[str] = field(default_factory=list)
    # When the attack killed a process of the proxy, on the monotonic clock.
    cuts: list[float] = field(default_factory=list)

    def expect(self, holds: object, fault: str) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.faults.append(fault)


def outcome_of(answers: Iterable[Answer], allowed: Iterable[int]) -> Outcome:
    """Count the statuses; each that is not allowed is a fault."""
    answers, allowed = list(answers), set(allowed)
    counts = Counter(answer.status for answer in answers)
    said = ", ".join(f"{status or 'no response'} × {count}" for status, count in sorted(counts.items()))
    wrong = {answer.status: answer for answer in answers if answer.status not in allowed}
    return Outcome(said, [f"{counts[status]} × {answer.said}" for status, answer in sorted(wrong.items())])


@dataclass
class Ground:
    """One attacked proxy. `quick` asks for the short form of an attack."""

    proxy: servers.Proxy
    simulator: servers.Simulator
    other: Other
    session: aiohttp.ClientSession
    key: str
    jobs: Path
    redis: psutil.Process
    quick: bool
    # What the other team saw while the first calls of the process were made.
    cold: Seen | None = None
    # The steps of an attack and their starts on the monotonic clock.
    steps: list[tuple[float, str]] = field(default_factory=list)

    def size(self, full: int, quick: int) -> int:
        """Return a number of the full or the short form."""
        return quick if self.quick else full

    def step(self, name: str) -> None:
        """Note what begins now, so that a stall can be told to belong to it."""
        self.steps.append((time.monotonic(), name))

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        leave_after: float = CALL_SECONDS,
    ) -> Answer:
        """Send a request with the attacker's key; bytes are sent as they are, other bodies as JSON."""
        began = time.monotonic()
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        own = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | dict(headers or {})
        status, kept = 0, bytearray()
        limit = aiohttp.ClientTimeout(total=leave_after)
        url = self.proxy.url + path
        try:
            async with self.session.request(method, url, headers=own, timeout=limit, **sent) as answer:
                status = answer.status
                async for data in answer.content.iter_any():
                    kept += data
                    del kept[MOST_BYTES:-MOST_BYTES]
        except asyncio.TimeoutError:
            kept = kept or bytearray(f"no end within {leave_after:g} s".encode())
        except (aiohttp.ClientError, OSError) as error:
            return Answer(0, time.monotonic() - began, f"no whole response: {type(error).__name__}: {error}")
        return Answer(status, time.monotonic() - began, bytes(kept).decode(errors="replace"))

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait until something holds, at most so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await holds():
                return
            await asyncio.sleep(0.1)

    async def together(self, count: int, ask: Callable[[int], Any]) -> list[Answer]:
        """Make calls at the same time."""
        return list(await asyncio.gather(*(ask(number) for number in range(count))))

    async def script(self, *plays: Mapping[str, Any], **settings: Any) -> None:
        """Replace the simulator's scripted responses and settings."""
        await self.control("DELETE", "/control")
        await self.control("POST", "/control/settings", {"first_token_delay": 0, "cadence": 0} | settings)
        await self.control("POST", "/control/script", {"plays": plays})

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call a route of the simulator's control."""
        async with self.session.request(method, self.simulator.url + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def prompts(self, match: str) -> list[dict[str, Any]]:
        """Return the simulator's records of chats whose prompt has a text."""
        found = await self.control("GET", f"/control/requests?at=chat&match={match}")
        return [record for record in found if match in (record.get("prompt") or "")]


def chat(text: str, *, path: str = PATHS[0], model: str = servers.STACKSPOT, **more: Any) -> dict[str, Any]:
    """Return the body of a question in the words of a protocol."""
    asked: dict[str, Any] = {"model": model, **more}
    asked |= {"input": text} if path == PATHS[2] else {"messages": [{"role": "user", "content": text}]}
    return {"max_tokens": 100_000} | asked if path == PATHS[1] else asked
