"""The operator's side of the proxy: the models of config.yaml, its health, and what a body cannot change."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from .conftest import Proxy, Simulator, running_proxy

ALIASES = {"stackspot-chat", "chat/llama-small", "chat/qwen-small", "chat/nova-micro"}


def get(proxy: Proxy, path: str) -> httpx.Response:
    return httpx.get(f"{proxy.url}{path}", headers=proxy.headers, timeout=90, trust_env=False)


def test_all_aliases_are_listed(proxy: Proxy) -> None:
    assert {model["id"] for model in get(proxy, "/v1/models").json()["data"]} == ALIASES


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/readiness"])
def test_probes_answer_without_a_key(proxy: Proxy, path: str) -> None:
    assert httpx.get(f"{proxy.url}{path}", trust_env=False).status_code == 200


def test_a_health_probe_spends_no_agent_call(proxy: Proxy, simulator: Simulator) -> None:
    before = len(simulator.requests())
    healthy = get(proxy, "/health").json()["healthy_endpoints"]
    assert "stackspot-chat" in {endpoint["model"] for endpoint in healthy}
    assert len(simulator.requests()) == before


@pytest.mark.parametrize("alias", sorted(ALIASES - {"stackspot-chat"}))
def test_a_model_without_its_key_answers_a_clear_error_and_the_others_work(
    proxy: Proxy, simulator: Simulator, alias: str
) -> None:
    ask = {"messages": [{"role": "user", "content": "Oi"}]}
    answer = proxy.post("/v1/chat/completions", ask | {"model": alias})
    assert answer.status_code == 503
    assert "This proxy has no key for" in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text
    assert proxy.post("/v1/chat/completions", ask | {"model": "stackspot-chat"}).status_code == 200


CONFIG = """
model_list:
  - model_name: by-model
    litellm_params: {{model: stackspot/{0}}}
  - model_name: by-info
    litellm_params: {{model: stackspot/chat}}
    model_info: {{agent_id: {1}}}
  - model_name: by-setting
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
litellm_settings:
  custom_provider_map: [{{provider: stackspot, custom_handler: custom_handler.stackspot_llm}}]
  callbacks: [custom_handler.plugin]
general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}
"""


def test_each_entry_of_the_model_list_picks_its_agent_and_a_body_never_does(
    simulator: Simulator, tmp_path: Path
) -> None:
    first, second = "01" + "A" * 24, "01" + "B" * 24
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(first, second))
    chosen = {"by-model": first, "by-info": second, "by-setting": simulator.environ["STACKSPOT_GENAI_AGENT_ID"]}
    forged = {"agent_id": "01" + "C" * 24, "realm": "evil", "model_info": {"agent_id": "01" + "C" * 24}}
    with running_proxy(tmp_path / "log", str(config), **simulator.environ) as proxy:
        for alias, agent in chosen.items():
            for stream in (False, True):
                ask = {"model": alias, "stream": stream, "messages": [{"role": "user", "content": f"{alias} {stream}"}]}
                answer = proxy.post("/v1/chat/completions", ask | forged)
                assert answer.status_code == 200, answer.text
                [request] = simulator.requests(f"{alias} {stream}")
                assert request["agent_id"] == agent
