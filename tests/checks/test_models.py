"""What is checked before a proxy serves its models."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from custom_handler import StackspotLLM
from custom_handler.checks import probe
from custom_handler.checks.models import (
    Finding,
    StartupCheckError,
    check_at_start,
    check_configuration,
    check_models,
    faults,
)
from custom_handler.checks.settings import list_settings
from custom_handler.errors import ConfigurationError, CredentialsRefused
from custom_handler.proxy.config import callbacks, deployments, read_config
from custom_handler.settings import AccountSettings, Settings
from tests.support.gateway import documented

CANARY = "canary-5d1e"
ACCOUNT = AccountSettings(client_id="me", client_secret="secret", realm="acme", agent_id="an-agent")
SETTINGS = Settings(account=ACCOUNT)
STACKSPOT = {"model_name": "chat", "litellm_params": {"model": "chat", "custom_llm_provider": "stackspot"}}
GROQ = {"model_name": "llama", "litellm_params": {"model": "groq/llama", "api_key": "os.environ/GROQ_API_KEY"}}
FIREWORKS = {"model_name": "qwen", "litellm_params": {"model": "fireworks_ai/a/b"}}
BEDROCK = {"model_name": "nova", "litellm_params": {"model": "os.environ/A_MODEL", "custom_llm_provider": "bedrock"}}
KEYS = ["GROQ_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in (*KEYS, "A_MODEL", "AWS_PROFILE"):
        monkeypatch.setenv(name, "")


class Api:
    """Groq's and Fireworks' list of models, which wants a key."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status: int | None = None
        self.hangs = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                if api.status == 0:
                    api.hangs.wait(10)
                known = self.headers["authorization"] == f"Bearer {CANARY}"
                self.send_response(api.status or (200 if known else 401))
                self.end_headers()
                self.wfile.write(json.dumps({"data": [], "echo": CANARY}).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api(monkeypatch):
    api = Api()
    threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("GROQ_API_BASE", f"{api.url}/openai/v1")
    monkeypatch.setenv("FIREWORKS_API_BASE", f"{api.url}/inference/v1")
    yield api
    api.hangs.set()
    api.server.shutdown()
    api.server.server_close()


def config(*models: dict[str, Any]) -> dict[str, Any]:
    providers = [{"provider": "stackspot", "custom_handler": "custom_handler.stackspot_llm"}]
    return {"model_list": list(models), "litellm_settings": {"custom_provider_map": providers}}


def check(told: dict[str, Any], authenticate: Any = lambda seconds, account: None) -> list[Finding]:
    return asyncio.run(check_models(told, SETTINGS, authenticate))


def test_a_provider_with_a_good_key_is_ready(api, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    monkeypatch.setenv("FIREWORKS_AI_API_KEY", CANARY)
    found = check(config(STACKSPOT, GROQ, FIREWORKS))
    assert [(finding.model, finding.state) for finding in found] == [
        ("chat", "a token was given"),
        ("llama", "models listed"),
        ("qwen", "models listed"),
    ]
    assert faults(found) == []
    assert sorted(api.asked) == ["/inference/v1/models", "/openai/v1/models"]


def test_a_refused_key_is_named_and_masked(api, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", f"{CANARY}-old")
    assert faults(check(config(GROQ))) == ["llama: groq refuses GROQ_API_KEY (HTTP 401): set a valid key in .env."]


def test_a_model_without_a_key_is_disabled_and_not_probed(api):
    found = check(config(GROQ, FIREWORKS, BEDROCK))
    assert [(one.state, one.variable) for one in found] == [
        ("disabled", "GROQ_API_KEY"),
        ("disabled", "FIREWORKS_AI_API_KEY"),
        ("disabled", "A_MODEL"),
    ]
    assert faults(found) == []
    assert not api.asked


def test_a_key_is_probed_once_for_all_its_models(api, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    assert faults(check(config(GROQ, {**GROQ, "model_name": "again"}))) == []
    assert len(api.asked) == 1


@pytest.mark.parametrize(("status", "said"), [(500, "answers HTTP 500"), (0, "cannot be reached (ReadTimeout)")])
def test_a_failing_provider_is_a_fault_within_the_timeout(api, monkeypatch, status, said):
    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    monkeypatch.setattr(probe, "TIMEOUT", 0.2)
    api.status = status
    (fault,) = faults(check(config(GROQ)))
    assert said in fault
    assert CANARY not in fault


def test_the_fault_is_the_message_of_stackspot():
    def refused(seconds: float, account: str) -> None:
        raise CredentialsRefused("StackSpot refuses CLIENT_ID and so on")

    assert faults(check(config(STACKSPOT), refused)) == ["chat: StackSpot refuses CLIENT_ID and so on"]


def test_a_silent_identity_service_is_a_fault():
    def silent(seconds: float, account: str) -> None:
        raise TimeoutError

    assert "did not answer within 5 s" in faults(check(config(STACKSPOT), silent))[0]


def test_the_real_provider_gets_a_token_from_the_simulator(settings, simulator):
    provider = StackspotLLM(settings)
    found = asyncio.run(check_models(config(STACKSPOT), settings, provider.authenticate))
    assert found == [Finding("chat", "stackspot", "a token was given")]
    simulator.script({"at": "token", "status": 401})
    refused = asyncio.run(check_models(config(STACKSPOT), settings, StackspotLLM(settings).authenticate))
    assert "refuses CLIENT_ID and CLIENT_SECRET" in faults(refused)[0]


def test_authenticate_waits_no_longer_than_its_timeout(settings, simulator):
    simulator.script({"at": "token", "delay_headers": 5})
    with pytest.raises(TimeoutError):
        StackspotLLM(settings).authenticate(0.05)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({}, "config.yaml has no models"),
        ({"model_list": []}, "config.yaml has no models"),
        ({"model_list": "chat"}, "model_list of config.yaml is not a list"),
        (config({"model_name": "nova", "litellm_params": {"custom_llm_provider": "openai"}}), "nova has no model"),
        (config({"litellm_params": {"model": "groq/a"}}), "no model_name"),
        (config({"model_name": "a", "litellm_params": {"model": "grok/a"}}), "does not know, 'grok'"),
        ({"model_list": [STACKSPOT]}, "does not know, 'stackspot'"),
    ],
    ids=["empty", "no models", "no list", "no model", "no name", "no such provider", "not mapped"],
)
def test_a_fault_of_the_configuration_says_what_to_do(told, fault):
    (found,) = faults(check(told))
    assert fault in found


def test_a_wildcard_for_agents_is_a_fault():
    wildcard = {"model_name": "stackspot/*", "litellm_params": {"model": "stackspot/*"}}
    [fault] = faults(check(config(wildcard)))
    assert fault.startswith(
        "stackspot/*: model_info.agents of 'stackspot/*' in config.yaml is missing, so it lists no agent"
    )


def test_a_wrong_knowledge_option_is_a_fault():
    wrong = {**STACKSPOT, "model_info": {"sources": "links"}}
    [fault] = faults(check(config(wrong)))
    assert fault.startswith("chat: model_info.sources is 'links' in config.yaml: say annotations, footer or none")


def test_a_search_tool_that_is_not_there_is_a_fault():
    model = {**STACKSPOT, "model_info": {"web_search": "web"}}
    [fault] = faults(check(config(model)))
    assert fault.startswith("chat: model_info.web_search is 'web' in config.yaml: give the search_tool_name")
    assert not faults(check(config(model) | {"search_tools": [{"search_tool_name": "web"}]}))


def test_an_unknown_conversation_mode_is_a_fault():
    unknown = {**STACKSPOT, "model_info": {"conversation": "server"}}
    [fault] = faults(asyncio.run(check_models(config(unknown), SETTINGS, lambda seconds, account: None)))
    assert fault.startswith("chat: model_info.conversation is 'server' in config.yaml: say native")


def test_a_model_without_an_agent_is_a_fault():
    (fault,) = faults(
        asyncio.run(
            check_models(config(STACKSPOT), SETTINGS.changed(account={"agent_id": ""}), lambda seconds, account: None)
        )
    )
    assert fault.startswith("chat: No StackSpot agent is configured: set GENAI_AGENT_ID")
    with_agent = {**STACKSPOT, "model_info": {"agent_id": "an-agent"}}
    assert (
        faults(
            asyncio.run(
                check_models(
                    config(with_agent), SETTINGS.changed(account={"agent_id": ""}), lambda seconds, account: None
                )
            )
        )
        == []
    )


def test_missing_stackspot_credentials_are_a_fault():
    [found] = check_configuration(
        config(STACKSPOT), Settings(account=AccountSettings(agent_id="an-agent", realm="acme"))
    )
    assert found.state == "misconfigured"
    assert "CLIENT_ID, CLIENT_SECRET" in str(found.fault)


BAD = config({"model_name": "a", "litellm_params": {"model": "grok/a"}}, {"litellm_params": {"model": "groq/a"}})


@pytest.fixture(autouse=True)
def at_exit(monkeypatch):
    """What is printed when the process ends."""
    printed: list[str] = []
    monkeypatch.setattr("custom_handler.checks.models.atexit.register", lambda _, text, **__: printed.append(text))
    return printed


def test_a_strict_check_raises_with_a_line_for_each_fault(at_exit):
    with pytest.raises(StartupCheckError) as raised:
        check_at_start("strict", BAD, SETTINGS, lambda seconds, account: None)
    first, second = str(raised.value).splitlines()[1:]
    assert (first.startswith("- a names a provider"), second.startswith("- A model of")) == (True, True)
    assert at_exit == [f"\n{raised.value}"]


async def test_a_strict_check_works_on_a_running_event_loop():
    with pytest.raises(StartupCheckError):
        check_at_start("strict", BAD, SETTINGS, lambda seconds, account: None)


@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_providers_are_probed_on_a_thread_that_only_warns(mode, caplog, eventually):
    caplog.set_level(logging.INFO, "custom_handler")
    free = threading.Event()

    def slow(seconds: float, account: str) -> None:
        free.wait(10)
        raise CredentialsRefused("StackSpot refuses them")

    check_at_start(mode, config(STACKSPOT, GROQ), SETTINGS, slow)  # in this thread, which would hang here
    assert "refuses" not in caplog.text
    free.set()
    eventually(lambda: "0 of 1 models are ready" in caplog.text)
    assert "Start-up check: chat: StackSpot refuses them" in caplog.text


def test_a_fault_only_warns_in_mode_warn(caplog, eventually):
    check_at_start("warn", BAD, SETTINGS, lambda seconds, account: None)
    eventually(lambda: "does not know, 'grok'" in caplog.text)


def test_a_check_that_is_off_checks_nothing():
    check_at_start("off", BAD, Settings(), lambda seconds, account: pytest.fail("it was called"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1 is not YAML"),
        ("- a", "holds no configuration"),
        ("", "holds no configuration"),
        (None, "cannot be read"),
    ],
)
def test_a_file_without_a_configuration_is_an_error(tmp_path, text, said):
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_config(file)


def test_this_projects_configuration_is_read(monkeypatch):
    monkeypatch.setenv("BEDROCK_MODEL_ID", "amazon.nova-micro-v1:0")
    told = read_config(Path(__file__).resolve().parents[2] / "config.yaml")
    assert [(item.name, item.provider) for item in deployments(told)] == [
        ("stackspot-chat", "stackspot"),
        ("chat/llama-small", "groq"),
        ("chat/qwen-small", "fireworks_ai"),
        ("chat/nova-micro", "bedrock"),
    ]
    assert set(callbacks(told)) >= {"custom_handler.plugin", "prometheus"}


def test_settings_are_listed_with_sources_and_masked():
    told = {"a": "os.environ/GROQ_API_KEY", "b": ["os.environ/AWS_REGION"], "c": "os.environ/LITELLM_MASTER_KEY"}
    environ = {"CLIENT_SECRET": CANARY, "GROQ_API_KEY": CANARY, "STACKSPOT_REALM": "acme"}
    dotenv = {
        "CLIENT_ID": "me",
        "REALM": "hidden",
        "AWS_REGION": "us-east-1",
        "STACKSPOT_IDM_URL": f"http://a:{CANARY}@idm",
    }
    rows = {row.name: row for row in list_settings(environ, dotenv, told)}
    assert CANARY not in str(rows)
    assert (rows["CLIENT_SECRET"].source, rows["CLIENT_SECRET"].state) == ("environment", "set")
    assert (rows["CLIENT_ID"].source, rows["CLIENT_ID"].state) == (".env", "me")
    assert (rows["REALM"].source, rows["REALM"].state) == ("environment", "acme")
    assert (rows["STACKSPOT_TIMEOUT"].source, rows["STACKSPOT_TIMEOUT"].state) == ("default", "600.0")
    assert (rows["GROQ_API_KEY"].source, rows["GROQ_API_KEY"].state) == ("environment", "set")
    assert (rows["AWS_REGION"].source, rows["AWS_REGION"].state) == (".env", "us-east-1")
    assert rows["STACKSPOT_IDM_URL"].state == "http://…@idm"
    assert rows["LITELLM_MASTER_KEY"].fault == "LITELLM_MASTER_KEY is not set: set it in .env."


def test_a_setting_that_cannot_be_read_is_a_fault():
    rows = {row.name: row for row in list_settings({"STARTUP_CHECK": "maybe", "STACKSPOT_TIMEOUT": "soon"}, {}, {})}
    assert rows["STARTUP_CHECK"].fault == "STARTUP_CHECK is 'maybe': say off, warn or strict."
    assert "STACKSPOT_TIMEOUT is 'soon'" in str(rows["STACKSPOT_TIMEOUT"].fault)


@pytest.mark.parametrize("name", ["models.yaml", "quick_commands.yaml", "mcp.yaml"])
def test_an_example_of_options_has_no_fault(name):
    example = read_config(Path(__file__).resolve().parents[2] / "examples" / name)
    assert faults(check_configuration(example, SETTINGS)) == []


def test_the_example_of_mcp_has_the_documented_servers():
    example = read_config(Path(__file__).resolve().parents[2] / "examples" / "mcp.yaml")
    assert example["mcp_servers"] == yaml.safe_load(documented("yaml", "docs/mcp.md"))["mcp_servers"]


@pytest.mark.parametrize("name", ["resume_streams", "compact_tools"])
def test_a_wrong_option_is_a_fault(name):
    example = read_config(Path(__file__).resolve().parents[2] / "examples" / "models.yaml")
    example["model_list"] = [{**STACKSPOT, "model_info": {name: "yes"}}]
    [found] = check_configuration(example, SETTINGS)
    assert found.fault == f"chat: model_info.{name} is 'yes' in config.yaml: say true or false."


def test_a_quick_command_needs_no_agent_and_has_its_options_checked():
    example = read_config(Path(__file__).resolve().parents[2] / "examples" / "models.yaml")
    command = {"model_name": "explain", "litellm_params": {"model": "stackspot/quick-command/explain"}}
    wrong = {**command, "model_info": {"quick_command": {}}}
    settings = SETTINGS.changed(account={"agent_id": ""})
    [found] = check_configuration({**example, "model_list": [command]}, settings)
    assert found == Finding("explain", "stackspot", "not asked", kind="quick command")
    [fault] = faults(check_configuration({**example, "model_list": [wrong]}, settings))
    assert fault.startswith("explain: model_info.quick_command in config.yaml must hold one entry")
