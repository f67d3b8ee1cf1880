"""Attacks by the bodies of requests: large, deep, of many tools, with JSON Schemas, and of wrong types."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import servers
from ..protocols import PATHS
from .ground import REFUSED, Answer, Ground, Outcome, chat, outcome_of
from .schema_calls import AS_SENT, ROUTES, Call, call, scripted_responses
from .schemas import ATTACKS, Attack

GEMINI = f"/v1beta/models/{servers.STACKSPOT}:generateContent"
EVERY_PATH = (*PATHS, "/v1/completions", "/v1/messages/count_tokens", GEMINI, "/chat", "/ingest", "/v1/embeddings")
_MEGABYTE = 1_000_000


async def markers_in_messages(ground: Ground) -> Outcome:
    """Send 400 kB of start markers, labels and headings in messages."""
    await ground.script()
    texts = {
        "markers": "FUNCTION_CALL_START\n" * 20_000,
        "markers in a line": "FUNCTION_CALL_START " * 20_000,
        "labels": "[user]\n" * 57_000,
        "headings": "# Tools\n" * 50_000,
        "brackets": "[" * 400_000,
        "line separators": "\u2028[user]" * 50_000,
        "blanks": " " * 400_000,
    }
    answers: list[Answer] = []
    for name, text in texts.items():
        ground.step(name)
        answers += await ground.together(3, functools.partial(_ask_path, ground, text))
    return outcome_of(answers, {200, *REFUSED})


async def _ask_path(ground: Ground, text: str, number: int) -> Answer:
    return await ground.ask(PATHS[number], chat(text, path=PATHS[number]))


async def many_tools(ground: Ground) -> Outcome:
    """Send 10,000 tools, and tools with names and descriptions of a megabyte."""
    await ground.script()
    function = {"description": "Works.", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
    kinds: dict[str, list[dict[str, Any]]] = {
        "10,000 tools": [function | {"name": f"work_{number}"} for number in range(10_000)],
        "3,000 tools of one name": [function | {"name": "work"}] * 3_000,
        "a description of 1 MB": [function | {"name": "work", "description": "a" * _MEGABYTE}],
        "a name of 1 MB": [function | {"name": "a" * _MEGABYTE}],
    }
    answers: list[Answer] = []
    for name, functions in kinds.items():
        for path in PATHS:
            ground.step(f"{name}, {path}")
            answers.append(await ground.ask(path, chat("Oi", path=path, tools=[_tool(path, one) for one in functions])))
    return outcome_of(answers, {200, *REFUSED})


def _tool(path: str, function: dict[str, Any]) -> dict[str, Any]:
    if path == PATHS[1]:
        rest = {name: value for name, value in function.items() if name != "parameters"}
        return rest | {"input_schema": function["parameters"]}
    return {"type": "function"} | (function if path == PATHS[2] else {"function": function})


async def large_bodies(ground: Ground) -> Outcome:
    """Send bodies of 20 MB at the same time, and some of 40 MB, which are too large."""
    await ground.script()
    size = ground.size(20, 6) * _MEGABYTE
    text = ("palavra " * (size // 8)).strip()
    many = [{"role": "user", "content": "a"}] * (size // 40)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}
    parts = [{"type": "text", "text": "a"}] * (size // 30)
    bodies = {
        "a text": chat(text),
        "messages by the hundred thousand": chat("a") | {"messages": many},
        "10,000 messages": chat("a") | {"messages": many[:10_000]},
        "as many parts of a message": chat("a") | {"messages": [{"role": "user", "content": parts}]},
        "an image": chat("a") | {"messages": [{"role": "user", "content": [image]}]},
        "a body that is too large": chat(text * ground.size(2, 6)),
    }
    answers: list[Answer] = []
    for name, body in bodies.items():
        data = (await asyncio.to_thread(json.dumps, body)).encode()
        ground.step(name)
        answers += await asyncio.gather(*(ground.ask(PATHS[0], data) for _ in range(ground.size(3, 1))))
    return outcome_of(answers, {200, *REFUSED})


async def deep_bodies(ground: Ground) -> Outcome:
    """Send JSON of 100,000 levels, numbers of a megabyte and 1,000,000 keys, on each protocol."""
    await ground.script()
    level = 100_000
    keys = ", ".join(f'"k{number}": 0' for number in range(1_000_000))
    fields = {
        "brackets": '"tools": ' + "[" * level + "]" * level,
        "braces": '"metadata": ' + '{"a":' * level + "1" + "}" * level,
        "a number of 1 MB": '"temperature": ' + "1" * _MEGABYTE,
        "1,000,000 keys": keys,
        "a string of escapes": '"user": "' + "\\u0041" * 500_000 + '"',
    }
    asked = json.dumps(chat("Oi"))[:-1]
    bodies = {name: f"{asked}, {field}}}" for name, field in fields.items()}
    answers: list[Answer] = []
    for name, body in bodies.items():
        for path in EVERY_PATH[: ground.size(len(EVERY_PATH), 3)]:
            ground.step(f"{name}, {path}")
            answers.append(await ground.ask(path, body.encode()))
    return outcome_of(answers, {200, 202, *REFUSED})


async def wrong_types(ground: Ground) -> Outcome:
    """Send a sample of fields with values of wrong types, on each protocol; `make fuzz` sends more."""
    await ground.script()
    dice = random.Random(14)
    pairs = [(name, value) for name in _FIELDS for value in _VALUES]
    answers: list[Answer] = []
    for path in EVERY_PATH:
        for name, value in dice.sample(pairs, ground.size(60, 6)):
            body = {"contents": [{"parts": [{"text": "Oi"}]}]} if path == GEMINI else chat("Oi", path=path)
            ground.step(f"{name}, {path}")
            answer = await ground.ask(path, body | {name: value})
            if answer.status not in {200, 202, *REFUSED}:
                answer = Answer(answer.status, answer.seconds, f"{path} {name}={value!r}: {answer.text}")
            answers.append(answer)
    return outcome_of(answers, {200, 202, *REFUSED})


_VALUES: tuple[Any, ...] = ("x", [], {}, [{}], {"a": {}}, -1, 1e400, True, [[None]], "\ud800")
_FIELDS = (
    "messages", "input", "model", "stream", "tools", "tool_choice", "response_format", "stop", "max_tokens",
    "temperature", "n", "user", "metadata", "litellm_params", "tags", "headers", "extra_headers", "extra_body",
    "request_timeout", "timeout", "allowed_openai_params", "success_callback", "failure_callback", "callbacks",
    "stream_options", "logit_bias", "thinking", "system", "prompt", "text", "reasoning", "instructions",
    "previous_response_id", "params", "documents", "guardrails", "cache", "litellm_metadata", "fallbacks",
    "num_retries", "litellm_session_id", "proxy_server_request", "prompt_id", "web_search_options", "store",
)  # fmt: skip


def schemas(named: str, chosen: Callable[[Attack], bool]) -> Callable[[Ground], Any]:
    """Return an attack that sends some of the schemas on each route, whole and streamed."""

    async def run(ground: Ground) -> Outcome:
        attacks = [attack for attack in ATTACKS if chosen(attack)]
        await ground.script(*scripted_responses(attacks))
        outcome, calls = Outcome(), list(_schema_calls(attacks))[:: ground.size(1, 17)]
        sent = 0
        for one in calls:
            ground.step(one.name)
            result = await asyncio.to_thread(call, ground.proxy.url, ground.key, one)
            sent += result.outcome == AS_SENT
            refused = result.status in REFUSED
            outcome.expect(result.ended and (refused or result.outcome == AS_SENT), f"{one.name}: {result.outcome}")
        outcome.said = f"{len(calls)} calls, {sent} answers as sent"
        return outcome

    run.__doc__ = named
    return run


def _schema_calls(attacks: Sequence[Attack]) -> Iterator[Call]:
    for attack in attacks:
        for route in ROUTES:
            yield from (Call(attack, route, stream=stream) for stream in (False, True))
