"""The operator's side of the proxy: the models of config.yaml, its health, and what a body cannot change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.support.proxy import Proxy, Simulator, running_proxy

ALIASES = {"stackspot-chat", "chat/llama-small", "chat/qwen-small", "chat/nova-micro"}


def get(proxy: Proxy, path: str) -> httpx.Response:
    return httpx.get(f"{proxy.url}{path}", headers=proxy.headers, timeout=90, trust_env=False)


DISABLED = {
    "chat/llama-small": "GROQ_API_KEY",
    "chat/qwen-small": "FIREWORKS_AI_API_KEY",
    "chat/nova-micro": "AWS_PROFILE or AWS_ACCESS_KEY_ID",
}


def test_all_aliases_are_listed(services: Proxy) -> None:
    assert {model["id"] for model in get(services, "/v1/models").json()["data"]} == ALIASES


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_each_alias_is_retrieved_by_its_name(services: Proxy, alias: str) -> None:
    for path in (f"/v1/models/{alias}", f"/models/{alias}"):
        answer = get(services, path)
        assert (answer.status_code, answer.json()["id"]) == (200, alias)


def test_a_hidden_alias_is_retrieved_and_not_listed(services: Proxy) -> None:
    answer = get(services, "/v1/models/llama3-8b-8192")
    assert (answer.status_code, answer.json()["id"]) == (200, "llama3-8b-8192")


def test_the_name_of_an_entrys_model_is_retrieved_as_it_is_answered(services: Proxy) -> None:
    name = "stackspot/stackspot-chat"
    question = {"model": name, "messages": [{"role": "user", "content": "Oi"}]}
    assert services.post("/v1/chat/completions", question).status_code == 200
    assert get(services, f"/v1/models/{name}").json()["id"] == name


@pytest.mark.parametrize("path", ["/v1/models/voar", "/v1/models/chat/voar", "/models/chat/voar"])
def test_an_unknown_model_is_a_404(services: Proxy, path: str) -> None:
    answer = get(services, path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/models/stackspot-chat", "/v1/models/chat/llama-small"])
def test_a_model_is_retrieved_with_a_key_only(services: Proxy, path: str) -> None:
    assert httpx.get(f"{services.url}{path}", trust_env=False).status_code == 401


def test_a_disabled_alias_is_not_listed_and_the_log_says_why_in_one_line(proxy: Proxy) -> None:
    assert {model["id"] for model in get(proxy, "/v1/models").json()["data"]} == {"stackspot-chat"}
    assert all(alias not in get(proxy, path).text for alias in DISABLED for path in ("/health", "/model/info"))
    assert get(proxy, "/v1/models/chat/llama-small").status_code == 404
    [line] = [line for line in proxy.log.read_text().splitlines() if "Disabled models" in line]
    assert all(f"{alias} ({variable} is not set)" in line for alias, variable in DISABLED.items())


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/readiness"])
def test_probes_answer_without_a_key(proxy: Proxy, path: str) -> None:
    assert httpx.get(f"{proxy.url}{path}", trust_env=False).status_code == 200


def test_a_health_probe_spends_no_agent_call(proxy: Proxy, simulator: Simulator) -> None:
    before = len(simulator.requests())
    healthy = get(proxy, "/health").json()["healthy_endpoints"]
    assert [endpoint["model"] for endpoint in healthy] == ["stackspot/stackspot-chat"]
    assert len(simulator.requests()) == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["chat/completions", "completions", "messages", "responses"])
def test_a_disabled_model_is_a_503_that_names_the_variable(proxy: Proxy, path: str, stream: bool) -> None:
    question = {"messages": [{"role": "user", "content": "Oi"}], "input": "Oi", "prompt": "Oi", "max_tokens": 9}
    for alias, variable in DISABLED.items():
        answer = proxy.post(f"/v1/{path}", question | {"model": alias, "stream": stream})
        assert answer.status_code == 503, answer.text
        error = answer.json()["error"]
        assert error["message"].startswith(f"The model {alias} is disabled, because {variable} is not set")
        assert error.get("code", "model_disabled") == "model_disabled"  # Anthropic's errors have none
        assert "Traceback" not in answer.text


def test_a_gemini_request_for_a_disabled_model_is_a_503(proxy: Proxy) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
    for method in ("generateContent", "streamGenerateContent"):
        answer = proxy.post(f"/v1beta/models/chat/llama-small:{method}", body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["status"]) == (503, 503, "UNAVAILABLE")
        assert [detail["reason"] for detail in error["details"]] == ["model_disabled"]


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
router_settings:
  num_retries: 0
  context_window_fallbacks: [{{by-model: [by-info]}}]
  content_policy_fallbacks: [{{by-model: [by-info]}}]
  fallbacks: [{{by-setting: [by-info]}}]
"""
FIRST, SECOND, FORGED = ("01" + letter * 24 for letter in "ABC")


