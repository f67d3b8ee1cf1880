"""Conversations of which each turn reaches another proxy."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from .. import protocols, servers
from ..protocols import PATHS
from .cluster import NATIVE, Cluster, Server

TURNS = 8
CALL_SECONDS = 300


def ask(
    server: Server | str, path: str, body: Any = None, *, key: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the JSON of a 200 (202 for a job), of a GET where there is no body."""
    url = server if isinstance(server, str) else server.url
    own = {"Authorization": f"Bearer {key}"} | (headers or {})
    method = "GET" if body is None else "POST"
    answer = httpx.request(method, url + path, json=body, headers=own, timeout=CALL_SECONDS, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def warm_up(cluster: Cluster) -> None:
    """Ask each proxy on each protocol, because the first calls of a process are slow."""
    for proxy in cluster.proxies:
        for path in PATHS:
            body = protocols.body(path, servers.STACKSPOT, "Oi", stream=False, tools=False)
            ask(proxy, path, body, key=cluster.keys["calm"])


def native_turns(cluster: Cluster) -> int:
    """Return how many of TURNS - 1 later turns went on in the platform's conversation.

    Such a turn has the conversation's id, and the prompt has no earlier turn.
    """
    cluster.control("DELETE", "/requests")
    correlation, messages = uuid.uuid4().hex, []
    for turn in range(TURNS):
        messages.append({"role": "user", "content": f"Pergunta {turn} de {correlation}."})
        body = {"model": NATIVE, "messages": messages}
        headers = {"correlation-id": correlation}
        answer = ask(_proxy(cluster, turn), PATHS[0], body, key=cluster.keys["calm"], headers=headers)
        messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
    found = cluster.control("GET", f"/requests?at=chat&match={correlation}")
    return sum(
        bool(one["body"].get("conversation_id")) and f"Pergunta {turn - 1} " not in one["prompt"]
        for turn, one in enumerate(found)
        if turn
    )


def response_chain(cluster: Cluster) -> tuple[str, list[str]]:
    """Make TURNS responses, each after the one before; return the last id and the questions."""
    last, questions = "", []
    for turn in range(TURNS):
        last = next_response(cluster, turn, last, questions)
    return last, questions


def next_response(cluster: Cluster, turn: int, last: str, questions: list[str]) -> str:
    """Ask the proxy of a turn for a response after `last`, add the question, and return the id."""
    questions.append(f"Pergunta {uuid.uuid4().hex}.")
    body = {"model": servers.STACKSPOT, "input": questions[-1]} | ({"previous_response_id": last} if last else {})
    return str(ask(_proxy(cluster, turn), PATHS[2], body, key=cluster.keys["calm"])["id"])


def whole_prompts(cluster: Cluster, questions: list[str], last: str) -> tuple[int, int]:
    """Return how many prompts had all questions before theirs, and how many proxies have the last response."""
    texts = [one["prompt"] for one in cluster.control("GET", "/requests?at=chat")]
    whole = 0
    for turn, question in enumerate(questions):
        # A request that was refused and tried again is in the log twice.
        prompts = [text for text in texts if question in text and not any(q in text for q in questions[turn + 1 :])]
        whole += any(all(earlier in prompt for earlier in questions[:turn]) for prompt in prompts)
    kept = 0
    for proxy in cluster.proxies:
        kept += ask(proxy, f"{PATHS[2]}/{last}", key=cluster.keys["calm"])["id"] == last
    return whole, kept


def _proxy(cluster: Cluster, turn: int) -> Server:
    return cluster.proxies[turn % len(cluster.proxies)]
