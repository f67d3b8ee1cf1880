"""The jobs of one process begin with its proxy and end with it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from custom_handler.jobs import lifespan
from custom_handler.jobs.job import Outcome
from custom_handler.jobs.lifespan import JobsLifespan

pytestmark = [pytest.mark.usefixtures("salt"), pytest.mark.parametrize("settings", ["sqlite"], indirect=True)]


class Proxy(SimpleNamespace):
    """What the jobs know of the proxy: what it does at its start and at its end."""

    def __init__(self) -> None:
        super().__init__(master_key=None, general_settings={}, done=[])

    async def initialize_shared_aiohttp_session(self) -> str:
        self.done.append("started")
        return "session"

    async def proxy_shutdown_event(self) -> None:
        self.done.append("stopped")


class Router:
    """A router that is not asked."""


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


async def test_work_begins_when_the_proxy_has_started_and_ends_before_it_stops(proxy, settings, new_job, caplog):
    caplog.set_level("INFO", "custom_handler")
    jobs = JobsLifespan.of_this_proxy(Router(), settings)
    assert await proxy.initialize_shared_aiohttp_session() == "session"
    await happens(lambda: "2 jobs at once are worked on here" in caplog.text)
    await proxy.proxy_shutdown_event()
    assert proxy.done == ["started", "stopped"]
    queue, job = jobs.queue(), new_job()
    queue.add(job, ["a"])
    await asyncio.sleep(0.1)
    assert queue.store.find(job.id).status == "queued"
    queue.close()


async def test_a_proxy_that_leaves_work_to_others_starts_none(proxy, settings, caplog):
    caplog.set_level("INFO", "custom_handler")
    jobs = JobsLifespan.of_this_proxy(Router(), settings.changed(jobs={"work_here": False}))
    await proxy.initialize_shared_aiohttp_session()
    await asyncio.sleep(0.05)
    assert caplog.text == ""
    await jobs.stop()


@pytest.fixture
def in_the_way(settings):
    """A file where the folder of the jobs is to be."""
    file = Path(settings.jobs.directory)
    file.write_text("a file")
    return file


async def test_work_begins_when_the_store_can_be_opened(settings, in_the_way, new_job, monkeypatch):
    monkeypatch.setattr(lifespan, "_PAUSE_SECONDS", 0.01)
    jobs = JobsLifespan(answer, settings)
    jobs.start()
    await asyncio.sleep(0.1)
    await asyncio.to_thread(in_the_way.unlink)
    job = new_job()
    await happens(in_the_way.is_dir)
    queue = await asyncio.to_thread(jobs.queue)
    await asyncio.to_thread(queue.add, job, ["a"])
    await happens(lambda: queue.store.find(job.id).status == "completed")
    await jobs.stop()


async def test_without_a_key_to_seal_with_nobody_works_and_the_log_says_why(settings, monkeypatch, caplog):
    monkeypatch.delenv("LITELLM_SALT_KEY")
    jobs = JobsLifespan(answer, settings)
    jobs.start()
    await happens(lambda: "No jobs are worked on: Jobs keep their callers' keys encrypted" in caplog.text)
    await jobs.stop()
