"""Attacks on the stores of jobs, quota and conversations, and on what works on jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil

from .. import servers
from .ground import NATIVE, Answer, Ground, Outcome, chat, outcome_of
from .schema_calls import question, response_format, scripted_responses
from .schemas import ATTACKS, PLAIN

BUSY = (429, 503)
ENDED = ("completed", "failed", "cancelled")
JOB_SECONDS = 240


async def sqlite_locked(ground: Ground) -> Outcome:
    """Lock the job store's SQLite file, and send ten jobs and as many look-ups meanwhile."""
    await ground.script()
    seconds, began = ground.size(6, 3), time.time()
    with _locked(ground):
        held = asyncio.create_task(asyncio.sleep(seconds))
        answers = await ground.together(10, lambda number: _ingest(ground, number))
        answers += await ground.together(10, lambda _: ground.ask("/jobs", method="GET"))
        await held
    outcome = outcome_of(answers, (200, 202, *BUSY))
    await _judge_jobs(ground, outcome, _accepted(answers))
    await _judge_refused(ground, outcome, _accepted(answers), began)
    return outcome


@contextlib.contextmanager
def _locked(ground: Ground) -> Iterator[None]:
    """Hold the write lock of each SQLite file."""
    connections = [sqlite3.connect(file, isolation_level=None, timeout=30) for file in ground.jobs.glob("*.db")]
    for connection in connections:
        connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        for connection in connections:
            connection.rollback()
            connection.close()


async def redis_frozen(ground: Ground) -> Outcome:
    """Stop Redis (SIGSTOP), and send 24 look-ups of jobs and ten jobs meanwhile."""
    await ground.script()
    began = time.time()
    with _frozen(ground):
        held = asyncio.create_task(asyncio.sleep(ground.size(8, 4)))
        answers = await ground.together(24, lambda _: ground.ask("/jobs", method="GET"))
        answers += await ground.together(10, lambda number: _ingest(ground, number))
        await held
    outcome = outcome_of(answers, (200, 202, *BUSY))
    await _judge_jobs(ground, outcome, _accepted(answers))
    await _judge_refused(ground, outcome, _accepted(answers), began)
    return outcome


async def redis_frozen_conversations(ground: Ground) -> Outcome:
    """Stop Redis (SIGSTOP) beside turns of conversations that the platform keeps."""
    await ground.script()
    count = ground.size(40, 24)

    def turn(number: int, *, later: bool) -> Any:
        body = chat(f"Conte até {number}", model=NATIVE)
        if later:
            body["messages"] += [{"role": "assistant", "content": "1"}, {"role": "user", "content": "Conte até 4"}]
        return ground.ask("/v1/chat/completions", body, headers={"correlation-id": f"siege-{number}"})

    answers = await ground.together(count, lambda number: turn(number, later=False))
    with _frozen(ground):
        held = asyncio.create_task(asyncio.sleep(ground.size(8, 4)))
        answers += await ground.together(count, lambda number: turn(number, later=True))
        await held
    return outcome_of(answers, (200,))


@contextlib.contextmanager
def _frozen(ground: Ground) -> Iterator[None]:
    ground.redis.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        ground.redis.send_signal(signal.SIGCONT)


async def job_flood(ground: Ground) -> Outcome:
    """Send hundreds of jobs at once, and cancel what has not ended then."""
    await ground.script()
    items, count = ground.size(20, 5), ground.size(300, 40)
    answers = await ground.together(count, lambda number: _ingest(ground, number, items))
    outcome = outcome_of(answers, (202, *BUSY))
    jobs = _accepted(answers)
    for job in jobs:
        await _retried(ground, f"/jobs/{job}", "DELETE", (200, 409))
    states = await _wait_for_jobs(ground, jobs)
    outcome.expect(len(states) == len(jobs), f"{len(jobs) - len(states)} of {len(jobs)} jobs did not end")
    return outcome


