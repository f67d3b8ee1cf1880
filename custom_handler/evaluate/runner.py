"""Runs tasks against models: asks, plays the tools, and judges what comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .contender import Contender
from .results import FAILED, OBEYED, REFUSED, REPAIRED, WRONG, Result
from .task import ExpectedCall, Task

SPARE_ROUNDS = 3  # beyond the rounds of the task's steps: a model may go on step by step
_REFUSALS = frozenset({"content_filter", "refusal"})


@dataclass(slots=True)
class Reply:
    """A model's reply to one request, with the requests that it took.

    `error` is the text of a failed request, and `refused` whether the failure is a refusal.
    `prompt_characters` are those of the first prompt to an agent, 0 if there was none.
    """

    text: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = None
    requests: int = 1
    repairs: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    prompt_characters: int = 0
    error: str = ""
    refused: bool = False


Ask = Callable[[Mapping[str, Any]], Awaitable[Reply]]
Progress = Callable[[Result], None]


@dataclass(slots=True)
class _Attempt:
    """A model at one task."""

    task: Task
    messages: list[Mapping[str, Any]]
    requests: int = 0
    repairs: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    prompt_characters: int = 0
    open_steps: list[list[ExpectedCall]] = field(default_factory=list)

    def count(self, reply: Reply) -> None:
        self.requests += reply.requests
        self.repairs += reply.repairs
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        self.prompt_characters = self.prompt_characters or reply.prompt_characters


async def run(tasks: Iterable[Task], ask: Ask, contender: Contender, *, at_once: int = 4, progress: Progress) -> None:
    """Run the tasks, `at_once` of them concurrently; `progress` receives each result."""
    slots = asyncio.Semaphore(at_once)

    async def one(task: Task) -> None:
        async with slots:
            progress(await _attempt(task, ask, contender))

    running = [asyncio.ensure_future(one(task)) for task in tasks]
    try:
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()


async def _attempt(task: Task, ask: Ask, contender: Contender) -> Result:
    attempt = _Attempt(task, list(task.messages), open_steps=[list(step) for step in task.steps])
    began = time.perf_counter()
    verdict, reason = await _converse(attempt, ask, contender.model)
    if verdict == OBEYED and attempt.repairs:
        verdict, reason = REPAIRED, f"repair requests: {attempt.repairs}"
    return Result(
        model=contender.model,
        variant=contender.variant,
        task=task.id,
        kind=task.kind,
        digest=contender.digest(task),
        verdict=verdict,
        reason=reason,
        requests=attempt.requests,
        repairs=attempt.repairs,
        seconds=round(time.perf_counter() - began, 3),
        tokens_in=attempt.tokens_in,
        tokens_out=attempt.tokens_out,
        prompt_characters=attempt.prompt_characters,
    )


async def _converse(attempt: _Attempt, ask: Ask, model: str) -> tuple[str, str]:
    """Return the verdict of a task and its reason."""
    task = attempt.task
    for _ in range(len(task.steps) + SPARE_ROUNDS):
        reply = await ask({"model": model, **task.request(), "messages": attempt.messages})
        attempt.count(reply)
        if reply.error:
            return (REFUSED if reply.refused else FAILED), reply.error
        if reply.finish_reason in _REFUSALS:
            return REFUSED, f"finish_reason: {reply.finish_reason}"
        if not reply.tool_calls:
            return _judge_answer(attempt, reply.text)
        results, fault = _judge_calls(attempt, reply.tool_calls)
        if fault:
            return WRONG, fault
        if not (task.continues or attempt.open_steps):
            return OBEYED, ""
        attempt.messages += [
            {"role": "assistant", "content": reply.text or None, "tool_calls": list(reply.tool_calls)},
            *results,
        ]
    return WRONG, "the calls do not end"


def _judge_answer(attempt: _Attempt, text: str) -> tuple[str, str]:
    if attempt.open_steps:
        missing = attempt.open_steps[0][0].name
        return WRONG, f"no call of {missing}: {_short(text)}" if text else f"no call of {missing}: an empty answer"
    if not text.strip():
        return WRONG, "an empty answer"
    fault = attempt.task.text_fault(text)
    return (WRONG, fault) if fault else (OBEYED, "")


def _judge_calls(attempt: _Attempt, calls: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], str]:
    """Return the results of the calls as messages, and why they are wrong, if they are."""
    results: list[Mapping[str, Any]] = []
    steps = len(attempt.open_steps)
    for call in calls:
        name, written = call["function"]["name"], call["function"]["arguments"]
        try:
            arguments = json.loads(written)
        except ValueError:
            return [], f"{name}: the arguments are not JSON: {_short(written)}"
        expected = _take(attempt.open_steps, name, arguments)
        if expected is None and name not in attempt.task.allowed:
            return [], f"unexpected call {name}({_short(written)})"
        content = "ok" if expected is None else expected.result
        results.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    if attempt.task.together and steps and len(attempt.open_steps) == steps:
        return [], f"{len(calls)} calls in a reply, where {len(attempt.task.steps[-steps])} belong together"
    return results, ""


def _take(open_steps: list[list[ExpectedCall]], name: str, arguments: object) -> ExpectedCall | None:
    """Take a call of the first open step; a step is closed with its last call."""
    if not open_steps:
        return None
    found = next((expected for expected in open_steps[0] if expected.matches(name, arguments)), None)
    if found is not None:
        open_steps[0].remove(found)
        if not open_steps[0]:
            del open_steps[0]
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
