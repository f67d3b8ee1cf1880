"""Jobs while proxies are killed at random, and Redis once."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from . import spread
from .cluster import Cluster, Server, until

SEED = 20
REDIS_AWAY = 3.0
JOB_SECONDS = 1500
# At which share of the items a process is killed. The agent is slower here, so that items are in flight.
KILLS = (0.1, 0.3, 0.7, 0.85)
REDIS_KILL = 0.5
# What a process may have in flight: JOBS_WORKERS × JOBS_CONCURRENCY.
IN_FLIGHT = 16
SLOW = {"first_token_delay": 2}
_ITEM = re.compile(r"job \d+ item \d+\.")
_ENDED = re.compile(r"Job (\S+) ended: completed")


@dataclass
class Chaos:
    """What was killed, and when; a restarted proxy needs the time of a start."""

    cluster: Cluster
    began: float = field(default_factory=time.time)
    kills: list[tuple[float, str]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))

    def kill_a_proxy(self) -> None:
        """Kill a proxy that serves (kill -9), and start it again while the others go on."""
        enough = min(2, len(self.cluster.proxies))
        serving = until(lambda: len(found := self._serving()) >= enough and found, JOB_SECONDS)
        proxy = self.dice.choice(serving)
        self._note(proxy.name)
        proxy.kill()
        proxy.start()

    def _serving(self) -> list[Server]:
        return [proxy for proxy in self.cluster.proxies if _serves(proxy)]

    def kill_redis(self) -> None:
        """Kill Redis (kill -9), and start it again from its append-only file."""
        self._note("redis")
        self.cluster.redis.kill()
        time.sleep(REDIS_AWAY)
        self.cluster.redis.start()
        self.cluster.wait_redis()

    def _note(self, name: str) -> None:
        self.kills.append((round(time.time() - self.began, 2), name))
        print(f"  kill -9 {name} after {self.kills[-1][0]:.0f} s", flush=True)


def run(cluster: Cluster, jobs: int, items: int) -> dict[str, Any]:
    """Send jobs, kill processes until all have ended, and compare what the agent and the clients saw."""
    cluster.control("POST", "/settings", SLOW)
    cluster.control("DELETE", "/requests")
    refused = cluster.control("GET", "/state")["rate_limited"]
    key = cluster.keys["busy"]
    ids = [
        spread.ask(cluster.url, "/ingest", {"messages": [f"job {job} item {item}." for item in range(items)]}, key=key)[
            "job_id"
        ]
        for job in range(jobs)
    ]
    chaos = Chaos(cluster)
    plan = sorted([(share, chaos.kill_a_proxy) for share in KILLS] + [(REDIS_KILL, chaos.kill_redis)], key=_share)
    for share, act in plan:
        until(lambda share=share: len(_asked(cluster)) >= share * jobs * items, JOB_SECONDS)
        act()
    for proxy in cluster.proxies:
        proxy.wait_ready()
    states = [until(lambda job=job: _ended(cluster, job, key), JOB_SECONDS, pause=1) for job in ids]
    records = cluster.control("GET", "/requests?at=chat")
    served = Counter(match[0] for one in records if one["status"] != 429 and (match := _ITEM.search(one["prompt"])))
    found = judge(states, items, served)
    logs = "\n".join(proxy.text() for proxy in cluster.proxies)
    ended = Counter(_ENDED.findall(logs))
    found |= {
        "ended_once": sum(ended[job] == 1 for job in ids),
        "kills": chaos.kills,
        "redis_restarts": sum(name == "redis" for _, name in chaos.kills),
        "proxy_kills": sum(name != "redis" for _, name in chaos.kills),
        "overruns": cluster.control("GET", "/state")["rate_limited"] - refused,
        "seconds": round(time.time() - chaos.began, 1),
        "times": sorted(
            round(one["ended"] - chaos.began, 2) for one in records if one["status"] == 200 and one["finished"]
        ),
    }
    return found


def judge(states: Sequence[dict[str, Any]], items: int, served: Counter[str]) -> dict[str, Any]:
    """Compare the states of the jobs with the requests that the agent served, by item.

    >>> state = {"status": "completed", "progress": {"total": 2, "done": 2, "failed": 0}}
    >>> state["result"] = [{"item": n, "content": f"job 0 item {n}."} for n in range(2)]
    >>> found = judge([state], 2, Counter({"job 0 item 0.": 1, "job 0 item 1.": 2}))
    >>> found["jobs"], found["completed"], found["items"], found["answered_once"], found["asked_again"]
    (1, 1, 2, 2, 1)
    """
    once = 0
    for number, state in enumerate(states):
        answers = Counter(one["item"] for one in state["result"] if f"job {number} item {one['item']}" in str(one))
        once += sum(answers[item] == 1 for item in range(items)) if state["progress"]["done"] == items else 0
    completed = sum(state["status"] == "completed" and not state["progress"]["failed"] for state in states)
    return {
        "jobs": len(states),
        "completed": completed,
        "items": len(states) * items,
        "answered_once": once,
        "never_asked": len(states) * items - len(served),
        "asked_again": served.total() - len(served),
    }


def _share(step: tuple[float, Any]) -> float:
    return step[0]


def _asked(cluster: Cluster) -> set[str]:
    """Return the items for which the agent was asked."""
    records = cluster.control("GET", "/requests?at=chat&match=item")
    return {found[0] for one in records if one["status"] == 200 and (found := _ITEM.search(one["prompt"]))}


def _ended(cluster: Cluster, job: str, key: str) -> dict[str, Any] | None:
    """Return the state of an ended job; no proxy may be there to ask."""
    try:
        state = spread.ask(cluster.url, f"/status/{job}", key=key)
    except httpx.HTTPError:
        return None
    return state if state["status"] in ("completed", "failed", "cancelled") else None


def _serves(proxy: Server) -> bool:
    try:
        return httpx.get(f"{proxy.url}/health/readiness", trust_env=False, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False