async def killed_worker(ground: Ground) -> Outcome:
    """Send a job for each JSON Schema of the siege, and kill a process that works on them (kill -9).

    The other process goes on; without one, nobody would serve until LiteLLM has started again.
    """
    attacks = [PLAIN, *ATTACKS][:: ground.size(1, 9)]
    await ground.script(*scripted_responses(attacks))
    bodies = [{"messages": [question(attack, "job")], "params": response_format(attack.schema)} for attack in attacks]
    answers = await ground.together(len(bodies), lambda number: ground.ask("/ingest", bodies[number]))
    jobs = _accepted(answers)
    await _wait_for_item(ground)
    killed = _kill_worker(ground.proxy)
    outcome = outcome_of(answers, (202, *BUSY))
    outcome.cuts = [killed]
    await _judge_jobs(ground, outcome, jobs)
    outcome.said += ", a process killed"
    return outcome


def _kill_worker(proxy: servers.Proxy) -> float:
    """Kill the process of the proxy that has used the most CPU time, and return when."""
    alive = [child for child in proxy.process.children() if child.status() != psutil.STATUS_ZOMBIE]
    serving = [child for child in alive if "resource_tracker" not in " ".join(child.cmdline())]
    worker = max(serving, key=lambda child: sum(child.cpu_times()[:2]))
    worker.kill()
    return time.monotonic()


async def _wait_for_item(ground: Ground) -> None:
    """Wait until an item of a job is at the agent, so that the kill interrupts it."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        if any(record["ended"] is None for record in await ground.prompts("<job:")):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("No job was worked on. See the proxy's log.")


def _ingest(ground: Ground, number: int, items: int = 2) -> Any:
    return ground.ask("/ingest", {"messages": [f"Conte até {number % 9 + 2}"] * items})


def _accepted(answers: list[Answer]) -> list[str]:
    """Return the ids of the jobs that were accepted."""
    return [json.loads(answer.text)["job_id"] for answer in answers if answer.status == 202]


async def _judge_jobs(ground: Ground, outcome: Outcome, jobs: list[str]) -> None:
    """Expect that each accepted job completes with all of its items, each answered once."""
    states = await _wait_for_jobs(ground, jobs)
    outcome.expect(len(states) == len(jobs), f"{len(jobs) - len(states)} of {len(jobs)} jobs did not end")
    for job in states.values():
        numbers = Counter(item["item"] for item in job["result"])
        whole = set(numbers.values()) == {1} and len(numbers) == job["progress"]["total"]
        reasons = [item["error"]["message"] for item in job["result"] if item.get("error")]
        outcome.expect(job["status"] == "completed" and whole and not reasons, f"a job is {job['status']}: {reasons}")
    outcome.said += f", {len(states)} jobs ended"


async def _judge_refused(ground: Ground, outcome: Outcome, accepted: list[str], since: float) -> None:
    """Expect that a job whose client got an error does not run."""
    found = await _retried(ground, "/jobs?limit=1000", "GET", (200,))
    jobs = [job for job in json.loads(found.text)["jobs"] if job["created_at"] >= since] if found else []
    running = [job for job in jobs if job["job_id"] not in accepted and job["status"] != "cancelled"]
    outcome.expect(found and not running, f"{len(running)} jobs run although their clients got an error")


async def _wait_for_jobs(ground: Ground, jobs: list[str]) -> dict[str, dict[str, Any]]:
    """Return the jobs that have ended, when all have or the time is over."""
    states: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + JOB_SECONDS
    while len(states) < len(jobs) and time.monotonic() < deadline:
        for job in jobs:
            if job not in states and (found := await _retried(ground, f"/status/{job}", "GET", (200,))):
                state = json.loads(found.text)
                if state["status"] in ENDED:
                    states[job] = state
        await asyncio.sleep(0.2)
    return states


async def _retried(ground: Ground, path: str, method: str, good: tuple[int, ...]) -> Answer | None:
    """Return a response with one of these statuses, or None if the proxy stays busy."""
    for _ in range(20):
        answer = await ground.ask(path, method=method)
        if answer.status in good:
            return answer
        await asyncio.sleep(0.5)
    return None
