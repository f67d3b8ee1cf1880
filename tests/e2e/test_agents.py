"""Agents as models: what a wildcard of config.yaml lists, and that callers reach nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.proxy import Proxy, Simulator, running_proxy
from tests.support.waiting import eventually

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


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1beta/models"])
def test_a_name_is_retrieved_if_a_request_may_use_it(wide_open: Proxy, path: str) -> None:
    for name in ("claude-sonnet-5", "stackspot-chat"):
        assert get(wide_open, f"{path}/{name}").status_code == 200
    for name in (*NAMES, "stackspot/*", "agents/*", "nosuch"):
        answer = get(wide_open, f"{path}/{name}")
        assert (answer.status_code, "model_not_found" in answer.text) == (404, True), answer.text


LISTED = """
model_list:
  - model_name: stackspot/revisor
    litellm_params: {{model: stackspot/chat}}
  - model_name: stackspot/*
    litellm_params: {{model: stackspot/*, input_cost_per_query: 0.25}}
    model_info: {{agents: shared, max_input_tokens: 1234}}
  - model_name: eq/*
    litellm_params: {{model: stackspot/*}}
    model_info: {{agents: [{0}, Tradutor]}}
"""
SECRET, WRITER, TRANSLATOR, TWIN, OTHER_TWIN, REVIEWER = (f"01K{letter * 23}" for letter in "SWXYZR")
AGENTS = [
    {"id": SECRET, "name": "Segredo"},
    {"id": WRITER, "name": "Redação", "slug": "redacao", "visibility": "shared"},
    {"id": TRANSLATOR, "name": "Tradutor", "visibility": "account"},
    {"id": TWIN, "name": "Gêmeo", "visibility": "shared"},
    {"id": OTHER_TWIN, "name": "gemeo", "visibility": "shared"},
    {"id": REVIEWER, "name": "Revisor", "visibility": "shared"},
]
KEYS = """
keys:
  - {name: team-a, key: sk-team-a-0123456789, models: [stackspot/redacao]}
  - {name: team-b, key: sk-team-b-0123456789, models: ["stackspot/*"]}
  - {name: team-c, key: sk-team-c-0123456789}
"""
MODELS = {
    "stackspot/revisor": None,  # the operator's own model keeps its name
    "stackspot/redacao": WRITER,
    "stackspot/gemeo-yyyyyy": TWIN,
    "stackspot/gemeo-zzzzzz": OTHER_TWIN,
    "stackspot/revisor-rrrrrr": REVIEWER,
    f"eq/{STRANGER}": STRANGER,  # which no list names
    "eq/tradutor": TRANSLATOR,
}


@pytest.fixture(scope="module")
def listed_process(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with the agents that the account lists."""
    folder = tmp_path_factory.mktemp("listed")
    settings = PROXY.replace("general_settings: {", "general_settings: {custom_auth: custom_handler.authenticate_key, ")
    settings = settings.replace("custom_handler.plugin]", "custom_handler.plugin, prometheus]")
    (folder / "config.yaml").write_text(LISTED.format(STRANGER) + settings)
    (folder / "keys.yaml").write_text(KEYS)
    simulator_process.configure(agents=AGENTS)
    environ = simulator_process.environ | {
        "STACKSPOT_AGENTS_REFRESH": "0.2",
        "KEYS_FILE": str(folder / "keys.yaml"),
        "STARTUP_CHECK": "strict",
    }
    with running_proxy(folder / "log", str(folder / "config.yaml"), **environ) as proxy:
        yield proxy


@pytest.fixture
def listed(listed_process: Proxy, simulator: Simulator) -> Proxy:
    """That proxy, and the simulator with these agents and nothing scripted."""
    simulator.configure(agents=AGENTS)
    wait_for_lists(simulator)
    assert names(listed_process) == set(MODELS)
    return listed_process


def wait_for_lists(simulator: Simulator) -> None:
    """Wait until all three lists have been asked for, and what they brought is there."""
    httpx.delete(f"{simulator.url}/control/requests", trust_env=False)
    eventually(lambda: len(simulator_lists(simulator)) >= 7, 30)


def get(proxy: Proxy, path: str, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or proxy.key}"}
    return httpx.get(f"{proxy.url}{path}", headers=headers, trust_env=False, timeout=30)


def names(proxy: Proxy, key: str | None = None) -> set[str]:
    return {model["id"] for model in get(proxy, "/v1/models", key).json()["data"]}


def reached(simulator: Simulator) -> list[str]:
    return [request["agent_id"] for request in simulator.requests("Quem?")]


def test_the_accounts_agents_are_models(listed: Proxy) -> None:
    assert names(listed) == set(MODELS)
    for name in MODELS:
        assert get(listed, f"/v1/models/{name}").json()["id"] == name
    assert get(listed, "/v1/models/stackspot/segredo").json()["error"]["code"] == "model_not_found"


def test_gemini_clients_list_the_models_too(listed: Proxy) -> None:
    models = get(listed, "/v1beta/models").json()["models"]
    assert {model["name"] for model in models} == {f"models/{name}" for name in MODELS}
    [writer] = [model for model in models if model["name"] == "models/stackspot/redacao"]
    assert writer == get(listed, "/v1beta/models/stackspot/redacao").json()
    assert "generateContent" in writer["supportedGenerationMethods"]
    assert get(listed, "/v1beta/models/stackspot/segredo").status_code == 404
    assert httpx.get(f"{listed.url}/v1beta/models", trust_env=False).status_code == 401


@pytest.mark.parametrize(("path", "body"), CALLS[:-2], ids=[f"{path} {len(body)}" for path, body in CALLS[:-2]])
def test_an_agent_is_reached_by_its_name_or_id_on_each_protocol(
    listed: Proxy, simulator: Simulator, path: str, body: dict[str, Any]
) -> None:
    for name in ("stackspot/redacao", f"stackspot/{WRITER}"):
        answer = listed.post(path.format(name), body | ({} if "{}" in path else {"model": name}))
        assert answer.status_code == 200, answer.text
        assert WRITER not in answer.text.replace(name, "")
    assert reached(simulator) == [WRITER, WRITER]


def test_each_model_reaches_its_agent(listed: Proxy, simulator: Simulator) -> None:
    for name in MODELS:
        assert listed.post("/v1/chat/completions", CHAT | {"model": name}).status_code == 200
    default = simulator.environ["STACKSPOT_GENAI_AGENT_ID"]
    assert reached(simulator) == [agent or default for agent in MODELS.values()]


@pytest.mark.parametrize(
    "name",
    ["stackspot/segredo", f"stackspot/{SECRET}", f"eq/{WRITER}", "stackspot/tradutor", "stackspot/gemeo", "eq/*"],
)
def test_an_agent_that_is_not_allowed_is_not_found(listed: Proxy, simulator: Simulator, name: str) -> None:
    assert_not_found(listed.post("/v1/chat/completions", CHAT | {"model": name}))
    fallback = {"model": "stackspot/redacao", "fallbacks": [name]}
    assert_not_found(listed.post("/v1/chat/completions", CHAT | fallback))
    assert reached(simulator) == []


def test_a_key_reaches_its_own_models_only(listed: Proxy, simulator: Simulator) -> None:
    everything = {"sk-team-a-0123456789": {"stackspot/redacao"}, "sk-team-c-0123456789": set(MODELS)}
    for key, allowed in everything.items():
        assert names(listed, key) == allowed
    allowed_by = {
        "sk-team-a-0123456789": ("stackspot/redacao",),
        "sk-team-b-0123456789": ("stackspot/redacao", "stackspot/gemeo-yyyyyy", f"stackspot/{WRITER}"),
        "sk-team-c-0123456789": ("stackspot/redacao", "eq/tradutor"),
    }
    for key, models in allowed_by.items():
        for model in ("stackspot/redacao", "stackspot/gemeo-yyyyyy", f"stackspot/{TWIN}", "eq/tradutor"):
            answer = listed.post("/v1/chat/completions", CHAT | {"model": model}, Authorization=f"Bearer {key}")
            may = model in models or (model == f"stackspot/{TWIN}" and key[8] in "bc") or key[8] == "c"
            assert answer.status_code == (200 if may else 403), (key, model, answer.text)
    assert SECRET not in reached(simulator)


@pytest.mark.parametrize(("path", "body"), CALLS, ids=[f"{path} {len(body)}" for path, body in CALLS])
def test_a_key_is_refused_other_models_on_each_protocol(
    listed: Proxy, simulator: Simulator, path: str, body: dict[str, Any]
) -> None:
    for name in ("stackspot/gemeo-yyyyyy", f"stackspot/{TWIN}", "eq/tradutor", f"eq/{STRANGER}", "stackspot/segredo"):
        model = {} if "{}" in path else {"model": name}
        answer = listed.post(path.format(name), body | model, Authorization="Bearer sk-team-a-0123456789")
        assert (answer.status_code, "is not available for this API key" in answer.text) == (403, True), answer.text
        assert "gemeo-zzzzzz" not in answer.text
    assert reached(simulator) == []


@pytest.mark.parametrize("field", ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"])
def test_a_key_is_refused_other_models_as_fallbacks(listed: Proxy, simulator: Simulator, field: str) -> None:
    for fallback in ("eq/tradutor", {"model": f"stackspot/{TWIN}"}):
        targets = [fallback] if field == "fallbacks" else [{"stackspot/redacao": [fallback]}]
        body = CHAT | {"model": "stackspot/redacao", field: targets}
        answer = listed.post("/v1/chat/completions", body, Authorization="Bearer sk-team-a-0123456789")
        assert answer.status_code == 403, answer.text
    assert reached(simulator) == []


def test_a_key_sees_its_own_models_only(listed: Proxy) -> None:
    ours = {name for name in MODELS if name.startswith("stackspot/")}
    for key, seen in (("sk-team-a-0123456789", {"stackspot/redacao"}), ("sk-team-b-0123456789", ours)):
        assert names(listed, key) == seen
        assert {model["name"] for model in get(listed, "/v1beta/models", key).json()["models"]} == {
            f"models/{name}" for name in seen
        }
        for name in MODELS:
            assert get(listed, f"/v1/models/{name}", key).status_code == (200 if name in seen else 404)


@pytest.mark.parametrize(
    "name",
    [
        *(f"{prefix}{SECRET}" for prefix in ("", "STACKSPOT/", " stackspot/", "stackspot//", "stackspot/stackspot/")),
        *(f"{prefix}{SECRET}" for prefix in ("stackspot/redacao/../", "custom/stackspot/", "stackspot%2F", "eq/../")),
        f"stackspot/{SECRET} ",
        f"stackspot/{SECRET.lower()}",
        f"stackspot/{WRITER.lower()}",
        "stackspot/redacao/",
        "Stackspot/Redacao",
        "stackspot/REDAÇÃO",
    ],
)
def test_no_other_spelling_of_a_name_reaches_an_agent(listed: Proxy, simulator: Simulator, name: str) -> None:
    paths = (f"/openai/deployments/{name}/chat/completions", f"/v1beta/models/{name}:generateContent")
    encoded = name.replace("/", "%2F")
    encoded_paths = (f"/openai/deployments/{encoded}/chat/completions", f"/v1beta/models/{encoded}:generateContent")
    answers = [listed.post("/v1/chat/completions", CHAT | {"model": name})]
    answers += [listed.post(path, CHAT if "deployments" in path else GEMINI) for path in (*paths, *encoded_paths)]
    assert {answer.status_code // 100 for answer in answers} == {4}, [answer.text for answer in answers]
    assert get(listed, f"/v1/models/{encoded}").status_code == 404
    assert reached(simulator) == []


def test_new_agents_come_and_old_ones_go_without_a_restart(listed: Proxy, simulator: Simulator) -> None:
    new = {"id": STRANGER, "name": "Novo", "visibility": "shared"}
    simulator.configure(agents=[agent for agent in AGENTS if agent["id"] not in {TWIN, WRITER}] + [new])
    eventually(lambda: "stackspot/novo" in names(listed), 20)
    expected = {*MODELS, "stackspot/novo", "stackspot/gemeo", "eq/novo"}
    expected -= {"stackspot/redacao", "stackspot/gemeo-yyyyyy", "stackspot/gemeo-zzzzzz", f"eq/{STRANGER}"}
    assert names(listed) == expected
    for name in ("stackspot/redacao", f"stackspot/{WRITER}"):
        assert_not_found(listed.post("/v1/chat/completions", CHAT | {"model": name}))
    assert listed.post("/v1/chat/completions", CHAT | {"model": f"eq/{STRANGER}"}).status_code == 200


@pytest.mark.parametrize(
    "play",
    [{"status": 401}, {"status": 403}, {"status": 500}, {"body": "<html>"}, {"fault": "reset_before"}],
    ids=["401", "403", "500", "HTML", "reset"],
)
def test_a_list_that_fails_leaves_the_last_one(listed: Proxy, simulator: Simulator, play: dict[str, Any]) -> None:
    simulator.script({"at": "agents", "times": "always"} | play)
    wait_for_lists(simulator)
    assert names(listed) == set(MODELS)
    assert listed.post("/v1/chat/completions", CHAT | {"model": "stackspot/redacao"}).status_code == 200


def test_the_first_list_is_gone_and_a_paged_one_is_read(listed: Proxy, simulator: Simulator) -> None:
    many = [{"id": f"01M{number:023d}", "name": f"Agente {number}", "visibility": "shared"} for number in range(130)]
    simulator.configure(agents=many)
    simulator.script({"at": "agents", "match": "/v1/agents", "status": 404, "times": "always"})
    eventually(lambda: len(names(listed)) == 132, 20)


def test_prices_limits_and_metrics_are_those_of_the_wildcard(listed: Proxy, simulator: Simulator) -> None:
    answer = listed.post("/v1/chat/completions", CHAT | {"model": "stackspot/redacao"})
    assert float(answer.headers["x-litellm-response-cost"]) == 0.25
    groups = {group["model_group"]: group for group in get(listed, "/model_group/info").json()["data"]}
    assert groups["stackspot/redacao"]["max_input_tokens"] == 1234
    metrics = get(listed, "/metrics").text
    assert 'stackspot_agents_listed{account="default"} 6.0' in metrics
    assert 'stackspot_agents_refreshes_total{account="default",outcome="succeeded"}' in metrics


def simulator_lists(simulator: Simulator) -> list[dict[str, Any]]:
    answer = httpx.get(f"{simulator.url}/control/requests", params={"at": "agents"}, trust_env=False)
    lists: list[dict[str, Any]] = answer.json()
    return lists


def test_nothing_is_listed_without_a_wildcard(proxy: Proxy, simulator: Simulator) -> None:
    assert proxy.post("/v1/chat/completions", CHAT | {"model": "stackspot-chat"}).status_code == 200
    assert "stackspot_agents_refreshes_total{" not in get(proxy, "/metrics").text
