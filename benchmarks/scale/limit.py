"""More calls than the account allows: how many the agent gets, and from which key."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import Any

import aiohttp

from .. import servers
from ..protocols import PATHS, body
from . import redis_cost
from .cluster import LIMIT, NAMES, Cluster

# Each key has always more calls than its third: freed requests come in bursts of up to LIMIT.
CALLERS = {"greedy": 100, "busy": 40, "calm": 40}
MINUTE = 60.0
_ASKED = re.compile(rf"({'|'.join(NAMES)}) \d+\.")


async def saturate(cluster: Cluster, requests: int) -> dict[str, Any]:
    """Keep CALLERS of each key waiting until the agent has had LIMIT requests, and then `requests`."""
    cluster.control("DELETE", "/requests")
    refused_before = cluster.control("GET", "/state")["rate_limited"]
    failures: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=900)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        callers = [
            asyncio.create_task(_caller(cluster, session, name, failures))
            for name, count in CALLERS.items()
            for _ in range(count)
        ]
        first = await _wait_for(cluster, LIMIT)
        before, began = redis_cost.stats(cluster), time.monotonic()
        records = await _wait_for(cluster, first + requests + 1)
        seconds = time.monotonic() - began
        cost = redis_cost.stats(cluster).since(before)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    found = summary(cluster.control("GET", "/requests?at=chat"), first, requests)
    refused = cluster.control("GET", "/state")["rate_limited"] - refused_before
    found |= {"overruns": refused, "failures": dict(failures), "requests": records}
    found["redis"] = {
        "scripts_a_second": cost.calls["evalsha"] / seconds,
        "commands_a_second": cost.calls.total() / seconds,
        "cpu_percent": cost.busy / seconds / 1e4,
    }
    return found


def summary(records: list[dict[str, Any]], first: int, requests: int) -> dict[str, Any]:
    """Return the rate and the shares of `requests` consecutive ones; records are the simulator's, by time.

    >>> records = [{"status": 200, "started": 0.625 * n, "prompt": f"{NAMES[n % 3]} {n}."} for n in range(301)]
    >>> found = summary(records, 0, 300)
    >>> found["per_minute"], found["used"], found["most_in_a_minute"], found["shares"]["busy"]
    (96.0, 0.96, 96, 100)
    """
    served = sorted((one for one in records if one["status"] != 429), key=lambda one: one["started"])
    times = [one["started"] for one in served]
    per_minute = round(requests / (times[first + requests] - times[first]) * MINUTE, 6)
    counted = served[first : first + requests]
    return {
        "per_minute": per_minute,
        "used": per_minute / LIMIT,
        "most_in_a_minute": most_in_a_minute(times),
        "shares": dict(Counter(found[1] for one in counted if (found := _ASKED.search(one["prompt"])))),
        "times": [round(time_ - times[0], 2) for time_ in times],
    }


def most_in_a_minute(times: list[float]) -> int:
    """Return the most requests within any 60 seconds; times are sorted.

    >>> most_in_a_minute([0, 1, 59, 60.5, 61])
    3
    """
    most, left = 0, 0
    for right, time_ in enumerate(times):
        while time_ - times[left] >= MINUTE:
            left += 1
        most = max(most, right - left + 1)
    return most


async def _caller(cluster: Cluster, session: aiohttp.ClientSession, name: str, failures: Counter[str]) -> None:
    headers = {"Authorization": f"Bearer {cluster.keys[name]}"}
    number = 0
    while True:
        path = PATHS[number % 3]
        asked = body(path, servers.STACKSPOT, f"{name} {number}.", stream=number % 2 == 0, tools=False)
        number += 1
        try:
            async with session.post(cluster.url + path, json=asked, headers=headers) as answer:
                text = await answer.read()
                if answer.status != 200:
                    failures[f"HTTP {answer.status}: {text[:120].decode(errors='replace')}"] += 1
                    await asyncio.sleep(1)
        except aiohttp.ClientError as error:
            failures[type(error).__name__] += 1
            await asyncio.sleep(1)


async def _wait_for(cluster: Cluster, count: int) -> int:
    """Wait until the agent has accepted a number of requests; return how many it has."""
    while True:
        records = await asyncio.to_thread(cluster.control, "GET", "/requests?at=chat")
        accepted = sum(one["status"] != 429 for one in records)
        if accepted >= count:
            return accepted
        await asyncio.sleep(2)
