"""Two StackSpot accounts behind one proxy: each has its own tokens, quota, files and conversations."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.processes import ROOT
from tests.support.protocols import PATHS, STREAMED, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.waiting import eventually

OTHER = {"realm": "acme", "client_id": "client-of-b", "client_secret": "secret-of-b"}
OWN, B = "simulator", OTHER["client_id"]
EXAMPLES = ROOT / "examples"
OF_OWN = """model_list:
  - model_name: own
    litellm_params: {model: stackspot/chat}
  - model_name: kept-own
    litellm_params: {model: stackspot/chat}
    model_info: {conversation: native}
  - model_name: kept-team-b
    litellm_params: {model: stackspot/chat}
    model_info: {conversation: native, account: team-b}
"""
PER_ACCOUNT = 6


def write_files(folder: Path, **account: Any) -> tuple[str, str]:
    """Write the examples as config.yaml and the file of accounts; return their paths."""
    config, accounts = folder / "config.yaml", folder / "accounts.yaml"
    models = (EXAMPLES / "two_accounts.yaml").read_text().replace("model_list:\n", OF_OWN)
    config.write_text(models.replace("num_retries: 0", "num_retries: 0\n  disable_cooldowns: true"))
    example = yaml.safe_load((EXAMPLES / "accounts.yaml").read_text())
    example["accounts"]["team-b"] |= OTHER | account
    accounts.write_text(json.dumps(example))
    return str(config), str(accounts)


@pytest.fixture(scope="module")
def shared(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("accounts")
    config, accounts = write_files(folder)
    settings = {"STACKSPOT_ACCOUNTS_FILE": accounts, "STACKSPOT_UPLOADS": "true", "STACKSPOT_AGENTS_REFRESH": "0.2"}
    environ = simulator_process.environ | settings
    simulator_process.configure(more_accounts=[OTHER])
    with running_proxy(folder / "log", config, **environ) as running:
        yield running


@pytest.fixture
def platform(simulator: Simulator) -> Simulator:
    """The simulator with the second account."""
    simulator.configure(more_accounts=[OTHER])
    return simulator


def asked_of(simulator: Simulator) -> list[str]:
    """Return the client ids of the accounts that were asked, in order."""
    return [request["account"] for request in simulator.requests()]


@STREAMED
@pytest.mark.parametrize("path", PATHS)
def test_a_models_account_answers_on_all_protocols(shared: Proxy, platform: Simulator, path: str, stream: bool) -> None:
    for model in ("own", "stackspot-team-b"):
        answer = shared.post(path, body(path, "Oi", stream=stream) | {"model": model})
        assert answer.status_code == 200, answer.text
    assert asked_of(platform) == [OWN, B]


def test_each_account_has_its_own_files(shared: Proxy, platform: Simulator) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "O que é?"}, picture]}]}
    for model in ("own", "stackspot-team-b", "own", "stackspot-team-b"):
        answer = shared.post(PATHS[0], asked | {"model": model})
        assert answer.status_code == 200, answer.text
    assert [request["account"] for request in platform.requests(at="upload")] == [OWN, B]
    ours, theirs, *again = (request["body"]["upload_ids"] for request in platform.requests())
    assert again == [ours, theirs]
    assert ours != theirs


@STREAMED
@pytest.mark.parametrize("path", PATHS)
def test_each_account_has_its_own_conversations(shared: Proxy, platform: Simulator, path: str, stream: bool) -> None:
    platform.script({"text": "Sim.", "times": "always"})
    turns = [{"role": "user", "content": "Primeira?"}]
    name = f"{path.rpartition('/')[2]}-{stream}"
    for _ in "12":
        for model in ("kept-own", "kept-team-b"):
            asked = body(path, "", stream=stream) | {"model": model}
            asked["input" if "input" in asked else "messages"] = turns
            answer = shared.post(path, asked, **{"correlation-id": name})
            assert answer.status_code == 200, answer.text
        turns = [*turns, {"role": "assistant", "content": "Sim."}, {"role": "user", "content": "Segunda?"}]
    assert asked_of(platform) == [OWN, B, OWN, B]
    ours, theirs, *again = (request["body"]["conversation_id"] for request in platform.requests())
    assert again == [ours, theirs]
    assert ours != theirs
    assert ["Primeira?" in prompt for prompt in platform.prompts()] == [True, True, False, False]


def test_a_wildcard_lists_the_agents_of_its_account(shared: Proxy, platform: Simulator) -> None:
    ours, theirs, both = (f"01K{letter * 23}" for letter in "ABC")
    agents = [(ours, "Ours", OWN), (theirs, "Theirs", B), (both, "Both", None)]
    platform.configure(
        agents=[
            {"id": agent_id, "name": name, "visibility": "shared", "client_id": client}
            for agent_id, name, client in agents
        ]
    )
    models = [f"stackspot/{name.lower()}" for _, name, _ in agents]

    def get(path: str) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = WEB.get(f"{shared.url}{path}", headers=shared.headers).json()["data"]
        return data

    eventually(lambda: {one["id"] for one in get("/v1/models")} >= {*models}, 30)
    for path, stream, model in itertools.product(PATHS, (False, True), models):
        answer = shared.post(path, body(path, "Oi", stream=stream) | {"model": model})
        assert answer.status_code == 200, answer.text
    asked = {(request["account"], request["agent_id"]) for request in platform.requests()}
    assert asked - {(OWN, both), (B, both)} == {(OWN, ours), (B, theirs)}
    deployments = Counter(one["model_name"] for one in get("/model/info"))
    assert [deployments[model] for model in models] == [1, 1, 2]  # requests for the last are shared


def test_simultaneous_requests_use_the_quota_of_both_accounts(simulator: Simulator, tmp_path: Path) -> None:
    simulator.configure(requests_per_minute=PER_ACCOUNT, more_accounts=[OTHER | {"requests_per_minute": PER_ACCOUNT}])
    config, accounts = write_files(tmp_path, requests_per_minute=PER_ACCOUNT)
    limits = {"STACKSPOT_REQUESTS_PER_MINUTE": str(PER_ACCOUNT), "STACKSPOT_QUEUE_TIMEOUT": "1"}
    environ = {"STACKSPOT_ACCOUNTS_FILE": accounts, **limits}
    with running_proxy(tmp_path / "log", config, **(simulator.environ | environ)) as proxy:

        def ask(number: int) -> httpx.Response:
            path = PATHS[number % len(PATHS)]
            return proxy.post(path, body(path, "Oi", stream=number % 2 == 0))

        with ThreadPoolExecutor(2 * PER_ACCOUNT) as clients:
            answers = list(clients.map(ask, range(2 * PER_ACCOUNT)))
        answers.append(ask(2 * PER_ACCOUNT))
        quota = WEB.get(f"{proxy.url}/quota", headers=proxy.headers).json()
        metrics = WEB.get(f"{proxy.url}/metrics", headers=proxy.headers).text
    assert [answer.status_code for answer in answers] == [*[200] * (2 * PER_ACCOUNT), 429]
    ledger = Counter(asked_of(simulator))
    print(f"\n{2 * PER_ACCOUNT} answers with {PER_ACCOUNT} a minute for each account: {dict(ledger)}")
    assert ledger == {OWN: PER_ACCOUNT, B: PER_ACCOUNT}
    assert (quota["limit"], quota["used"], quota["keys"][0]["used"]) == (2 * PER_ACCOUNT, *[2 * PER_ACCOUNT] * 2)
    assert [(one["name"], one["limit"], one["used"]) for one in quota["accounts"]] == [
        ("default", PER_ACCOUNT, PER_ACCOUNT),
        ("team-b", PER_ACCOUNT, PER_ACCOUNT),
    ]
    # Each answer tells what is left of the account that answered.
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {str(PER_ACCOUNT)}
    left = Counter(answer.headers["x-ratelimit-remaining-requests"] for answer in answers[:-1])
    assert left == {str(number): 2 for number in range(PER_ACCOUNT)}
    for name in ("default", "team-b"):
        assert f'stackspot_requests_total{{account="{name}",api_key_alias="master"}} {PER_ACCOUNT}.0' in metrics
        assert f'stackspot_requests_limit{{account="{name}"}} {PER_ACCOUNT}.0' in metrics
