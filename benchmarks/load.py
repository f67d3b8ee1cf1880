"""The load generator, a separate process: it reads one job per line and writes its outcome as JSON.

It reads bytes as soon as they arrive. A job is limited in requests and in seconds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

_SAMPLES = ("latency", "first", "delay", "first_delay", "gap", "pause")
_STAMP = re.compile(r"\d+\.\d{6}")


@dataclass(frozen=True, slots=True)
class Job:
    """Requests by parallel clients, each of which waits for its response before the next one.

    No request starts after `seconds`.
    """

    url: str
    key: str
    model: str
    prompt: str
    stream: bool
    clients: int
    requests: int
    seconds: float = 60.0


@dataclass(slots=True)
class Outcome:
    """The clients' measurements; times are seconds.

    A token's delay counts from the time at which the upstream sent it; `first_delay` is that of a
    stream's first token. A pause is the longest gap of a stream.
    """

    seconds: float = 0.0
    answers: int = 0
    failures: int = 0
    characters: int = 0
    deltas: int = 0
    latency: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    delay: dict[str, float] = field(default_factory=dict)
    first_delay: dict[str, float] = field(default_factory=dict)
    gap: dict[str, float] = field(default_factory=dict)
    pause: dict[str, float] = field(default_factory=dict)


class LoadGenerator:
    """The handle of the process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.load"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> LoadGenerator:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, job: Job) -> Outcome:
        """Run a job; raises RuntimeError if a request failed."""
        self.start(job)
        return self.wait()

    def start(self, job: Job) -> None:
        """Start a job."""
        assert self._process.stdin is not None
        print(json.dumps(dataclasses.asdict(job)), file=self._process.stdin, flush=True)

    def wait(self) -> Outcome:
        """Wait for the end of the job; raises RuntimeError if a request failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The load generator ended.")
        outcome = Outcome(**json.loads(line))
        if outcome.failures or not outcome.answers:
            raise RuntimeError(f"{outcome.failures} requests failed, {outcome.answers} were answered.")
        return outcome


class _Clients:
    """The clients of one job, and their measurements."""

    def __init__(self, job: Job, session: aiohttp.ClientSession) -> None:
        self._job = job
        self._session = session
        self._body = {
            "model": job.model,
            "stream": job.stream,
            "messages": [{"role": "user", "content": job.prompt}],
        }
        self._left = job.requests
        self._samples: dict[str, list[float]] = {name: [] for name in _SAMPLES}
        self._outcome = Outcome()

    async def run(self) -> Outcome:
        began = time.monotonic()
        self._deadline = began + self._job.seconds
        await asyncio.gather(*(self._client() for _ in range(self._job.clients)))
        self._outcome.seconds = time.monotonic() - began
        for name, samples in self._samples.items():
            setattr(self._outcome, name, percentiles(samples))
        return self._outcome

    async def _client(self) -> None:
        while self._left > 0 and time.monotonic() < self._deadline:
            self._left -= 1
            try:
                await self._ask()
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                self._outcome.failures += 1
            else:
                self._outcome.answers += 1

    async def _ask(self) -> None:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {self._job.key}"}
        async with self._session.post(self._job.url, json=self._body, headers=headers) as answer:
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}: {await answer.text()}")
            if self._job.stream:
                await self._read_stream(answer, began)
            else:
                content = orjson.loads(await answer.read())["choices"][0]["message"]["content"]
                self._outcome.characters += len(content)
        self._samples["latency"].append(time.monotonic() - began)

    async def _read_stream(self, answer: aiohttp.ClientResponse, began: float) -> None:
        unread, last, pause = b"", 0.0, 0.0
        while piece := await answer.content.readany():
            now = time.monotonic()
            *events, unread = (unread + piece).split(b"\n\n")
            if not (contents := list(filter(None, map(_content, events)))):
                continue
            self._outcome.deltas += len(contents)
            self._outcome.characters += sum(map(len, contents))
            if last:
                pause = max(pause, now - last)
            else:
                self._samples["first"].append(now - began)
            self._measure("".join(contents), now, last)
            last = now
        self._samples["pause"].append(pause)

    def _measure(self, text: str, now: float, last: float) -> None:
        """Measure the tokens of one read; all but the first arrived without a gap."""
        stamps = [float(stamp) for stamp in _STAMP.findall(text)]
        self._samples["delay"] += [now - stamp for stamp in stamps]
        if stamps and not last:
            self._samples["first_delay"].append(now - stamps[0])
        if stamps and last:
            self._samples["gap"] += [now - last, *[0.0] * (len(stamps) - 1)]


def _content(event: bytes) -> str:
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]" or event.startswith(b":"):
        return ""
    chunk: dict[str, Any] = orjson.loads(data)
    if "error" in chunk:
        raise ValueError(chunk["error"])
    return str(chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum; empty without samples."""
    if not samples:
        return {}
    ordered = sorted(samples)
    return {
        "p50": statistics.median(ordered),
        "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        "max": ordered[-1],
    }


async def _serve() -> None:
    # The proxy closes connections that were idle for 5 s, so do not reuse one that old.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            outcome = await _Clients(Job(**json.loads(line)), session).run()
            print(json.dumps(dataclasses.asdict(outcome)), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
