"""The four ways to ask a provider, and the answer that each of them gives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODEL = "stackspot-chat"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client receives, however it asked; ids are left out, `chunks` is empty for a whole answer."""

    content: str
    calls: tuple[tuple[str, str], ...]
    finish: str
    usage: tuple[int, int]
    chunks: tuple[Any, ...] = ()

    def told(self) -> tuple[Any, ...]:
        """Return what must not depend on the way of asking."""
        return self.content, self.calls, self.finish, self.usage


def read_whole(response: Any) -> Answer:
    choice = response.choices[0]
    calls = tuple((call.function.name, call.function.arguments) for call in choice.message.tool_calls or ())
    usage = response.usage.prompt_tokens, response.usage.completion_tokens
    return Answer(choice.message.content or "", calls, choice.finish_reason, usage)


def read_chunks(chunks: list[Any]) -> Answer:
    content, finish, usage = "", [], [(0, 0)]
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        if getattr(chunk, "usage", None) is not None:
            usage.append((chunk.usage.prompt_tokens, chunk.usage.completion_tokens))
        for choice in chunk.choices:
            content += choice.delta.content or ""
            finish += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or ():
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    assert len(finish) == 1
    return Answer(content, tuple((name, args) for name, args in calls.values()), finish[0], usage[-1], tuple(chunks))


async def _gathered(stream: Any) -> list[Any]:
    async with contextlib.aclosing(stream):
        return [chunk async for chunk in stream]


async def _astreamed(provider: Any, messages: Any, call: dict[str, Any]) -> list[Any]:
    return await _gathered(provider.astreaming(call.pop("model", MODEL), messages, **call))


def _ask_completion(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_whole(provider.completion(call.pop("model", MODEL), messages, **call))


def _ask_acompletion(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_whole(asyncio.run(provider.acompletion(call.pop("model", MODEL), messages, **call)))


def _ask_streaming(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_chunks(list(provider.streaming(call.pop("model", MODEL), messages, **call)))


def _ask_astreaming(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_chunks(asyncio.run(_astreamed(provider, messages, call)))


Ask = Callable[..., Answer]
ENTRIES: dict[str, Ask] = {
    "completion": _ask_completion,
    "acompletion": _ask_acompletion,
    "streaming": _ask_streaming,
    "astreaming": _ask_astreaming,
}
