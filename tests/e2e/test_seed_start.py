"""The start that the seeds show: `.env` with the account's four variables, and plain `litellm --config config.yaml`."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import BIN, ROOT, START_SECONDS, free_port, process, wait_for
from tests.support.proxy import WEB, Proxy, Simulator

NO_SETTINGS = dict.fromkeys(
    ("LITELLM_MASTER_KEY", "STARTUP_CHECK", "GROQ_API_KEY", "FIREWORKS_AI_API_KEY", "BEDROCK_MODEL_ID", "AWS_REGION"),
    "",
)
QUESTION = {"messages": [{"role": "user", "content": "Oi"}], "input": "Oi", "prompt": "Oi", "max_tokens": 9}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
FORBIDDEN = {"status": 403}


def seed(folder: Path, simulator: Simulator, config: str, more: str = "") -> dict[str, str]:
    """Write config.yaml and the seed's `.env`; returns the environment, which has the simulator's addresses only."""
    names = ("CLIENT_ID", "CLIENT_SECRET", "REALM", "GENAI_AGENT_ID")
    account = "".join(f"{name}={simulator.environ[f'STACKSPOT_{name}']}\n" for name in names)
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / ".env").write_text(account + more, encoding="utf-8")
    addresses = {name: value for name, value in simulator.environ.items() if name.endswith("_URL")}
    return NO_SETTINGS | addresses | {"PYTHONPATH": str(ROOT), "STACKSPOT_MAX_RETRIES": "0"}


def litellm(config: Path, port: int, *more: str) -> list[str]:
    return [str(BIN / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), *more]


@pytest.fixture(scope="module")
def seeded_proxy(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Two workers, which start at the same time, in a folder with these two files only."""
    folder, port = tmp_path_factory.mktemp("seed"), free_port()
    environ = seed(folder, simulator_process, (ROOT / "config.yaml").read_text(encoding="utf-8"))
    log = tmp_path_factory.mktemp("log") / "log"
    workers = ("--num_workers", "2", "--timeout_worker_healthcheck", str(2 * START_SECONDS))
    with process(litellm(Path("config.yaml"), port, *workers), log, cwd=folder, **environ) as running:
        wait_for(log, r"(Application startup complete[^$]*){2}", running, 2 * START_SECONDS)
        text = (folder / ".env").read_text(encoding="utf-8")
        [key] = re.findall(r"^LITELLM_MASTER_KEY=(.*)$", text, re.MULTILINE)
        assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
        yield Proxy(f"http://127.0.0.1:{port}", key, log, running.pid)


def test_all_workers_take_the_one_key_that_was_written_to_dotenv(seeded_proxy: Proxy) -> None:
    for _ in range(8):  # a new connection each, so that both workers answer
        answer = httpx.get(f"{seeded_proxy.url}/v1/models", headers=seeded_proxy.headers, timeout=60, trust_env=False)
        assert (answer.status_code, [model["id"] for model in answer.json()["data"]]) == (200, ["stackspot-chat"])
    printed = seeded_proxy.log.read_text(encoding="utf-8")
    assert len(re.findall(r"INFO .*Wrote a new LITELLM_MASTER_KEY to \S+/\.env", printed)) == 1
    assert seeded_proxy.key not in printed
    answer = seeded_proxy.post("/v1/chat/completions", {"model": "stackspot-chat", "messages": QUESTION["messages"]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/chat/completions", "authorization"),
        ("/v1/completions", "authorization"),
        ("/v1/responses", "authorization"),
        ("/v1/messages", "x-api-key"),
        ("/v1/messages", "authorization"),
        ("/v1beta/models/stackspot-chat:generateContent", "x-goog-api-key"),
        ("/chat", "authorization"),
    ],
)
def test_the_key_of_the_seeds_examples_is_a_401_that_says_where_the_key_is(
    seeded_proxy: Proxy, path: str, header: str
) -> None:
    sent = {header: "Bearer fake-key" if header == "authorization" else "fake-key"}
    body = GEMINI if "v1beta" in path else {"model": "stackspot-chat", **QUESTION}
    answer = WEB.post(f"{seeded_proxy.url}{path}", json=body, headers=sent)
    error = answer.json()["error"]
    assert answer.status_code == 401
    assert ".env" in error["message"]
    assert "LITELLM_MASTER_KEY" in error["message"]
    assert "fake-key" not in answer.text
    if "v1beta" in path:
        assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
        return
    assert (answer.json().get("type"), error["type"]) == (
        ("error", "authentication_error") if path == "/v1/messages" else (None, "auth_error")
    )


