"""What is wrong with the value of a setting, without LiteLLM and the network."""

from __future__ import annotations

import subprocess
import sys

import pytest

from custom_handler.checks.environment import folder_faults, masked, master_key_fault, unknown_names, value_fault
from custom_handler.errors import ConfigurationError
from custom_handler.settings import Settings, all_fields

NAMES = {str(item.metadata["name"]): item.name for item in all_fields()}


@pytest.mark.parametrize(
    "value", ["\x7f", "-1", "é" * 5000, "a\0b", "http://[", "https://a:b:c", "redis://:@:x", "~", "[", "*"]
)
@pytest.mark.parametrize("name", NAMES)
def test_any_value_of_a_setting_gives_a_fault_or_none(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        settings = Settings.from_mapping({name: value})
    except ConfigurationError as error:
        assert name in error.message  # noqa: PT017  what else is raised fails the test
        return
    fault = value_fault(name, value)
    assert fault is None or name in fault
    assert all(
        fault.where in {"RUNS_DIR", "JOBS_DIR"}
        for fault in folder_faults(settings.changed(telemetry={"enabled": True}))
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STACKSPOT_IDM_URL", "https://idm.stackspot.com"),
        ("STACKSPOT_IDM_URL", "http://[::1]:4000/base"),
        ("REDIS_URL", "redis://localhost"),
        ("REDIS_URL", "rediss://me:secret@redis.example:6380/1"),
        ("STACKSPOT_REQUESTS_PER_MINUTE", "100"),
        ("STACKSPOT_REQUESTS_PER_MINUTE", "0"),
        ("LITELLM_MASTER_KEY", "sk-canary-master"),
    ],
)
def test_a_good_value_is_no_fault(name, value):
    assert value_fault(name, value) is None


@pytest.mark.parametrize("value", ["sk-1234", "fake-key", "a" * 40, "sk-litellm-master-key"])
def test_a_guessable_master_key_is_a_fault_that_masks_it(value):
    said = str(master_key_fault("LITELLM_MASTER_KEY", value))
    assert said.startswith("LITELLM_MASTER_KEY is weak")
    assert value not in said


@pytest.mark.parametrize("value", ["http://me:canary@h", "canary@h", "redis://:canary@h:1/0", "http://canary:x@y@h"])
def test_a_url_is_masked(value):
    assert "canary" not in masked(value)
    assert masked(value).endswith(value.rpartition("@")[2])


def test_names_of_other_programs_are_not_misspellings():
    environ = {"STACKSPOT_JOBS": "1", "STACKSPOT_IDM_URL": "a", "HOME": "/", "RUNS_DIRS": "of another program"}
    assert (
        unknown_names(environ, ["GROQ_API_KEY", "JOBS", "LITELLM_MASTER_KEY", "POSTGRES_PASSWORD"], ["MY_REALM"]) == []
    )
    assert [fault.where for fault in unknown_names({}, ["RUNS_DIRS", "STACKSPOT_X"], ())] == [
        "RUNS_DIRS",
        "STACKSPOT_X",
    ]


@pytest.mark.slow
def test_no_check_of_a_setting_loads_litellm():
    code = (
        "import sys, custom_handler.checks.environment, custom_handler.checks.config; "
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
