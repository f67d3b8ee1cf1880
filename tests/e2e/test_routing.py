"""Names of models that clients send by themselves reach the model that docs/clients.md maps them to."""

from __future__ import annotations

import json

import anthropic
import httpx
import openai
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
    environ = json.loads(settings)["env"]
    assert environ.pop("CLAUDE_CODE_MAX_CONTEXT_TOKENS") == "128000"  # the smallest window of the slots
    slots = set(environ.values())
    assert slots == {"stackspot-chat", "stackspot-small", "stackspot-large"}
    assert slots <= {model["id"] for model in listed}


def test_the_list_of_models_has_the_models_only(gateway: Proxy) -> None:
    listed = WEB.get(f"{gateway.url}/v1/models", headers=gateway.headers).json()["data"]
    assert {model["id"] for model in listed} == {"stackspot-chat", "stackspot-small", "stackspot-large", "counted"}
    small = WEB.get(f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {ONLY_SMALL}"}).json()["data"]
    assert [model["id"] for model in small] == ["stackspot-small"]
    one = WEB.get(f"{gateway.url}/v1/models/openai/stackspot-small", headers=gateway.headers)
    assert (one.status_code, one.json()["id"]) == (200, "openai/stackspot-small")


NAMES = {
    "claude-haiku-4-5": "the wildcard's",
    "anthropic/claude-haiku-4-5": "the wildcard's, with its vendor",
    "gpt-4o-mini": "an alias",
    "openai/stackspot-chat": "a prefixed model",
    "gemini/stackspot-chat": "the default model's",
    "any-other-name": "the default model's",
}


def retrieve(gateway: Proxy, path: str, key: str = "", **headers: str) -> httpx.Response:
    return WEB.get(f"{gateway.url}{path}", headers={"Authorization": f"Bearer {key or gateway.key}", **headers})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_that_is_answered_is_retrieved_in_each_form(gateway: Proxy, name: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        model = client.models.retrieve(name)
    assert (model.id, model.object, model.owned_by) == (name, "model", "stackspot")
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client_of_anthropic:
        info = client_of_anthropic.models.retrieve(name)
    assert (info.id, info.type, info.display_name) == (name, "model", name)
    answer = retrieve(gateway, f"/v1beta/models/{name}").json()
    assert (answer["name"], "generateContent" in answer["supportedGenerationMethods"]) == (f"models/{name}", True)


def test_a_retrieved_name_has_the_limits_of_its_model(gateway: Proxy) -> None:
    assert retrieve(gateway, "/v1/models/openai/stackspot-chat").json()["max_input_tokens"] == 128_000
    versioned = {"anthropic-version": "2023-06-01"}
    assert retrieve(gateway, "/v1/models/stackspot-chat", **versioned).json()["max_input_tokens"] == 128_000
    assert retrieve(gateway, "/v1beta/models/anthropic/stackspot-chat").json()["inputTokenLimit"] == 128_000


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (ONLY_SMALL, ["stackspot-small", "gpt-4o-mini", "anthropic/stackspot-small"]),
        (ONLY_CLAUDE, ["claude-opus-4-5", "claude-haiku-4-5", "anthropic/claude-haiku-4-5"]),
    ],
)
def test_a_name_is_retrieved_with_the_keys_that_may_call_it(gateway: Proxy, key: str, found: list[str]) -> None:
    names = [*NAMES, "claude-opus-4-5", "stackspot-small", "anthropic/stackspot-small", "stackspot-chat"]
    for path in ("/v1/models", "/v1beta/models"):
        statuses = {name: retrieve(gateway, f"{path}/{name}", key).status_code for name in names}
        assert statuses == {name: 200 if name in found else 404 for name in names}
