"""Two workers of the proxy and a real Redis: together they keep to the account's quota."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import program
from tests.support.protocols import PATHS, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually, eventually_async

WORKERS, BUDGET, CALLS = 2, 6, 36


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path, durable=True) as server:
        yield server.url


def test_workers_never_exceed_the_quota_together_and_turn_the_others_away_with_a_hint(
    simulator: Simulator, redis_url: str, tmp_path: Path
) -> None:
    simulator.configure(requests_per_minute=BUDGET)
    quota = {"STACKSPOT_REQUESTS_PER_MINUTE": str(BUDGET), "STACKSPOT_QUEUE_TIMEOUT": "5", "REDIS_URL": redis_url}
    with running_proxy(tmp_path / "log", workers=WORKERS, **(simulator.environ | quota)) as proxy:

        def call(_: int) -> httpx.Response:
            return proxy.post(PATHS[0], body(PATHS[0], "Oi", stream=False))

        with ThreadPoolExecutor(CALLS) as pool:
            answers = list(pool.map(call, range(CALLS)))
    state = httpx.get(f"{simulator.url}/control/state", trust_env=False).json()
    told = Counter(answer.status_code for answer in answers)
    print(f"\n{CALLS} calls of a minute's {BUDGET}: {dict(told)}, by {state['token_requests']} processes")
    assert told == {200: BUDGET, 429: CALLS - BUDGET}
    assert all(1 <= int(answer.headers["retry-after"]) <= 61 for answer in answers if answer.status_code == 429)
    assert (state["chat_requests"], state["rate_limited"]) == (BUDGET, 0)
    assert state["token_requests"] > 1, "one process served all"


def metrics(proxy: Proxy) -> str:
    return WEB.get(f"{proxy.url}/metrics", headers=proxy.headers).text


def test_another_keys_call_passes_a_long_queue(simulator: Simulator, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("keys: [{name: ana, key: sk-the-key-of-ana-1}, {name: bia, key: sk-the-key-of-bia-1}]")
    one_at_once = {"STACKSPOT_MAX_CONCURRENCY": "1", "KEYS_FILE": str(keys)}
    with running_proxy(tmp_path / "log", **(simulator.environ | one_at_once)) as proxy:

        def call(path: str, name: str) -> int:
            asked = body(path, f"Oi, {name}", stream=False)
            return WEB.post(f"{proxy.url}{path}", json=asked, headers=headers_of(name)).status_code

        for path in PATHS:
            before = len(simulator.requests())
            simulator.script({"text": "um dois", "fault": "stall", "match": "Oi, o primeiro"})
            held = body(path, "Oi, o primeiro", stream=True)
            with ThreadPoolExecutor(CALLS) as pool:
                with WEB.stream("POST", f"{proxy.url}{path}", json=held, headers=headers_of("ana")):
                    many = [pool.submit(call, path, "ana") for _ in range(12)]
                    eventually(lambda: 'stackspot_queue_depth{account="default"} 12.0' in metrics(proxy))
                    one = pool.submit(call, path, "bia")
                    eventually(lambda: 'stackspot_queue_depth{account="default"} 13.0' in metrics(proxy))
                assert [answer.result() for answer in [*many, one]] == [200] * 13
            order = ["Oi, bia" in request["prompt"] for request in simulator.requests()[before + 1 :]]
            print(f"\n{path}: {order.index(True)} calls of 12 before the other key's")
            assert order.index(True) <= 2


MANY = 500


@pytest.mark.parametrize("workers", [1, 2])
def test_another_keys_call_passes_five_hundred(
    simulator: Simulator, redis_url: str, tmp_path: Path, workers: int
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("keys: [{name: ana, key: sk-the-key-of-ana-1}, {name: bia, key: sk-the-key-of-bia-1, weight: 3}]")
    long_queue = {
        "STACKSPOT_MAX_WAITING": str(2 * MANY),
        "STACKSPOT_QUEUE_TIMEOUT": "3000",
        "STACKSPOT_TIMEOUT": "3000",
    }
    one_at_once = {"STACKSPOT_MAX_CONCURRENCY": "1", "KEYS_FILE": str(keys), "REDIS_URL": redis_url}
    simulator.configure(first_token_delay=0.2)
    with running_proxy(tmp_path / "log", workers=workers, **(simulator.environ | long_queue | one_at_once)) as proxy:

        def quota(key: str) -> dict[str, Any]:
            answer = WEB.get(f"{proxy.url}/quota", headers={"authorization": f"Bearer {key}"})
            return answer.raise_for_status().json()

        async def call(client: httpx.AsyncClient, name: str) -> int:
            asked = body(PATHS[0], f"Oi, {name}", stream=False)
            return (await client.post(f"{proxy.url}{PATHS[0]}", json=asked, headers=headers_of(name))).status_code

        async def calls() -> int:
            limits = httpx.Limits(max_connections=2 * MANY)
            async with httpx.AsyncClient(timeout=None, trust_env=False, limits=limits) as client:
                many = [asyncio.create_task(call(client, "ana")) for _ in range(MANY)]
                await eventually_async(lambda: quota(proxy.key)["waiting"] == MANY, pause=0.5)
                one = asyncio.create_task(call(client, "bia"))
                await eventually_async(lambda: quota(proxy.key)["waiting"] == MANY + 1, pause=0.5)
                told = quota(proxy.key)
                assert told["paused_until"] > time.time()
                assert told["keys"] == [
                    {"name": "ana", "used": 0, "waiting": MANY, "weight": 1, "share": 1},
                    {"name": "bia", "used": 0, "waiting": 1, "weight": 3, "share": 1},
                    {"name": "master", "used": 1, "waiting": 0, "weight": 1, "share": 1},
                ]
                assert [key["name"] for key in quota("sk-the-key-of-bia-1")["keys"]] == ["bia"]
                # Again and again: a process that did not reach Redis meanwhile returns the pause to it.
                while not one.done():
                    end_pause(redis_url)
                    await asyncio.sleep(0.5)
                status = one.result()
                for task in many:
                    task.cancel()
                await asyncio.gather(*many, return_exceptions=True)
                return status

        simulator.script({"status": 429, "headers": {"retry-after": "2000"}})
        assert proxy.post(PATHS[0], body(PATHS[0], "Oi", stream=False)).status_code == 429
        assert asyncio.run(calls()) == 200
    order = ["Oi, bia" in request["prompt"] for request in simulator.requests()[1:]]
    print(f"\n{order.index(True)} calls of {MANY} before the other key's, with {workers} processes")
    assert order.index(True) <= 2


def end_pause(redis_url: str) -> None:
    """Remove the mark of the pause, as Redis does when its time is over."""
    command = [program("redis-cli"), "-u", redis_url]
    for name in subprocess.run(
        [*command, "keys", "*:pause"], capture_output=True, text=True, check=True
    ).stdout.split():
        subprocess.run([*command, "del", name], capture_output=True, check=True)


LIMITED = ("limit", "remaining", "reset")


def test_each_protocol_says_what_a_key_may_still_send(simulator: Simulator, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(
        "keys: [{name: ana, key: sk-the-key-of-ana-1, share: 0.5}, {name: bia, key: sk-the-key-of-bia-1},"
        " {name: rui, key: sk-the-key-of-rui-1, requests_per_minute: 6}]"
    )
    environ = {"STACKSPOT_REQUESTS_PER_MINUTE": "40", "STACKSPOT_QUEUE_TIMEOUT": "1", "KEYS_FILE": str(keys)}
    with running_proxy(tmp_path / "log", **(simulator.environ | environ)) as proxy:

        def ask(path: str, name: str, *, stream: bool) -> httpx.Response:
            return WEB.post(f"{proxy.url}{path}", json=body(path, "Oi", stream=stream), headers=headers_of(name))

        asked = 0
        for path in PATHS:
            for stream in (False, True):
                asked += 1
                answer = ask(path, "ana", stream=stream)
                assert answer.status_code == 200
                limit, remaining, reset = (answer.headers[f"x-ratelimit-{name}-requests"] for name in LIMITED)
                assert (limit, remaining) == ("20", str(20 - asked)), "it is not its share"
                assert re.fullmatch(r"1m[01]s|\d\ds", reset)
                theirs = [answer.headers.get(f"anthropic-ratelimit-requests-{name}") for name in LIMITED]
                if path == "/v1/messages":
                    assert theirs[:2] == [limit, remaining]
                    assert datetime.strptime(theirs[2], "%Y-%m-%dT%H:%M:%S%z") > datetime.now(timezone.utc)
                else:
                    assert theirs == [None] * 3
        chat = {"messages": [{"role": "user", "content": "Oi"}]}
        answer = WEB.post(f"{proxy.url}/chat", json=chat, headers=headers_of("bia"))
        assert answer.headers["x-ratelimit-limit-requests"] == "40"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(40 - asked - 1)
        for turn, path in enumerate(PATHS * 2):
            answer = ask(path, "rui", stream=turn % 2 == 0)
            assert answer.status_code == 200
            told = [answer.headers[f"x-ratelimit-{name}-requests"] for name in LIMITED]
            assert told == ["6", str(5 - turn), "1m0s"], "it is not the key's own limit"
        answer = ask(PATHS[1], "rui", stream=True)
        assert answer.status_code == 429
        told = [answer.headers[f"x-ratelimit-{name}-requests"] for name in LIMITED]
        assert told == ["6", "0", "1m0s"]
        simulator.script({"status": 429, "headers": {"retry-after": "400"}})
        for path in PATHS:
            for stream in (False, True):
                answer = ask(path, "bia", stream=stream)
                assert answer.status_code == 429
                limit, remaining, reset = (answer.headers[f"x-ratelimit-{name}-requests"] for name in LIMITED)
                assert (limit, remaining) == ("40", "0")
                assert re.fullmatch(r"6m\d\d?s", reset)
        assert "x-ratelimit-limit-requests" not in WEB.get(f"{proxy.url}/v1/models", headers=headers_of("ana")).headers


def headers_of(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer sk-the-key-of-{name}-1"}
