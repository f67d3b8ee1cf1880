"""The quota that processes share through a real Redis."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from custom_handler.errors import ConfigurationError, QueueFull
from custom_handler.request.caller import Caller
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.ledger import Limits
from custom_handler.stackspot.state.redis_client import RETRY_SECONDS
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
from custom_handler.stackspot.state.window import Queue
from tests.support.clock import Clock
from tests.support.waiting import eventually

PROCESSES, EACH, BUDGET, WINDOW = 4, 6, 8, 2

CALLER = f"""
import sys, time
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
window = RedisRequestWindow(RedisSettings(url=sys.argv[1]), "r/c", time.monotonic, {WINDOW})
limiter = Limiter(LimitSettings(requests_per_minute={BUDGET}), window)
waiters = [limiter.acquire(30) for _ in range({EACH})]
for waiter in waiters:
    waiter.admitted.add_done_callback(lambda _: print(time.time(), flush=True))
for waiter in waiters:
    waiter.admitted.result(30)
"""


def acquire(window: RedisRequestWindow, budget: int) -> float:
    """Count a request, and return 0, or the seconds until one is allowed."""
    return window.acquire({Caller("ana"): Queue()}, Limits(budget)).delay


@pytest.fixture
def windows(redis_server: Any) -> Iterator[Callable[..., RedisRequestWindow]]:
    made: list[RedisRequestWindow] = []

    def make(clock: Any = time.monotonic, window: int = 61, account: str = "r/c", **redis: Any) -> RedisRequestWindow:
        settings = RedisSettings(**{"url": redis_server.url, **redis})
        made.append(RedisRequestWindow(settings, account, clock, window))
        return made[-1]

    yield make
    for window in made:
        window._client.redis.close()


def test_four_processes_never_exceed_the_budget_together(redis_server):
    command = [sys.executable, "-c", CALLER, redis_server.url]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    times = sorted(float(line) for caller in callers for line in caller.communicate(timeout=300)[0].split())
    assert len(times) == PROCESSES * EACH
    # What a process prints is late by the time of its thread, as a request is by the time of its way: the margin of WINDOW.
    narrow = WINDOW * 60 / 61 - 0.15
    most = max(sum(start <= moment < start + narrow for moment in times) for start in times)
    print(f"\n{PROCESSES} processes, {len(times)} requests, at most {most} in a window of {BUDGET}")
    assert most <= BUDGET
    assert times[-1] - times[0] < 3 * WINDOW + 1  # and nothing was held back without need


def test_one_budget_counts_the_requests_of_all_processes(windows):
    one, other = windows(), windows()
    assert [acquire(window, 3) for window in (one, other, one)] == [0, 0, 0]
    assert 55 < acquire(other, 3) <= 61


def test_accounts_do_not_share(windows):
    assert [acquire(windows(account=account), 1) for account in ("a/c", "b/c")] == [0, 0]


def test_marks_are_shared_and_expire(windows):
    one, other = windows(), windows()
    assert other.get_mark("pause") == (0, 0.0)
    assert one.set_mark("pause", 7, 3000, only_new=True)
    assert not other.set_mark("pause", 8, 6000, only_new=True)
    value, seconds = other.get_mark("pause")
    assert (value, 1000 < seconds <= 3000) == (7, True)
    assert one.set_mark("pause", 9, 0.05)
    time.sleep(0.1)
    assert other.get_mark("pause") == (0, 0.0)


def test_a_429_in_one_process_pauses_all_and_halves_the_budget(windows):
    limits = LimitSettings(requests_per_minute=8)
    one, other = Limiter(limits, windows()), Limiter(limits, windows())
    one.throttle(30)
    eventually(lambda: windows().get_mark("episode")[1])
    error = other.acquire(5).admitted.exception(10)
    assert isinstance(error, QueueFull)
    assert 25 < error.retry_after <= 30
    assert (one._budget(), other._budget()) == (4, 4)


def test_without_redis_each_process_has_its_own_budget(redis_server, windows, caplog):
    clock = Clock()
    window = windows(clock)
    with caplog.at_level(logging.INFO, "custom_handler"):
        assert acquire(window, 3) == 0
        redis_server.stop()
        assert [acquire(window, 3) == 0 for _ in range(4)] == [True, True, False, False]  # it knows of the first one
        assert window.set_mark("pause", 1, 30)
        assert window.get_mark("pause")[1] == 30
        clock.now += RETRY_SECONDS + 1
        assert window.get_mark("pause")[1] == 30 - RETRY_SECONDS - 1
        redis_server.start()
        assert window.get_mark("pause")[1]  # not asked again yet
        clock.now += RETRY_SECONDS + 1
        assert window.get_mark("pause")[1] == 30 - 2 * (RETRY_SECONDS + 1)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Redis is unavailable",
        "Redis is available again: the quota is shared again",
    ]
    assert acquire(windows(), 1) == 0
    assert acquire(window, 1) > 0


def test_host_port_and_password_are_settings(redis_server, windows):
    with redis.Redis(port=redis_server.port) as client:
        client.config_set("requirepass", "p@ss word/")
        window = windows(url="", host="127.0.0.1", port=redis_server.port, password="p@ss word/")
        assert window.set_mark("pause", 1, 30)
        assert [key.rpartition(b":")[2] for key in client.scan_iter()] == [b"pause"]


def test_user_and_database_are_settings(redis_server, windows):
    with redis.Redis(port=redis_server.port, db=3) as client:
        client.acl_setuser("gateway", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"])
        told = {"username": "gateway", "password": "secret", "db": 3}
        assert windows(url="", host="127.0.0.1", port=redis_server.port, **told).set_mark("pause", 1, 30)
        assert [key.rpartition(b":")[2] for key in client.scan_iter()] == [b"pause"]


def test_tls_is_a_setting():
    window = RedisRequestWindow(RedisSettings(host="127.0.0.1", ssl=True), "r/c", time.monotonic)
    assert window._client.redis.connection_pool.connection_class is redis.SSLConnection


def test_a_wrong_password_is_logged_as_such(redis_server, windows, caplog):
    told = {"username": "nobody", "password": "wrong"}
    window = windows(url="", host="127.0.0.1", port=redis_server.port, **told)
    assert acquire(window, 1) == 0
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["Redis rejects the credentials"]


def test_an_invalid_redis_url_raises_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        RedisRequestWindow(RedisSettings(url="localhost:6379"), "r/c", time.monotonic)
