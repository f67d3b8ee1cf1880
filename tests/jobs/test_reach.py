"""The reachability check of a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis

from custom_handler.checks.reachability import unreachable
from custom_handler.settings import RedisSettings, Settings


@pytest.fixture
def locked(redis_process):
    """A Redis that requires a password."""
    with Redis.from_url(redis_process.url) as client:
        client.config_set("requirepass", "canary-5d1e")
        yield redis_process
        client.config_set("requirepass", "")


def with_password(url: str, password: str) -> str:
    return url.replace("redis://", f"redis://:{password}@")


async def test_a_redis_that_responds_is_no_fault(redis_process):
    assert await unreachable(Settings(redis=RedisSettings(url=redis_process.url)), None, agents=False) == []


async def test_a_redis_that_rejects_the_password_is_a_fault(locked):
    right = Settings(redis=RedisSettings(url=with_password(locked.url, "canary-5d1e")))
    assert await unreachable(right, None, agents=False) == []
    for wrong in (locked.url, with_password(locked.url, "canary-old")):
        [fault] = await unreachable(right.changed(redis={"url": wrong}), None, agents=False)
        assert "Redis refuses the credentials" in fault.message
        assert "canary" not in fault.message
