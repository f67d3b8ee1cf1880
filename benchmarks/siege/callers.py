"""Attacks by a caller: connections that are held, a queue that is filled, routes and log lines of others."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

from ..protocols import PATHS
from .ground import REFUSED, Answer, Ground, Outcome, chat, outcome_of

PASS_THROUGH = (
    *((f"/{provider}/v1/chat", "POST") for provider in ("cohere", "mistral", "openrouter", "anthropic", "gemini")),
    *((f"/{provider}/v1/models", "GET") for provider in ("openai", "azure", "bedrock", "vertex_ai", "vllm")),
    ("/v1/containers", "GET"),
    ("/v1/containers", "POST"),
    ("/v1/files", "GET"),
    ("/v1/batches", "POST"),
    ("/v1/vector_stores", "POST"),
    ("/utils/transform_request", "POST"),
    ("/v1/images/generations", "POST"),
    ("//cohere/v1/chat", "POST"),
    ("/%63ohere/v1/chat", "POST"),
    ("/v1/chat/completions/../../../cohere/v1/chat", "POST"),
    ("/COHERE/v1/chat", "POST"),
    ("/key/generate", "POST"),
    ("/model/new", "POST"),
    ("/config/update", "POST"),
)
PRIVATE = ("CLIENT_ID", "CLIENT_SECRET", "GENAI_AGENT_ID", "REALM")
REPORTS = (
    *("/model/info", "/v1/model/info", "/v2/model/info", "/model_group/info", "/v1/models", "/models"),
    *("/health", "/health/latest", "/health/history", "/health/services", "/quota", "/jobs", "/config/yaml"),
)
FORGED = "FORGED-LINE"
_DATE = "2001-01-01"


async def slow_connections(ground: Ground) -> Outcome:
    """Hold hundreds of connections that send their headers or bodies by the byte."""
    await ground.script()
    address = urlsplit(ground.proxy.url)
    count, seconds = ground.size(600, 200), ground.size(8, 2)
    head = (
        f"POST {PATHS[0]} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {ground.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    ).encode()
    until = time.monotonic() + seconds

    async def hold(number: int) -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            with contextlib.closing(writer):
                data = head if number % 2 else head[: len(head) // 2]
                writer.write(data)
                while time.monotonic() < until:
                    writer.write(b" " if number % 2 else b"x")
                    await asyncio.sleep(0.5)

    await asyncio.gather(*(hold(number) for number in range(count)))
    return Outcome(f"{count} connections held")


async def filled_queue(ground: Ground) -> Outcome:
    """Fill the queue of the account's quota with 500 calls, while the other team calls."""
    await ground.script({"match": "<queue>", "text": "um", "delay_first": 0.4, "times": "always"})
    count = ground.size(500, 120)
    began = time.time()
    answers = await ground.together(count, lambda number: ground.ask(PATHS[number % 3], _queued(number)))
    outcome = outcome_of(answers, (200, 429))
    records = [
        record for record in await ground.control("GET", "/control/requests?at=chat") if record["started"] >= began
    ]
    before = _sent_before(ground, [("<queue>" in record["prompt"], record["started"]) for record in records])
    outcome.said += (
        f"; sent before a call of the other team: {statistics.median(before):g} (median), {max(before)} (most)"
    )
    return outcome


def _sent_before(ground: Ground, sent: list[tuple[bool, float]]) -> list[int]:
    """Return for each call of the other team how many of the attacker's started at the agent meanwhile.

    That includes the time before it is queued; tests/e2e/test_quota.py counts from then on.
    """
    since_epoch = time.time() - time.monotonic()
    mine = [started for own, started in sent if own]
    others = [started for own, started in sent if not own]
    called = sorted(
        row.began + since_epoch for row in ground.other.seen(mine[0] - since_epoch, mine[-1] - since_epoch).chats
    )
    # The other team's prompts are the same; they arrive in the order of their calls, or nearly so.
    pairs = zip(called, sorted(started for started in others if started >= called[0]), strict=False)
    return [sum(began < started < arrived for started in mine) for began, arrived in pairs]


def _queued(number: int) -> dict[str, Any]:
    return chat("<queue>", path=PATHS[number % 3])


async def pass_through(ground: Ground) -> Outcome:
    """Call LiteLLM's pass-through and administration routes with a team's key."""
    await ground.script()
    answers: list[Answer] = []
    for path, method in PASS_THROUGH:
        answer = await ground.ask(path, chat("Oi") if method == "POST" else None, method=method)
        if answer.status != 403:
            answer = Answer(answer.status, answer.seconds, f"{method} {path}: {answer.text}")
        answers.append(answer)
    return outcome_of(answers, (401, 403, 404))


async def shown(ground: Ground) -> Outcome:
    """Ask for reports of models and of health; they show a team no agent id, realm or address."""
    await ground.script()
    upstream = ground.simulator
    private = {urlsplit(upstream.url).netloc, *(upstream.environ[f"STACKSPOT_{name}"] for name in PRIVATE)}
    outcome, answers = Outcome(), []
    for path in REPORTS:
        answer = await ground.ask(path, method="GET")
        answers.append(answer)
        found = [value for value in private if value in answer.text]
        outcome.expect(not found, f"{path} shows {', '.join(found)}")
    counted = outcome_of(answers, {200, *REFUSED})
    return Outcome(counted.said, outcome.faults + counted.faults)


async def log_lines(ground: Ground) -> Outcome:
    """Imitate lines of the log by ids, names of models, keys and correlation ids."""
    await ground.script()
    texts = [
        f"a] ERROR custom_handler: {FORGED}",
        f"a model=x status=200 {FORGED}=1",
        f'a" {FORGED} "b',
        f"a\t{FORGED}",
        f"a\u0085{FORGED}".encode().decode("latin-1"),
        f"a%0a{FORGED}",
    ]
    answers: list[Answer] = []
    for text in texts[:: ground.size(1, 2)]:
        for header in ("x-request-id", "x-litellm-call-id", "correlation-id", "user-agent", "x-litellm-tags"):
            answers += [await ground.ask(PATHS[0], chat("Oi"), headers={header: text})]
        answers.append(await ground.ask(PATHS[0], chat("Oi", model=f"x\n{_DATE} ERROR {FORGED}")))
        answers.append(await ground.ask(PATHS[0], chat("Oi", user=f"x\n{FORGED} {text}")))
        answers.append(await ground.ask(f"/{FORGED}%0a{FORGED}%20x", method="GET"))
    await asyncio.sleep(2.5)  # the line of a call that LiteLLM does not report comes two seconds later
    outcome = outcome_of(answers, {200, *REFUSED})
    log = ground.proxy.log.read_text(errors="replace")
    # A line of its own, or a field of the plugin's own lines; elsewhere LiteLLM quotes what was sent.
    own = re.compile(rf"(?:{_DATE}.*)?{FORGED}|.*\bcustom_handler\b.* {FORGED}")
    forged = [line for line in log.splitlines() if own.match(line)]
    outcome.expect(not forged, f"{len(forged)} lines of the log are imitated: {forged[:1]}")
    return outcome
