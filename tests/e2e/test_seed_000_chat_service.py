"""The chat service's own commands (seed 000)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.providers import USAGE, Providers
from tests.support.proxy import Proxy
from tests.support.seeds import run

CHAT = """curl -X POST http://127.0.0.1:8000/chat -H "Content-Type: application/json" -d '{
  "model": "chat/llama-small",
  "messages": [
    {
      "role": "user",
      "content": "Explique, em ate 120 palavras, o que e consistencia eventual e cite 1 caso de uso comum."
    }
  ],
  "params": {
    "temperature": 0.2,
    "top_p": 0.9,
    "max_tokens": 512,
    "seed": 42,
    "stream": false,
    "json_mode": false
  }
}'"""


def test_the_health_check_answers_ok(services: Proxy, tmp_path: Path) -> None:
    assert json.loads(run("curl http://127.0.0.1:8000/healthz", services, tmp_path))["status"] == "ok"


def test_the_models_are_the_aliases_of_the_configuration(services: Proxy, tmp_path: Path) -> None:
    listed = json.loads(run("curl http://127.0.0.1:8000/models", services, tmp_path))["data"]
    assert {"chat/llama-small", "chat/qwen-small"} <= {model["id"] for model in listed}


def test_a_chat_answers_text_provider_model_usage_and_latency(
    services: Proxy, providers: Providers, tmp_path: Path
) -> None:
    told = json.loads(run(CHAT, services, tmp_path))
    assert told["content"] == told["reply"] == "Consistência eventual é…"
    assert (told["provider"], told["model"]) == ("groq", "chat/llama-small")
    assert {name: told["usage"][name] for name in USAGE} == USAGE
    assert 0 < told["latency_ms"] < 60_000
    path, asked = providers.requests[-1]
    assert path == "/openai/v1/chat/completions"
    sent = {"model": "llama-3.1-8b-instant", "temperature": 0.2, "top_p": 0.9, "max_tokens": 512, "seed": 42}
    assert sent.items() <= asked.items()
    assert "response_format" not in asked


def test_json_mode_asks_for_an_object(services: Proxy, providers: Providers, tmp_path: Path) -> None:
    run(CHAT.replace('"json_mode": false', '"json_mode": true'), services, tmp_path)
    assert providers.requests[-1][1]["response_format"] == {"type": "json_object"}


def test_a_streamed_chat_is_the_one_of_chat_stream(services: Proxy, providers: Providers, tmp_path: Path) -> None:
    told = run(CHAT.replace('"stream": false', '"stream": true').replace("curl", "curl -sN", 1), services, tmp_path)
    assert told.startswith("event: meta\ndata: {")
    assert "\n\ndata: Consistência\n\ndata:  eventual\n\ndata:  é…\n\nevent: usage\n" in told
    assert told.endswith("\n\ndata: [DONE]\n\n")
