"""Names of models that clients send by themselves reach the model that docs/clients.md maps them to."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.gateway import ONLY_CLAUDE, ONLY_SMALL, blocks
from tests.support.protocols import PATHS, body
from tests.support.proxy import WEB, Proxy, Simulator

CHAT, *_ = PATHS
MAIN_AGENT, SMALL_AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ"
LONG_AGENT = "01D0KDBRASGD5HRSNDCKA0AH53"


def ask(gateway: Proxy, path: str, model: str, key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or gateway.key}"}
    return WEB.post(f"{gateway.url}{path}", json=body(path, "Oi", stream=False) | {"model": model}, headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_name_of_another_vendor_reaches_its_agent(gateway: Proxy, simulator: Simulator, path: str) -> None:
    for model, agent in (
        ("claude-sonnet-4-5-20250929", MAIN_AGENT),
        ("anthropic/claude-haiku-4-5", SMALL_AGENT),
        ("gpt-5.1-codex", MAIN_AGENT),
        ("gpt-4o-mini", SMALL_AGENT),
        ("openai/gpt-4o-mini", SMALL_AGENT),
        ("openai/stackspot-small", SMALL_AGENT),
        ("anthropic/stackspot-chat", MAIN_AGENT),
        ("any-other-name", MAIN_AGENT),
        ("stackspot-large", LONG_AGENT),
    ):
        answer = ask(gateway, path, model)
        assert (answer.status_code, answer.json().get("model")) == (200, model), answer.text
        assert simulator.requests()[-1]["agent_id"] == agent, model


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        (
            ONLY_SMALL,
            ["stackspot-small", "gpt-4o-mini", "anthropic/stackspot-small"],
            ["stackspot-chat", "openai/stackspot-chat", "claude-haiku-4-5", "gpt-5.1-codex", "any-other-name"],
        ),
        (ONLY_CLAUDE, ["claude-opus-4-5", "claude-haiku-4-5"], ["stackspot-chat", "gpt-4o-mini", "any-other-name"]),
    ],
)
def test_no_name_takes_a_key_to_a_model_that_it_may_not_use(
    gateway: Proxy, simulator: Simulator, key: str, allowed: list[str], refused: list[str]
) -> None:
    assert {model: ask(gateway, CHAT, model, key).status_code for model in allowed} == dict.fromkeys(allowed, 200)
    asked = len(simulator.requests())
    for path in PATHS:
        assert {model: ask(gateway, path, model, key).status_code for model in refused} == dict.fromkeys(refused, 403)
    assert len(simulator.requests()) == asked


def test_each_slot_of_a_coding_agent_has_a_model_of_the_list(gateway: Proxy) -> None:
    [settings] = blocks("json", "docs/clients.md")
    listed = WEB.get(f"{gateway.url}/v1/models", headers=gateway.headers).json()["data"]
    slots = set(json.loads(settings)["env"].values())
    assert slots == {"stackspot-chat", "stackspot-small", "stackspot-large"}
    assert slots <= {model["id"] for model in listed}


def test_the_list_of_models_has_the_models_only(gateway: Proxy) -> None:
    listed = WEB.get(f"{gateway.url}/v1/models", headers=gateway.headers).json()["data"]
    assert {model["id"] for model in listed} == {"stackspot-chat", "stackspot-small", "stackspot-large", "counted"}
    small = WEB.get(f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {ONLY_SMALL}"}).json()["data"]
    assert [model["id"] for model in small] == ["stackspot-small"]
    one = WEB.get(f"{gateway.url}/v1/models/openai/stackspot-small", headers=gateway.headers)
    assert (one.status_code, one.json()["id"]) == (200, "openai/stackspot-small")
