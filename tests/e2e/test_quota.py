"""Two workers of the proxy and a real Redis: together they keep to the account's quota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.protocols import PATHS, body
from tests.support.proxy import Simulator, running_proxy
from tests.support.redis_server import running_redis

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