@pytest.fixture(scope="module")
def several(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with several agents, and fallbacks between them."""
    folder = tmp_path_factory.mktemp("several")
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(FIRST, SECOND))
    with running_proxy(folder / "log", str(config), **simulator_process.environ) as proxy:
        yield proxy


@pytest.mark.parametrize("alias", ["by-model", "by-info", "by-setting"])
def test_an_alias_is_retrieved_in_each_form_that_config_yaml_may_have(several: Proxy, alias: str) -> None:
    with openai.OpenAI(base_url=f"{several.url}/v1", api_key=several.key, max_retries=0) as client:
        assert client.models.retrieve(alias).id == alias
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(f"{alias}-2")
    assert caught.value.code == "model_not_found"


def asked_agents(proxy: Proxy, simulator: Simulator, alias: str, text: str, **more: Any) -> list[str]:
    """Ask, and return the agents that were reached."""
    ask = {"model": alias, "messages": [{"role": "user", "content": text}]}
    answer = proxy.post("/v1/chat/completions", ask | more)
    assert answer.status_code == 200, answer.text
    return [request["agent_id"] for request in simulator.requests(text)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("alias", ["by-model", "by-info", "by-setting"])
def test_each_entry_of_the_model_list_picks_its_agent_and_a_body_never_does(
    several: Proxy, simulator: Simulator, alias: str, stream: bool
) -> None:
    configured = simulator.environ["STACKSPOT_GENAI_AGENT_ID"]
    forged = {"agent_id": FORGED, "realm": "evil", "model_info": {"agent_id": FORGED}, "stream": stream}
    reached = asked_agents(several, simulator, alias, "Quem?", **forged)
    assert reached == [{"by-model": FIRST, "by-info": SECOND}.get(alias, configured)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_prompt_too_long_for_one_agent_falls_back_to_another(
    several: Proxy, simulator: Simulator, stream: bool
) -> None:
    details = "Input tokens exceed the configured limit of 1000 tokens. Your messages resulted in 2000 tokens."
    simulator.script({"status": 400, "body": {"code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST", "details": details}})
    assert asked_agents(several, simulator, "by-model", "Longo", stream=stream) == [FIRST, SECOND]


FILTERED = {"details": "Your request was rejected as a result of our safety system."}
REFUSED = {
    "another vendor's overflow": {"status": 400, "body": {"details": "Input is too long for requested model."}},
    "an overflow in the answer": {"fault": "error_event", "after": 0, "body": {"message": "Prompt is too long"}},
    "a content filter": {"status": 400, "body": FILTERED},
    "a content filter in the answer": {"fault": "error_frame", "after": 0, "body": FILTERED},
    "no text for tokens": {"fault": "null_message"},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("play", REFUSED.values(), ids=REFUSED)
def test_a_prompt_that_one_agents_model_refuses_falls_back_to_another(
    several: Proxy, simulator: Simulator, play: dict[str, Any], stream: bool
) -> None:
    simulator.script(play)
    assert asked_agents(several, simulator, "by-model", "Recusado", stream=stream) == [FIRST, SECOND]


DAILY = {"details": "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes"}
LIMITED = [{"status": 429, "body": DAILY}, {"status": 429, "body": {"message": "Credit Limit Reached"}}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("play", LIMITED, ids=["a daily limit", "no credit"])
def test_an_account_that_is_used_up_falls_back_at_once(
    several: Proxy, simulator: Simulator, play: dict[str, Any], stream: bool
) -> None:
    simulator.script(play)
    assert asked_agents(several, simulator, "by-setting", "Hoje", stream=stream)[1:] == [SECOND]


@pytest.mark.parametrize("play", [{"status": 403}, {"status": 503}], ids=["forbidden", "unavailable"])
def test_a_streamed_call_that_fails_before_its_text_falls_back_like_a_whole_one(
    several: Proxy, simulator: Simulator, play: dict[str, Any]
) -> None:
    simulator.script(play)
    assert asked_agents(several, simulator, "by-setting", "Oi", stream=True)[1:] == [SECOND]
