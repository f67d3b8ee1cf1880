"""`check` with wrong values, in process: each is a fault that names its place and a cure, and none is a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from custom_handler.settings import all_fields

CLOSED = "http://127.0.0.1:9"  # the port of "discard", on which nothing listens
NO_HOST = "redis://127.0.0.1:9/0"
NAMES = [str(item.metadata["name"]) for item in all_fields()]

# A value for each setting that no proxy can use, with what else has to be set for it to be used.
NONSENSE: dict[str, dict[str, str]] = {
    name: {name: "n0nsense!"} for name in NAMES if name not in {"REDIS_USERNAME", "REDIS_PASSWORD"}
} | {
    "RUNS_DIR": {"RUNS_DIR": "config.yaml/runs"},
    "JOBS_DIR": {"JOBS_DIR": "config.yaml"},
    "REDIS_HOST": {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "9"},
}


def write(folder: Path, **values: str) -> None:
    """Put values into `.env` in place of those that are there."""
    file = folder / ".env"
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if line.partition("=")[0] not in values]
    file.write_text("\n".join([*kept, *(f"{name}='{value}'" for name, value in values.items()), ""]), encoding="utf-8")


def faults_of(ran: Result) -> list[str]:
    """Return the faults of a run that found some and printed no traceback."""
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == 1, ran.output
    assert "Traceback" not in ran.output
    return re.findall(r"^fault: (.*)$", ran.output, re.MULTILINE)


@pytest.mark.parametrize("name", NONSENSE)
def test_an_invalid_setting_is_one_fault_that_names_it(command: Callable[..., Result], folder: Path, name: str):
    write(folder, **NONSENSE[name])
    named = [fault for fault in faults_of(command("check")) if name in fault]
    assert len(named) == 1, named
    assert re.search(r"[:.;,] \S.*", named[0]), "no cure"


ODD = {
    "a proxy without a form": ({"HTTPS_PROXY": "ht!tp://x y"}, "HTTPS_PROXY"),
    "a proxy of SOCKS": ({"HTTPS_PROXY": "socks5://localhost:1"}, "HTTPS_PROXY"),
    "a proxy for all": ({"ALL_PROXY": "nonsense"}, "ALL_PROXY"),
    "a proxy that is away": ({"HTTPS_PROXY": "http://me:canary-5d1e@127.0.0.1:9"}, "HTTPS_PROXY"),
    "no file of certificates": ({"SSL_CERT_FILE": "/nowhere"}, "SSL_CERT_FILE"),
    "a Redis without a number": ({"REDIS_URL": "redis://:canary-5d1e@h:x"}, "REDIS_URL"),
    "a Redis without a host": ({"REDIS_URL": ":canary-5d1e@localhost:6379"}, "REDIS_URL"),
    "a password in an address": ({"STACKSPOT_IDM_URL": "me:canary-5d1e@idm"}, "STACKSPOT_IDM_URL"),
    "an address with a port too many": ({"STACKSPOT_IDM_URL": "http://a:99999"}, "STACKSPOT_IDM_URL"),
    "an address without a host": ({"STACKSPOT_FILES_URL": "https://"}, "STACKSPOT_FILES_URL"),
    "an address in brackets": ({"STACKSPOT_INFERENCE_URL": "http://["}, "STACKSPOT_INFERENCE_URL"),
    "an identity host that is away": ({"STACKSPOT_IDM_URL": CLOSED}, "STACKSPOT_IDM_URL"),
    "a file service that is away": (
        {"STACKSPOT_FILES_URL": CLOSED, "STACKSPOT_UPLOADS": "true"},
        "STACKSPOT_FILES_URL",
    ),
    "a master key of one letter": ({"LITELLM_MASTER_KEY": "a" * 40}, "LITELLM_MASTER_KEY"),
    "a file of certificates that holds none": ({"STACKSPOT_CA_BUNDLE": "config.yaml"}, "STACKSPOT_CA_BUNDLE"),
    "a folder as a file": ({"KEYS_FILE": "."}, "KEYS_FILE"),
    "a folder that cannot be made": ({"RUNS_DIR": "/proc/nowhere/runs"}, "RUNS_DIR"),
    "a name that is too long": ({"JOBS_DIR": "x" * 300}, "JOBS_DIR"),
    "a setting in lower case": ({"stackspot_timeout": "5"}, "STACKSPOT_TIMEOUT"),
    "a misspelled setting without prefix": ({"GENAI_AGENTID": "x"}, "GENAI_AGENT_ID"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_value_is_a_fault_and_never_a_traceback(command, folder, monkeypatch, case):
    values, name = ODD[case]
    monkeypatch.delenv("SSL_CERT_FILE", raising=False) if "SSL_CERT_FILE" in values else None
    write(folder, **values)
    ran = command("check")
    assert [fault for fault in faults_of(ran) if name in fault], ran.output
    assert "canary" not in ran.output + command("check", "--json", "--all").output


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"CLIENT_ID=a\x00b\n", None], ids=["no text", "a NUL", "a folder"]
)
def test_a_dotenv_that_cannot_be_read_is_a_fault(command, folder, content):
    (folder / ".env").unlink()
    (folder / ".env").write_bytes(content) if content is not None else (folder / ".env").mkdir()
    assert faults_of(command("check"))


IN_VAIN: dict[str, tuple[str, str, str]] = {
    "settings as a list": ("router_settings: {num_retries: 0}", "router_settings: [a]", "router_settings"),
    "settings as a text": ("general_settings: {", "general_settings: nope\nx: {", "general_settings"),
    "a map of providers as a text": (
        "[{provider: stackspot, custom_handler: custom_handler.stackspot_llm}]",
        "stackspot",
        "custom_provider_map",
    ),
    "a provider without a handler": (", custom_handler: custom_handler.stackspot_llm", "", "custom_handler"),
    "a handler without a module": ("custom_handler.stackspot_llm", "stackspot_llm", "stackspot_llm"),
    "parameters as a text": (
        "{model: stackspot-chat, custom_llm_provider: stackspot}",
        "stackspot",
        "litellm_params",
    ),
    "information as a list": ("router_settings", "    model_info: [a]\nrouter_settings", "model_info"),
    "an alias": ("{num_retries: 0}", "{model_group_alias: {a: {model: gone}}}", "gone"),
    "aliases as a list": ("{num_retries: 0}", "{model_group_alias: [a]}", "model_group_alias"),
    "fallbacks as a text": ("{num_retries: 0}", "{fallbacks: gone}", "fallbacks"),
    "callers": ("general_settings: {", "general_settings: {custom_auth: custom_handler.authenticate, ", "authenticate"),
    "a misspelled callback of LiteLLM": ("prometheus", "promethius", "promethius"),
    "an agent's id that is too short": (
        "{model: stackspot-chat, custom_llm_provider: stackspot}",
        "{model: stackspot/01ARZ3NDEKTSV4RRFFQ69G5FA}",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
    ),
}


@pytest.mark.parametrize("case", IN_VAIN)
def test_an_invalid_part_of_config_yaml_is_a_fault(command, folder, case):
    written, wrong, named = IN_VAIN[case]
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    if case == "information as a list":
        text, wrong = text.replace("litellm_settings:", "    model_info: [a]\nlitellm_settings:", 1), written
    assert written in text
    (folder / "config.yaml").write_text(text.replace(written, wrong, 1), encoding="utf-8")
    ran = command("check")
    assert any(named in fault for fault in faults_of(ran)), ran.output


def test_an_unknown_default_model_is_a_fault(command, folder):
    write(folder, DEFAULT_MODEL="stackspot-chatt")
    assert any("did you mean stackspot-chat?" in fault for fault in faults_of(command("check")))


def test_json_lists_the_same_faults_as_the_text(command, folder):
    write(folder, LOG_LEVEL="loud", STACKSPOT_REPAIR="perhaps")
    assert json.loads(command("check", "--json").output)["faults"] == faults_of(command("check"))


def test_models_are_probed_despite_faults_of_other_settings(command, folder):
    write(folder, STARTUP_CHECK="maybe")
    ran: Any = command("check")
    assert re.search(r"^stackspot-chat +stackspot +a token was given$", ran.output, re.MULTILINE)


WILDCARD = """  - model_name: stackspot/*
    litellm_params: {model: stackspot/*}
    model_info: {agents: shared}
"""


def test_the_agents_of_the_account_are_listed_with_their_models(command, folder, simulator):
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace("model_list:\n", "model_list:\n" + WILDCARD), encoding="utf-8")
    simulator.script({"at": "agents", "match": "visibility=account", "status": 403})
    ran = command("check", "--agents")
    assert ran.exit_code == 0, ran.output
    rows = [line.split() for line in ran.output.splitlines()]
    assert ["Assistente", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "personal", "-"] in rows
    assert "Revisão de código  01ARZ3NDEKTSV4RRFFQ69G5FAW  shared" in ran.output
    assert "stackspot/revisao-de-codigo" in ran.output
    assert "not listed: StackSpot's list of agents (visibility account) is refused with HTTP 403" in ran.output
    found = json.loads(command("check", "--agents", "--json").output)
    assert [agent["models"] for agent in found["agents"]] == [[], ["stackspot/revisao-de-codigo"]]
    assert "agents" not in json.loads(command("check", "--json").output)


def test_the_agents_of_each_account_are_listed_with_their_models(command, folder, simulator, monkeypatch):
    other = {"realm": "acme", "client_id": "client-of-b", "client_secret": "secret-of-b"}
    (folder / "accounts.yaml").write_text(json.dumps({"accounts": {"team-b": other}}), encoding="utf-8")
    monkeypatch.setenv("STACKSPOT_ACCOUNTS_FILE", str(folder / "accounts.yaml"))
    theirs = {"id": f"01K{'B' * 23}", "name": "Theirs", "visibility": "shared", "client_id": "client-of-b"}
    simulator.configure(more_accounts=[other], agents=[theirs, {**theirs, "name": "Ours", "client_id": "simulator"}])
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    wildcard = WILDCARD.replace("agents: shared", "agents: shared, account: team-b")
    (folder / "config.yaml").write_text(text.replace("model_list:\n", "model_list:\n" + wildcard), encoding="utf-8")
    simulator.script({"at": "agents", "match": "visibility=personal", "status": 403})
    ran = command("check", "--agents")
    assert ran.exit_code == 0, ran.output
    rows = [line.split() for line in ran.output.splitlines()]
    assert ["Theirs", theirs["id"], "shared", "team-b", "stackspot/theirs"] in rows
    assert ["Ours", theirs["id"], "shared", "default", "-"] in rows
    assert "not listed: account default: StackSpot's list of agents (visibility personal)" in ran.output
    agents = json.loads(command("check", "--agents", "--json").output)["agents"]
    assert {agent["account"] for agent in agents} == {"default", "team-b"}


def test_a_wildcard_alone_is_a_fault(command, folder):
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    bare = WILDCARD.replace("    model_info: {agents: shared}\n", "")
    (folder / "config.yaml").write_text(text.replace("model_list:\n", "model_list:\n" + bare), encoding="utf-8")
    assert any("it lists no agent: callers must not choose one" in fault for fault in faults_of(command("check")))
