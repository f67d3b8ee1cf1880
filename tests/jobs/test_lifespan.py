"""The job worker of a process starts and stops with its proxy."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from custom_handler.jobs import lifespan
from custom_handler.jobs.job import Outcome
from custom_handler.jobs.lifespan import JobsLifespan

pytestmark = [pytest.mark.usefixtures("salt"), pytest.mark.parametrize("store_settings", ["sqlite"], indirect=True)]


class Proxy(SimpleNamespace):
    """A proxy's startup and shutdown functions."""

    def __init__(self) -> None:
        super().__init__(master_key=None, general_settings={}, done=[])

    async def initialize_shared_aiohttp_session(self) -> str:
        self.done.append("started")
        return "session"

    async def proxy_shutdown_event(self) -> None:
        self.done.append("stopped")


class Client:
    """A client that is never used."""


@pytest.fixture
def proxy(monkeypatch):
    proxy = Proxy()
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", proxy)
    return proxy


async def happens(condition, seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never happened")


async def answer(job, number, item) -> Outcome:
    return Outcome({"content": item})


async def test_the_worker_starts_after_the_proxy_and_stops_before_it(proxy, store_settings, new_job, caplog):
    caplog.set_level("INFO", "custom_handler")
    jobs = JobsLifespan.of_running_proxy(Client(), store_settings)
    assert await proxy.initialize_shared_aiohttp_session() == "session"
    await happens(lambda: "The job worker runs 2 jobs at once" in caplog.text)
    await proxy.proxy_shutdown_event()
    assert proxy.done == ["started", "stopped"]
    queue, job = jobs.queue(), new_job()
    queue.add(job, ["a"])
    await asyncio.sleep(0.1)
    assert queue.store.find(job.id).status == "queued"
    queue.close()


async def test_a_proxy_that_only_accepts_jobs_starts_no_worker(proxy, store_settings, caplog):
    caplog.set_level("INFO", "custom_handler")
    jobs = JobsLifespan.of_running_proxy(Client(), store_settings.changed(jobs={"work_here": False}))
    await proxy.initialize_shared_aiohttp_session()
    await asyncio.sleep(0.05)
    assert caplog.text == ""
    await jobs.stop()


@pytest.fixture
def blocking_file(store_settings):
    """A file at the path of the jobs folder."""
    file = Path(store_settings.jobs.directory)
    file.write_text("a file")
    return file


async def test_the_worker_starts_when_the_store_can_be_opened(store_settings, blocking_file, new_job, monkeypatch):
    monkeypatch.setattr(lifespan, "_RETRY_SECONDS", 0.01)
    jobs = JobsLifespan(answer, store_settings)
    jobs.start()
    await asyncio.sleep(0.1)
    await asyncio.to_thread(blocking_file.unlink)
    job = new_job()
    await happens(blocking_file.is_dir)
    queue = await asyncio.to_thread(jobs.queue)
    await asyncio.to_thread(queue.add, job, ["a"])
    await happens(lambda: queue.store.find(job.id).status == "completed")
    await jobs.stop()


async def test_without_an_encryption_key_the_reason_is_logged(store_settings, monkeypatch, caplog):
    monkeypatch.delenv("LITELLM_SALT_KEY")
    jobs = JobsLifespan(answer, store_settings)
    jobs.start()
    await happens(lambda: "The job worker does not start: Jobs keep their callers' keys encrypted" in caplog.text)
    await jobs.stop()
