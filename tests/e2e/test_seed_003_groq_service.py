"""The Groq service's own commands (seed 003)."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.providers import Providers
from tests.support.proxy import Proxy, Simulator
from tests.support.seeds import run

CURL = """curl -s -X POST http://localhost:8000/chat \\
  -H 'content-type: application/json' \\
  -d '{"prompt": "Say hello in one sentence"}' | jq"""


def test_a_prompt_is_answered_by_the_default_model(services: Proxy, simulator: Simulator, tmp_path: Path) -> None:
    simulator.script({"text": "Hello!", "tokens": {"input": 4, "output": 2}})
    told = json.loads(run(CURL, services, tmp_path))
    assert (told["content"], told["model"], told["provider"]) == ("Hello!", "stackspot-chat", "stackspot")
    assert set(told["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_health_names_the_default_model_and_wants_no_key(services: Proxy) -> None:
    told = httpx.get(f"{services.url}/healthz", trust_env=False)
    assert told.json() == {"status": "ok", "model": "stackspot-chat"}


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "Hello", "system_prompt": "You are helpful", "model": "llama3-8b-8192"},
        {
            "messages": [{"role": "system", "content": "You are helpful"}, {"role": "user", "content": "Hello"}],
            "model": "chat/llama-small",
        },
    ],
    ids=["prompt", "messages"],
)
def test_both_ways_to_ask_are_the_same_question(services: Proxy, providers: Providers, body: dict[str, object]) -> None:
    told = services.post("/chat", body)
    assert told.json()["content"]
    said = [(message["role"], message["content"]) for message in providers.requests[-1][1]["messages"]]
    assert said == [("system", "You are helpful"), ("user", "Hello")]
