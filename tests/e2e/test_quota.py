"""Two workers of the proxy and a real Redis: together they keep to the account's quota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.protocols import PATHS, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

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
                    eventually(lambda: "stackspot_queue_depth 12.0" in metrics(proxy))
                    one = pool.submit(call, path, "bia")
                    eventually(lambda: "stackspot_queue_depth 13.0" in metrics(proxy))
                assert [answer.result() for answer in [*many, one]] == [200] * 13
            order = ["Oi, bia" in request["prompt"] for request in simulator.requests()[before + 1 :]]
            print(f"\n{path}: {order.index(True)} calls of 12 before the other key's")
            assert order.index(True) <= 2


def headers_of(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer sk-the-key-of-{name}-1"}