@pytest.mark.parametrize("alias", ["chat/nova-micro", "llama3-8b-8192"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/chat"])
def test_a_disabled_model_and_an_alias_of_one_are_a_503(seeded_proxy: Proxy, path: str, alias: str) -> None:
    body = {"messages": QUESTION["messages"]} if path == "/chat" else QUESTION
    answer = seeded_proxy.post(path, {"model": alias, **body})
    assert answer.status_code == 503, answer.text
    variable = {"chat/nova-micro": "BEDROCK_MODEL_ID", "llama3-8b-8192": "GROQ_API_KEY"}[alias]
    assert answer.json()["error"]["message"].startswith(f"The model {alias} is disabled, because {variable} is not set")


def test_a_key_that_cannot_be_written_leaves_litellm_to_refuse(simulator: Simulator, tmp_path: Path) -> None:
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / ".env").mkdir()
    log = tmp_path / "log"
    environ = NO_SETTINGS | simulator.environ | {"PYTHONPATH": str(ROOT)}
    with process(litellm(Path("config.yaml"), free_port()), log, cwd=tmp_path, **environ) as running:
        assert running.wait(START_SECONDS) != 0
    printed = log.read_text(encoding="utf-8")
    assert re.search(r"WARNING .*LITELLM_MASTER_KEY is not set, and \S+\.env cannot be written", printed)
    assert "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY" in printed  # LiteLLM's own words


ELSEWHERE_KEY = "sk-of-another-variable-0123456789abcdefghij"


@pytest.fixture(scope="module")
def elsewhere(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy whose config.yaml and `.env` lie in another folder, with fallbacks to disabled models."""
    base, port = tmp_path_factory.mktemp("elsewhere"), free_port()
    config = (ROOT / "config.yaml").read_text(encoding="utf-8")
    spare = "model_list:\n  - {model_name: spare, litellm_params: {model: stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAW}}\n"
    fallbacks = (
        "router_settings:\n  fallbacks: [{stackspot-chat: [chat/llama-small, spare]}, {spare: [chat/nova-micro]}]\n"
    )
    config = config.replace("model_list:\n", spare).replace("router_settings:\n", fallbacks)
    config = config.replace("model_group_alias:\n", "model_group_alias:\n    shown: chat/llama-small\n")
    config = config.replace("os.environ/LITELLM_MASTER_KEY", "os.environ/MY_KEY")
    environ = seed(base / "config", simulator_process, config, f"MY_KEY={ELSEWHERE_KEY}\n")
    (base / "work").mkdir()
    command = litellm(base / "config" / "config.yaml", port)
    with process(command, base / "log", cwd=base / "work", MY_KEY="", **environ) as running:
        wait_for(base / "log", "Uvicorn running on", running, START_SECONDS)
        yield Proxy(f"http://127.0.0.1:{port}", ELSEWHERE_KEY, base / "log", running.pid)


def test_dotenv_beside_the_configuration_has_the_account_and_the_key(elsewhere: Proxy) -> None:
    listed = WEB.get(f"{elsewhere.url}/v1/models", headers=elsewhere.headers).json()["data"]
    assert {model["id"] for model in listed} == {"stackspot-chat", "spare"}
    assert ask_model(elsewhere, "stackspot-chat").status_code == 200
    assert "Wrote a new" not in elsewhere.log.read_text(encoding="utf-8")


def ask_model(proxy: Proxy, model: str, **more: Any) -> httpx.Response:
    return proxy.post("/v1/chat/completions", {"model": model, "messages": QUESTION["messages"], **more})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_fallback_to_a_disabled_model_is_passed_over(elsewhere: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script(FORBIDDEN)
    answer = ask_model(elsewhere, "stackspot-chat", stream=stream)
    assert answer.status_code == 200, answer.text
    assert [request["agent_id"][-1] for request in simulator.requests()] == [
        simulator.environ["STACKSPOT_GENAI_AGENT_ID"][-1],
        "W",
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_where_all_fallbacks_are_disabled_the_first_error_stays(
    elsewhere: Proxy, simulator: Simulator, stream: bool
) -> None:
    simulator.script(FORBIDDEN)
    answer = ask_model(elsewhere, "spare", stream=stream)
    assert (answer.status_code, "The agent is not shared" in answer.text) == (403, True)


def test_a_disabled_model_with_a_fallback_of_the_clients_is_a_503(elsewhere: Proxy) -> None:
    answer = ask_model(elsewhere, "shown", fallbacks=["stackspot-chat"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_disabled")
