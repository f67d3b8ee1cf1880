"""The package as it is imported and started: what its names load, the seed's own command, the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from custom_handler.cli import main
from custom_handler.cli.run import SIMULATED_AGENT, simulator_environment
from custom_handler.errors import ConfigurationError, CredentialsRefused
from custom_handler.settings import Settings, all_fields
from custom_handler.stackspot.client import StackspotClient

ROOT = Path(__file__).resolve().parents[1]
LOADED = """
import json, sys
import custom_handler
plain = sorted(sys.modules)
from custom_handler import StackspotLLM
print(json.dumps([plain, sorted(sys.modules)]))
assert custom_handler.stackspot_llm is custom_handler.stackspot_llm
assert type(custom_handler.stackspot_llm) is StackspotLLM
assert custom_handler.plugin is custom_handler.plugin
"""
# As the seed document has it.
AUTHENTICATE = "from custom_handler import StackspotLLM; s=StackspotLLM(); s.authenticate()"


def start(directory: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start Python in a folder, with no settings but these."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        env=given | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def commands(tmp_path_factory, running_simulator):
    """Exit code, output and errors of each command; importing LiteLLM takes seconds, so they run side by side."""
    running_simulator.reset()
    folder = tmp_path_factory.mktemp("folder")
    there = simulator_environment(running_simulator.url)
    plain = {name.removeprefix("STACKSPOT_"): value for name, value in there.items() if not name.endswith("_URL")}
    configured = tmp_path_factory.mktemp("configured")
    (configured / ".env").write_text("".join(f"{name}={value}\n" for name, value in plain.items()), encoding="utf-8")
    hosts = {name: value for name, value in there.items() if name.endswith("_URL")}
    running = {
        "loaded": start(folder, "-c", LOADED),
        "configured": start(configured, "-c", AUTHENTICATE, **hosts),
    }
    ended = {}
    for name, process in running.items():
        output, errors = process.communicate(timeout=300)
        ended[name] = process.returncode, output, errors
    return ended


@pytest.fixture
def loaded(commands) -> list[set[str]]:
    """The modules after `import custom_handler`, and after `from custom_handler import StackspotLLM`."""
    return [set(modules) for modules in json.loads(commands["loaded"][1])]


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy(loaded):
    assert [name for name in loaded[0] if name.split(".")[0] in {"litellm", "httpx", "openai", "pydantic"}] == []


UPPER = {"api", "checks", "cli", "jobs", "proxy", "proxy_plugin", "report", "simulator", "telemetry"}


@pytest.mark.slow
def test_importing_the_provider_loads_neither_the_proxy_nor_the_service(loaded):
    assert "custom_handler.provider.handler" in loaded[1]
    assert "litellm.proxy.proxy_server" not in loaded[1]
    assert [name for name in loaded[1] if name.startswith("custom_handler.") and name.split(".")[1] in UPPER] == []
    assert "fastapi" not in loaded[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "custom_handler.chat.quick_command_turn",
        "custom_handler.chat.search_loop",
        "custom_handler.emulation.announcement",  # whose patterns take 0.15 s to compile
        "custom_handler.emulation.continuation",
        "custom_handler.emulation.json_schema",
        "custom_handler.stackspot.quote",
        "filelock",
        "litellm.litellm_core_utils.default_encoding",  # the tokenizer
        "regex",
    ],
)
def test_importing_the_provider_leaves_what_takes_long_to_the_warm_up_or_the_first_use(loaded, name):
    assert name not in loaded[1]


@pytest.mark.slow
def test_what_the_configuration_names_is_built_once(commands):
    assert commands["loaded"][0] == 0, commands["loaded"][2]


def test_a_name_that_the_package_does_not_have_is_missing():
    import custom_handler

    with pytest.raises(AttributeError, match="'anything'"):
        _ = custom_handler.anything


@pytest.mark.slow
def test_the_seeds_command_authenticates(commands):
    assert commands["configured"][0] == 0, commands["configured"][2]
    assert commands["configured"][1] == ""


@pytest.fixture
def unconfigured(tmp_path, monkeypatch):
    """A folder and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    for item in all_fields():
        name = item.metadata["name"]
        monkeypatch.setenv(name, "")
        monkeypatch.setenv(f"STACKSPOT_{name}", "")


@pytest.mark.usefixtures("unconfigured")
def test_without_settings_authentication_names_them_and_where_to_put_them():
    from custom_handler import StackspotLLM

    with pytest.raises(ConfigurationError, match=r"Missing: CLIENT_ID, CLIENT_SECRET, REALM\..* \.env "):
        StackspotLLM().authenticate()


@pytest.mark.usefixtures("unconfigured")
def test_credentials_that_are_refused_are_named_and_not_shown(simulator, monkeypatch):
    from custom_handler import StackspotLLM

    for name, value in (simulator_environment(simulator.url) | {"STACKSPOT_CLIENT_SECRET": "canary"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused, match="CLIENT_SECRET") as raised:
        StackspotLLM().authenticate()
    assert "canary" not in str(raised.value)


def test_the_command_line_explains_itself():
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    assert {"run", "simulate"} <= set(re.findall(r"^  (\w+)", shown.output, re.MULTILINE))


def test_a_proxy_is_not_started_without_its_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["run"])
    assert shown.exit_code == 2
    assert "config.yaml" in shown.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_simulator_says_how_to_use_it_and_ends_on_ctrl_c(tmp_path):
    with start(tmp_path, "-m", "custom_handler", "simulate") as process:
        assert process.stdout is not None
        title = process.stdout.readline()
        lines = [process.stdout.readline()]
        while "AGENT_ID" not in lines[-1]:  # the last one
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        exported = dict(re.findall(r"^export (\w+)=(\S+)$", "".join(lines), re.MULTILINE))
        assert (title.startswith("The simulator"), len(exported)) == (True, len(lines))
        token = StackspotClient(Settings.from_mapping(exported)).tokens.request().result(10)
        process.send_signal(signal.SIGINT)
        assert (process.wait(120), process.stderr.read()) == (0, "")
    assert token.lifetime == 1200


def test_a_simulators_settings_are_complete_and_win_over_others():
    mine = {"CLIENT_ID": "mine", "STACKSPOT_IDM_URL": "http://mine", "REALM": "mine"}
    settings = Settings.from_mapping(mine | simulator_environment("http://127.0.0.1:1"))
    assert (settings.account.missing(), settings.account.agent_id) == ((), SIMULATED_AGENT)
    assert (settings.account.idm_url, settings.account.inference_url) == ("http://127.0.0.1:1", "http://127.0.0.1:1")
    assert "mine" not in repr(settings)
