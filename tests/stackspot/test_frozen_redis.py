"""A Redis that does not answer: chats go on without what it keeps."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from custom_handler import StackspotLLM
from tests.support.asking import read_whole
from tests.support.redis_server import RedisServer

CHATS = 24
NATIVE = {"litellm_params": {"model_info": {"conversation": "native"}}}


class NoThreads(ThreadPoolExecutor):
    """A pool that nothing may use."""

    def submit(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a chat uses the event loop's own threads")


def test_chats_are_answered_while_redis_is_frozen(settings, simulator, redis_server: RedisServer):
    provider = StackspotLLM(settings.changed(redis={"url": redis_server.url}, limits={"requests_per_minute": 10_000}))
    history = [{"role": role, "content": "Oi"} for role in ("user", "assistant", "user")]

    async def ask(number: int) -> str:
        metadata = {"metadata": {"headers": {"correlation-id": f"c-{number}"}}}
        call = {"litellm_params": {**NATIVE["litellm_params"], **metadata}}
        return read_whole(await provider.acompletion("stackspot-chat", history, **call)).content

    async def attack() -> list[str]:
        asyncio.get_running_loop().set_default_executor(NoThreads(1))
        await ask(0)
        redis_server.freeze()
        return await asyncio.gather(*map(ask, range(1, CHATS + 1)))

    assert all(asyncio.run(attack()))
    assert len(simulator.requests("chat")) == CHATS + 1
