"""The attacks of `make siege` as jobs, while the proxy is killed twice: each job has to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import httpx

from . import servers
from .siege_attacks import Attack
from .siege_calls import Result, question, response_format
from .siege_other import Other, Seen

KILLS = 2
JOB_SECONDS = 300
_ENDED = {"completed", "failed", "cancelled"}
_ABANDONED = "item_abandoned"

Start = Callable[[], AbstractContextManager[tuple[servers.Proxy, Other]]]


def run_jobs_with_kills(
    start: Start, upstream: servers.Simulator, key: str, attacks: Sequence[Attack]
) -> Iterator[tuple[str, Result, Seen]]:
    """Send each attack as a job, kill the working proxy twice, and yield the outcomes."""
    headers = {"Authorization": f"Bearer {key}"}
    jobs: dict[str, Attack] = {}
    for kill in range(KILLS):
        with start() as (proxy, other):
            if not jobs:
                _warm_up(other)
                jobs = {_ingest(proxy.url, headers, attack): attack for attack in attacks}
            began = time.monotonic()
            _wait_for_call(upstream, began)
            seen = other.seen(began, time.monotonic())
            proxy.process.kill()
        killed = Result(0, time.monotonic() - began, "the proxy is killed", ended=True)
        if kill:  # its imports overlap with the jobs, which continue at once
            seen = replace(seen, stall=0, slowest_chat=0)
        yield f"jobs, before kill {kill + 1}{' (not timed)' if kill else ''}", killed, seen
    with start() as (proxy, other):
        _warm_up(other)
        began = time.monotonic()
        states = _wait_for_jobs(proxy.url, headers, jobs, began + JOB_SECONDS)
        seconds = time.monotonic() - began
        seen = other.seen(began, time.monotonic())
    for number, (job, attack) in enumerate(jobs.items()):
        outcome = states.get(job, "not ended")
        none = Seen(0, 0, 0, 0)
        result = Result(0, seconds, f"job {outcome}", ended=job in states and _ABANDONED not in outcome)
        yield f"{attack.name} | job", result, seen if number == 0 else none


def _warm_up(other: Other) -> None:
    """Wait for a chat of the other team, because the first one imports modules for seconds."""
    for _ in range(3):  # a probe may still run after the first chat
        other.seen(time.monotonic(), time.monotonic())


def _ingest(url: str, headers: dict[str, str], attack: Attack) -> str:
    body = {
        "model": servers.STACKSPOT,
        "messages": [question(attack, "job")],
        "params": response_format(attack.schema),
    }
    answer = httpx.post(f"{url}/ingest", json=body, headers=headers, timeout=60, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["job_id"])


def _wait_for_call(upstream: servers.Simulator, since: float) -> None:
    """Wait until a reply to an item is open, so that the kill interrupts it."""
    while time.monotonic() < since + JOB_SECONDS:
        state = httpx.get(f"{upstream.url}/control/requests", params={"at": "chat"}, trust_env=False).json()
        if any("<job:" in (record.get("prompt") or "") and not record["ended"] for record in state):
            return
        time.sleep(0.1)
    raise RuntimeError("No job was worked on. See the proxy's log.")


def _wait_for_jobs(url: str, headers: dict[str, str], jobs: dict[str, Attack], deadline: float) -> dict[str, str]:
    states: dict[str, str] = {}
    while len(states) < len(jobs) and time.monotonic() < deadline:
        for job in jobs.keys() - states.keys():
            job_now = httpx.get(f"{url}/status/{job}", headers=headers, timeout=60, trust_env=False).json()
            if job_now["status"] in _ENDED:
                states[job] = ": ".join((job_now["status"], *_reasons(job_now)))
        print(f"jobs that ended: {len(states)} of {len(jobs)}", flush=True)
        time.sleep(1)
    return states


def _reasons(job: dict[str, Any]) -> Iterator[str]:
    for item in job.get("result") or ():
        if error := item.get("error"):
            yield f"{error['code']} {error['message'][:80]}"
