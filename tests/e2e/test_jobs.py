"""Jobs of the real proxy: what its clients see, several processes on one queue, and processes that die in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import BIN, ROOT, START_SECONDS, free_port, process, wait_for
from tests.support.proxy import MASTER_KEY, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

ITEMS = 4
ENDED = {"completed", "failed", "cancelled"}
LEASE = {"STACKSPOT_JOBS_LEASE": "2"}


def get(proxy: Proxy, path: str, **params: Any) -> httpx.Response:
    return httpx.get(f"{proxy.url}{path}", params=params, headers=proxy.headers, timeout=60, trust_env=False)


def ingest(proxy: Proxy, body: dict[str, Any], **headers: str) -> str:
    answer = proxy.post("/ingest", body, **headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    return answer.json()["job_id"]


def ended(proxy: Proxy, job_id: str) -> dict[str, Any]:
    return eventually(lambda: (told := get(proxy, f"/status/{job_id}").json())["status"] in ENDED and told, 60)


def test_documents_are_answered_one_by_one(proxy, simulator):
    simulator.script({"text": "um"}, {"text": "dois"})
    documents = ["primeiro texto", {"id": "b", "text": "segundo texto"}]
    job_id = ingest(proxy, {"documents": documents, "prompt": "Resuma:"}, **{"correlation-id": "conversa-9"})
    told = ended(proxy, job_id)
    assert told["progress"] == {"total": 2, "done": 2, "failed": 0}
    assert {item["content"] for item in told["result"]} == {"um", "dois"}
    first, second = told["result"]
    assert (second["id"], first["provider"], first["usage"]["total_tokens"] > 0) == ("b", "stackspot", True)
    asked = simulator.requests("Resuma:")
    assert {"primeiro texto" in one["prompt"] for one in asked} == {True, False}
    assert "[conversa-9]" in proxy.log.read_text()
    assert f"[{job_id}-0]" in proxy.log.read_text()
    assert job_id in [job["job_id"] for job in get(proxy, "/jobs").json()["jobs"]]


def test_what_fails_is_told_by_item(proxy, simulator):
    told = ended(proxy, ingest(proxy, {"messages": ["oi"], "model": "no-such-model"}))
    assert (told["status"], told["error"]["message"]) == ("failed", "Every item failed; `result` says why.")
    assert told["result"][0]["error"]["code"] == "400"
    assert "no-such-model" in told["result"][0]["error"]["message"]


def test_a_running_job_is_cancelled_and_its_call_with_it(proxy, simulator):
    simulator.configure(first_token_delay=30)
    job_id = ingest(proxy, {"messages": ["nunca respondida"]})
    eventually(lambda: simulator.requests("nunca respondida"))
    answer = httpx.delete(f"{proxy.url}/jobs/{job_id}", headers=proxy.headers, trust_env=False)
    assert answer.json() == {"job_id": job_id, "status": "cancelled"}
    assert get(proxy, f"/status/{job_id}").json()["result"] == []


@pytest.mark.parametrize("path", ["/jobs", "/status/a"])
def test_jobs_want_a_key(proxy, path):
    assert httpx.get(f"{proxy.url}{path}", trust_env=False).status_code == 401
    assert httpx.post(f"{proxy.url}/ingest", json={"messages": ["a"]}, trust_env=False).status_code == 401


def submitted(proxy: Proxy, count: int) -> list[str]:
    return [ingest(proxy, {"messages": [f"job {job} item {item}." for item in range(ITEMS)]}) for job in range(count)]


def responded(proxy: Proxy, text: str, **more: Any) -> str:
    """Return the id of a response."""
    response = proxy.post("/v1/responses", {"model": "stackspot-chat", "input": text, **more})
    response.raise_for_status()
    return str(response.json()["id"])


def each_ended_once(proxy: Proxy, simulator: Simulator, jobs: list[str], in_flight: int) -> None:
    """Every job is completed, every item was asked for, and none twice but what was in flight when a process died."""
    for job in jobs:
        told = ended(proxy, job)
        assert (told["status"], told["progress"]) == ("completed", {"total": ITEMS, "done": ITEMS, "failed": 0})
        assert [item["item"] for item in told["result"]] == list(range(ITEMS))
    asked = Counter(re.search(r"job \d+ item \d+\.", one["prompt"])[0] for one in simulator.requests("item"))
    assert len(asked) == len(jobs) * ITEMS
    assert max(asked.values()) <= 2
    assert asked.total() <= len(jobs) * ITEMS + in_flight


def some_done_some_not(proxy: Proxy) -> bool:
    jobs = get(proxy, "/jobs").json()["jobs"]
    return any(job["status"] == "completed" for job in jobs) and any(job["status"] == "running" for job in jobs)


@contextlib.contextmanager
def command(log: Path, *words: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of the proxy's environment."""
    example = dict(re.findall(r"^(\w+)=(.+)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    with process(
        [str(BIN / words[0]), *words[1:]], log, **(example | {"LITELLM_MASTER_KEY": MASTER_KEY} | environ)
    ) as it:
        yield it


def killed(running: subprocess.Popen[bytes]) -> None:
    """kill -9, for a process and its children."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_two_processes_share_a_file_and_what_they_leave_when_killed_is_finished(simulator, tmp_path):
    simulator.configure(first_token_delay=0.3)
    environ = simulator.environ | LEASE | {"STACKSPOT_JOBS_DIR": str(tmp_path / "jobs")}
    port, log = free_port(), tmp_path / "two"
    serve = ("litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port))
    both = (*serve, "--num_workers", "2", "--timeout_worker_healthcheck", str(START_SECONDS))
    with command(log, *both, **environ) as running:
        eventually(lambda: log.read_text().count("jobs at once") == 2, START_SECONDS)
        proxy = Proxy(f"http://127.0.0.1:{port}", MASTER_KEY, log, running.pid)
        said = responded(proxy, "Sou Ana.")
        said = responded(proxy, "E Rui?", previous_response_id=said)  # perhaps by the other process
        jobs = submitted(proxy, 16)
        eventually(lambda: some_done_some_not(proxy), 60)
        killed(running)
    with running_proxy(tmp_path / "again", **environ) as proxy:
        each_ended_once(proxy, simulator, jobs, in_flight=2 * 4 * 4)
        responded(proxy, "Quem sou?", previous_response_id=said)
    turns = ("Sou Ana.", "E Rui?", "Quem sou?")
    assert all(f"«user»\n{turn}" in simulator.prompts()[-1] for turn in turns)


@pytest.fixture
def redis(tmp_path) -> Iterator[str]:
    with running_redis(tmp_path, durable=True) as server:
        yield server.url


def test_workers_elsewhere_do_the_jobs_of_a_proxy_and_one_of_them_may_be_killed(simulator, redis, tmp_path):
    simulator.configure(first_token_delay=0.3)
    environ = simulator.environ | LEASE | {"REDIS_URL": redis}
    worker = ("python", "-m", "custom_handler", "worker", "--at-once", "2")
    with (
        command(tmp_path / "first", *worker, **environ) as first,
        command(tmp_path / "second", *worker, **environ) as second,
        running_proxy(tmp_path / "front", **environ, STACKSPOT_JOBS_WORK_HERE="false") as proxy,
    ):
        for name, running in (("first", first), ("second", second)):
            wait_for(tmp_path / name, "2 jobs at once", running)
        jobs = submitted(proxy, 12)
        eventually(lambda: some_done_some_not(proxy), 60)
        killed(first)
        each_ended_once(proxy, simulator, jobs, in_flight=2 * 4)
        assert "jobs at once" not in proxy.log.read_text()
        second.terminate()
        assert second.wait(120) == 0
