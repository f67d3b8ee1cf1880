"""Queues on both back ends: SQLite in a temporary folder, Redis in a process of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from custom_handler.jobs.job import Job
from custom_handler.jobs.queue import JobQueue
from custom_handler.jobs.worker import RunItem, Worker
from custom_handler.settings import JobSettings, Settings
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty job store; no lease expires during a test."""
    store_settings = Settings(jobs=JobSettings(directory=str(tmp_path / "jobs"), lease=600.0, workers=2, concurrency=2))
    if request.param == "sqlite":
        return store_settings
    redis = request.getfixturevalue("redis_process")
    with Redis.from_url(redis.url) as client:
        client.flushall()
    return store_settings.changed(redis={"url": redis.url})


@pytest.fixture
def open_queue(store_settings: Settings) -> Iterator[Callable[[], JobQueue]]:
    """Open the store, as each of the processes does that share it."""
    opened: list[JobQueue] = []

    def open_one() -> JobQueue:
        queue = JobQueue.open(store_settings, "sk-secret")
        queue.huey.storage.read_timeout = 0.1  # seconds after which a thread that waits for Redis notices a stop
        opened.append(queue)
        return queue

    yield open_one
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(open_queue: Callable[[], JobQueue]) -> JobQueue:
    return open_queue()


@pytest.fixture
def salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy with an encryption key, and no master key."""
    proxy = SimpleNamespace(master_key=None, general_settings={})
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-a-salt")


@pytest.fixture
def new_job() -> Callable[..., Job]:
    def make(items: int = 1, owner: str = "ana") -> Job:
        call = {"model": "stackspot-chat"}
        return Job(uuid.uuid4().hex, owner, call, "encrypted", time.time(), items)

    return make


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A running event loop on a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    asyncio.set_event_loop(None)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def work(loop: asyncio.AbstractEventLoop, store_settings: Settings) -> Iterator[Callable[..., Worker]]:
    """Start a worker on a queue, with a function that runs items."""
    workers: list[Worker] = []

    def start(queue: JobQueue, run_item: RunItem, **jobs: Any) -> Worker:
        worker = Worker(queue, run_item, dataclasses.replace(store_settings.jobs, **jobs), loop)
        worker.start()
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.stop()
