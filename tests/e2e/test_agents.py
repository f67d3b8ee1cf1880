"""Agents as models: what a wildcard of config.yaml lists, and that callers reach nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.proxy import Proxy, Simulator, running_proxy

TEXT = "is not listed: ask for one of GET /v1/models"
STRANGER = "01K00000000000000000000000"
OPEN = """
model_list:
  - model_name: stackspot-chat
    litellm_params: {model: stackspot-chat, custom_llm_provider: stackspot}
  - model_name: stackspot/*
    litellm_params: {model: stackspot/*}
  - model_name: agents/*
    litellm_params: {model: stackspot/*}
  - model_name: claude-*
    litellm_params: {model: stackspot/chat}
"""
CATCH_ALL = """
  - model_name: "*"
    litellm_params: {model: "*"}
"""
PROXY = """
litellm_settings:
  custom_provider_map: [{provider: stackspot, custom_handler: custom_handler.stackspot_llm}]
  callbacks: [custom_handler.plugin]
  drop_params: true
router_settings: {num_retries: 0, disable_cooldowns: true}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


@pytest.fixture(scope="module", params=["", CATCH_ALL], ids=["wildcards", "wildcards and a catch-all"])
def wide_open(
    request: pytest.FixtureRequest, simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy whose wildcards would let callers choose an agent."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "config.yaml").write_text(OPEN + request.param + PROXY)
    with running_proxy(folder / "log", str(folder / "config.yaml"), **simulator_process.environ) as proxy:
        yield proxy


CHAT = {"messages": [{"role": "user", "content": "Quem?"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Quem?"}]}]}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", CHAT | {"stream": True}),
    ("/openai/deployments/{}/chat/completions", CHAT),
    ("/v1/completions", {"prompt": "Quem?"}),
    ("/v1/messages", CHAT | {"max_tokens": 9}),
    ("/v1/messages", CHAT | {"max_tokens": 9, "stream": True}),
    ("/v1/responses", {"input": "Quem?"}),
    ("/v1/responses", {"input": "Quem?", "stream": True}),
    ("/v1beta/models/{}:generateContent", GEMINI),
    ("/v1beta/models/{}:streamGenerateContent", GEMINI),
    ("/v1/embeddings", {"input": "Quem?"}),
    ("/chat", {"messages": CHAT["messages"]}),
]
NAMES = ["stackspot/foo", f"stackspot/{STRANGER}", f"agents/{STRANGER}"]


def assert_not_found(answer: httpx.Response) -> None:
    assert (answer.status_code, TEXT in answer.text) == (404, True), answer.text
    error = answer.json()["error"]
    reasons = [detail["reason"] for detail in error.get("details", ())]  # Google's
    assert "model_not_found" in {error.get("code"), *reasons} or error["type"] == "not_found_error"  # Anthropic's


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("path", "body"), CALLS, ids=[f"{path} {len(body)}" for path, body in CALLS])
def test_a_name_that_only_a_wildcard_matches_reaches_no_agent(
    wide_open: Proxy, simulator: Simulator, path: str, body: dict[str, Any], name: str
) -> None:
    model = {} if "{}" in path else {"model": name}
    assert_not_found(wide_open.post(path.format(name), body | model))
    assert simulator.requests() == []


@pytest.mark.parametrize("fallback", [f"stackspot/{STRANGER}", {"model": f"stackspot/{STRANGER}"}])
@pytest.mark.parametrize("field", ["fallbacks", "context_window_fallbacks"])
def test_a_fallback_reaches_no_agent_either(
    wide_open: Proxy, simulator: Simulator, field: str, fallback: object
) -> None:
    targets = [fallback] if field == "fallbacks" else [{"stackspot-chat": [fallback]}]
    assert_not_found(wide_open.post("/v1/chat/completions", CHAT | {"model": "stackspot-chat", field: targets}))
    assert simulator.requests() == []


@pytest.mark.parametrize(
    "forged",
    [
        {"metadata": {"deployment_model_name": "stackspot-chat", "model_info": {"agent_id": STRANGER}}},
        {"litellm_metadata": {"model_group": "stackspot-chat"}, "model_info": {"stackspot_fixed_agent": True}},
        {"extra_body": {"model": "stackspot-chat"}},
    ],
    ids=["metadata", "model_info", "extra_body"],
)
def test_no_field_of_a_body_lists_an_agent(wide_open: Proxy, simulator: Simulator, forged: dict[str, Any]) -> None:
    assert_not_found(wide_open.post("/v1/chat/completions", CHAT | {"model": f"stackspot/{STRANGER}"} | forged))
    assert simulator.requests() == []


def test_files_and_batches_reach_no_agent(wide_open: Proxy, simulator: Simulator) -> None:
    model = f"stackspot/{STRANGER}"
    line = json.dumps(
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT | {"model": model}}
    )
    upload = {"file": ("batch.jsonl", line.encode())}
    for fields in ({"purpose": "batch", "model": model}, {"purpose": "batch", "target_model_names": model}):
        answer = httpx.post(
            f"{wide_open.url}/v1/files", data=fields, files=upload, headers=wide_open.headers, trust_env=False
        )
        assert answer.status_code >= 400, answer.text
    batch = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h", "model": model}
    assert wide_open.post("/v1/batches", batch).status_code >= 400
    assert simulator.requests() == []


def test_what_the_operator_listed_answers(wide_open: Proxy, simulator: Simulator) -> None:
    for model in ("stackspot-chat", "claude-sonnet-5"):  # a wildcard for one agent is a choice of the operator's
        assert wide_open.post("/v1/chat/completions", CHAT | {"model": model}).status_code == 200
    default = simulator.environ["STACKSPOT_GENAI_AGENT_ID"]
    assert {request["agent_id"] for request in simulator.requests("Quem?")} == {default}


def test_a_wildcard_alone_is_not_listed(wide_open: Proxy) -> None:
    listed = httpx.get(f"{wide_open.url}/v1/models", headers=wide_open.headers, trust_env=False).json()["data"]
    assert not [model["id"] for model in listed if model["id"].startswith(("stackspot/", "agents/"))]
