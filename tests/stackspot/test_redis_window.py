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
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.redis_client import ASK_AGAIN
from custom_handler.stackspot.state.redis_window import RedisRequestWindow

PROCESSES, EACH, BUDGET, WINDOW = 4, 6, 8, 2

CALLER = f"""
import sys, time
from custom_handler.settings import LimitSettings, RedisSettings
from custom_handler.stackspot.limiter import Limiter
from custom_handler.stackspot.state.redis_window import RedisRequestWindow
window = RedisRequestWindow(RedisSettings(url=sys.argv[1]), "r/c", time.monotonic, {WINDOW})
limiter = Limiter(LimitSettings(requests_per_minute={BUDGET}), window)
tickets = [limiter.enter(30) for _ in range({EACH})]
for ticket in tickets:
    ticket.admitted.add_done_callback(lambda _: print(time.time(), flush=True))
for ticket in tickets:
    ticket.admitted.result(30)
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ledgers(server: Any) -> Iterator[Callable[..., RedisRequestWindow]]:
    made: list[RedisRequestWindow] = []

    def make(clock: Any = time.monotonic, window: int = 61, account: str = "r/c", **redis: Any) -> RedisRequestWindow:
        settings = RedisSettings(**{"url": server.url, **redis})
        made.append(RedisRequestWindow(settings, account, clock, window))
        return made[-1]

    yield make
    for ledger in made:
        ledger._link.redis.close()


def test_four_processes_never_exceed_the_budget_together(server):
    command = [sys.executable, "-c", CALLER, server.url]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    times = sorted(float(line) for caller in callers for line in caller.communicate(timeout=60)[0].split())
    assert len(times) == PROCESSES * EACH
    # What a process prints is late by the time of its thread, as a request is by the time of its way: the margin of WINDOW.
    narrow = WINDOW * 60 / 61 - 0.15
    most = max(sum(start <= moment < start + narrow for moment in times) for start in times)
    print(f"\n{PROCESSES} processes, {len(times)} requests, at most {most} in a window of {BUDGET}")
    assert most <= BUDGET
    assert times[-1] - times[0] < 3 * WINDOW + 1  # and nothing was held back without need


def test_what_one_process_spends_another_has_not(ledgers):
    one, other = ledgers(), ledgers()
    assert [one.spend(3), other.spend(3), one.spend(3)] == [0, 0, 0]
    assert 55 < other.spend(3) <= 61


def test_accounts_do_not_share(ledgers):
    assert [ledgers(account=account).spend(1) for account in ("a/c", "b/c")] == [0, 0]


def test_marks_are_shared_and_fade(ledgers):
    one, other = ledgers(), ledgers()
    assert other.standing("pause") == (0, 0.0)
    assert one.put("pause", 7, 3000, only_new=True)
    assert not other.put("pause", 8, 6000, only_new=True)
    value, seconds = other.standing("pause")
    assert (value, 1000 < seconds <= 3000) == (7, True)
    assert one.put("pause", 9, 0.05)
    time.sleep(0.1)
    assert other.standing("pause") == (0, 0.0)


def test_a_refusal_of_one_process_pauses_the_others_and_halves_the_budget_of_all(ledgers):
    limits = LimitSettings(requests_per_minute=8)
    one, other = Limiter(limits, ledgers()), Limiter(limits, ledgers())
    one.throttle(30)
    deadline = time.monotonic() + 10
    while not ledgers().standing("episode")[1]:
        assert time.monotonic() < deadline
    error = other.enter(5).admitted.exception(10)
    assert isinstance(error, QueueFull)
    assert 25 < error.retry_after <= 30
    assert (one._budget(), other._budget()) == (4, 4)


def test_calls_go_on_with_a_budget_of_their_own_while_redis_is_away(server, ledgers, caplog):
    clock = Clock()
    ledger = ledgers(clock)
    with caplog.at_level(logging.INFO, "custom_handler"):
        assert ledger.spend(3) == 0
        server.stop()
        assert [ledger.spend(3) == 0 for _ in range(4)] == [True, True, False, False]  # it knows of the first one
        assert ledger.put("pause", 1, 30)
        assert ledger.standing("pause")[1] == 30
        clock.now += ASK_AGAIN + 1
        assert ledger.standing("pause")[1] == 30 - ASK_AGAIN - 1
        server.start()
        assert ledger.standing("pause")[1]  # not asked again yet
        clock.now += ASK_AGAIN + 1
        assert ledger.standing("pause") == (0, 0.0)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Redis is away",
        "Redis is back: the quota is shared again",
    ]
    assert ledgers().spend(1) == 0
    assert ledger.spend(1) > 0


def test_host_port_and_password_do_as_well(server, ledgers):
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "p@ss word/")
        ledger = ledgers(url="", host="127.0.0.1", port=server.port, password="p@ss word/")
        assert ledger.put("pause", 1, 30)
        assert [key.rpartition(b":")[2] for key in client.scan_iter()] == [b"pause"]


def test_a_user_and_a_database_do_as_well(server, ledgers):
    with redis.Redis(port=server.port, db=3) as client:
        client.acl_setuser("gateway", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"])
        told = {"username": "gateway", "password": "secret", "db": 3}
        assert ledgers(url="", host="127.0.0.1", port=server.port, **told).put("pause", 1, 30)
        assert [key.rpartition(b":")[2] for key in client.scan_iter()] == [b"pause"]


def test_tls_is_a_setting():
    ledger = RedisRequestWindow(RedisSettings(host="127.0.0.1", ssl=True), "r/c", time.monotonic)
    assert ledger._link.redis.connection_pool.connection_class is redis.SSLConnection


def test_a_wrong_password_is_called_so(server, ledgers, caplog):
    told = {"username": "nobody", "password": "wrong"}
    ledger = ledgers(url="", host="127.0.0.1", port=server.port, **told)
    assert ledger.spend(1) == 0
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["Redis refuses the credentials"]


def test_an_address_that_is_none_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        RedisRequestWindow(RedisSettings(url="localhost:6379"), "r/c", time.monotonic)
